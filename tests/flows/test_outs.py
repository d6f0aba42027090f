"""An OUT that exists, opened by a command."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from reelsweep.flows.out.outs import open_out
from reelsweep.flows.out.places import find_out
from reelsweep.tasks.ledger.ledger import Ledger
from reelsweep.tasks.manifest.outfile import OutFacts, write_out


def test_a_bucket_that_is_new_to_this_machine_has_a_desk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A command that only looks, or compares, works on a desk of this user's alone."""
    monkeypatch.setenv("REELSWEEP_HOME", str(tmp_path))
    url, ledger_url = f"memory://{tmp_path.name}/out", f"sqlite:///{tmp_path / 'ledger.db'}"
    ledger = Ledger.open(ledger_url)
    facts = OutFacts(out_id="0" * 32, ledger_id=ledger.ledger_id, table="a.csv", gateway_kind="sandbox")
    ledger.close()
    write_out(find_out(url), facts)
    with open_out(url, ledger_url) as opened:
        assert stat.S_IMODE(opened.out.stat().st_mode) == 0o700
