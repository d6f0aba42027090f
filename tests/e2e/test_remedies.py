"""The commands that Reelsweep tells a person to type: each works as it stands."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from reelsweep.tasks.sandbox.server import SandboxServer

Reelsweep = Callable[..., Any]
Write = Callable[[Sequence[Mapping[str, Any]]], Path]

TAKEN = [{"prompt": "taken [[fault=reset_accepted]]"}]
"""Accepted, and then cut off: what became of it is not known."""


def commands_in(text: str) -> list[list[str]]:
    """The arguments of the commands in a text, as a shell gives them."""
    quoted = (part for part in text.split("`") if part.startswith("reelsweep "))
    return [shlex.split(part)[1:] for part in quoted]


def test_what_the_summary_says_to_type_works(
    reelsweep: Reelsweep, sandbox: SandboxServer, write_table: Write, tmp_path: Path
) -> None:
    """With a ledger elsewhere and a folder that has to be quoted it finds the row that is open."""
    table, ledger = write_table(TAKEN), f"sqlite:///{tmp_path / 'a ledger.db'}"
    ended = reelsweep(
        "run", str(table), "--gateway", sandbox.base_url, "--yes", "--out", "my cats", "--ledger", ledger
    )
    assert ended.code == 1
    (remedy,) = commands_in(ended.err.splitlines()[-1])
    assert remedy == ["reconcile", str(tmp_path / "my cats"), "--ledger", ledger]
    asked = reelsweep(*remedy)
    assert (asked.code, asked.err) == (1, "")
    assert "looked at 1 attempts" in asked.out
    (further,) = [words for words in commands_in(asked.out) if "--bill" in words]
    (tmp_path / "bill.csv").write_text("request_id,cost\n")
    billed = reelsweep(*("bill.csv" if word == "FILE" else word for word in further))
    assert "bill       0 lines" in billed.out


def test_a_sandbox_that_has_ended_is_asked_for_nothing(
    reelsweep: Reelsweep, write_table: Write, tmp_path: Path
) -> None:
    """What is open there can only be made again, and that is what is said; with nothing open all is well."""
    run = ("run", str(write_table(TAKEN)), "--out", "out")
    ended = reelsweep(*run)
    assert ended.code == 1
    assert commands_in(ended.err) == []
    assert "`--on-unknown resubmit` makes them again" in ended.err
    assert reelsweep("reconcile", "out").code == 2, "there is something to ask, and nobody"
    whole = reelsweep("run", str(write_table([{"prompt": "kite"}])), "--out", "whole")
    assert whole.code == 0
    reconciled = reelsweep("reconcile", "whole", "--json")
    assert reconciled.code == 0, reconciled.err
    assert json.loads(reconciled.out)["unknown"] == 0


def test_what_a_bill_has_decided_is_not_sent_to_the_bill_again(
    reelsweep: Reelsweep, sandbox: SandboxServer, write_table: Write, tmp_path: Path
) -> None:
    """After it nobody has more to say: bill, gateway and the next run all name the one thing that is left."""
    before = len(sandbox.bill())
    run = ("run", str(write_table(TAKEN)), "--gateway", sandbox.base_url, "--yes", "--out", "out")
    assert reelsweep(*run, "--price", "0.10").code == 1
    keys = [line.idempotency_key for line in sandbox.bill()[before:]]
    (tmp_path / "bill.csv").write_text("\n".join(["idempotency_key,cost", *(f"{key},0.10" for key in keys)]))
    billed = reelsweep("reconcile", "out", "--bill", "bill.csv")
    asked = reelsweep("reconcile", "out")
    for ended in (billed, asked):
        assert commands_in(ended.out) == [["run"]]
        assert "neither a bill nor the gateway" in ended.out
        assert "--on-unknown resubmit buys them again" in ended.out
    held = reelsweep(*run, "--price", "0.10")
    assert commands_in(held.err) == []
    assert "neither the gateway nor a bill" in held.err
