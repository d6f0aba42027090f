"""Whose an OUT is, between the look at it and the first line written into it."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from reelsweep.flows.options import RunOptions
from reelsweep.flows.planning.claim import claim_out
from reelsweep.flows.prepare import prepare
from reelsweep.prompts.errors import OutError, SettingsError
from reelsweep.tasks.ledger.ledger import Ledger
from reelsweep.tasks.manifest.outfile import read_out


def test_an_out_that_became_the_sandboxs_meanwhile_takes_no_real_results(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two runs that both found no OUT, one of the other kind is refused before it sends anything."""
    monkeypatch.setenv("REELSWEEP_HOME", str(tmp_path / "home"))
    table, out = pd.DataFrame({"prompt": ["a fox"]}), str(tmp_path / "out")
    sandbox, real = (
        prepare(table, RunOptions(out=out, gateway=gateway))
        for gateway in ("sandbox:", "https://gateway.example.com/v1")
    )
    ledger = Ledger.open(f"sqlite:///{tmp_path / 'ledger.db'}")
    try:
        claim_out(sandbox, ledger)
        with pytest.raises(OutError, match="holds sandbox results"):
            claim_out(real, ledger)
    finally:
        ledger.close()
    facts = read_out(tmp_path / "out")
    assert facts is not None
    assert facts.gateway_kind == "sandbox"


def test_a_ledger_that_is_another_one_is_said_without_its_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The line stands in logs; the place in it is what tells the two apart."""
    monkeypatch.setenv("REELSWEEP_HOME", str(tmp_path / "home"))
    out, url = str(tmp_path / "out"), "postgresql://me:hunter2@host.example.com/db"
    prepared = prepare(pd.DataFrame({"prompt": ["a fox"]}), RunOptions(out=out, ledger=url))
    first, second = (Ledger.open(f"sqlite:///{tmp_path / name}") for name in ("first.db", "second.db"))
    try:
        claim_out(prepared, first)
        with pytest.raises(
            SettingsError, match=r"another ledger than postgresql://host\.example\.com/db"
        ) as said:
            claim_out(prepared, second)
    finally:
        first.close()
        second.close()
    assert "hunter2" not in str(said.value)
