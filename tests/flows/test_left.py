"""What `reconcile` says at its end."""

from __future__ import annotations

import shlex
from functools import partial
from itertools import product
from pathlib import Path
from typing import get_args

import pytest
from reelsweep.flows.out.places import reconcile_with
from reelsweep.flows.recovery.left import Asked, Left, next_line

COMMAND = partial(reconcile_with, Path("o"), None)


def test_every_end_names_one_next_step() -> None:
    """Whatever was asked and whatever is left, it is one line; only where nothing is open it says so."""
    for unknown, waiting, asked in product((0, 2), (0, 3), get_args(Asked)):
        left = Left(unknown=unknown, waiting=waiting)
        line = next_line(partial(reconcile_with, Path("runs/cats"), None), left, asked)
        assert line.startswith("next: ")
        assert "\n" not in line
        assert ("nothing is open" in line) != left.is_open
        assert not left.is_open or "runs/cats" in line


def test_no_later_bill_is_awaited_where_this_one_has_decided_all() -> None:
    """Every attempt is settled and the clip is not here: only the gateway, or another purchase, brings it."""
    line = next_line(COMMAND, Left(unknown=1, waiting=0), "whole bill")
    assert "bill" not in line
    assert line.startswith("next: `reelsweep reconcile o` asks the gateway")
    assert "--on-unknown resubmit" in line


def test_no_advice_sends_its_reader_round_in_a_circle() -> None:
    """Settled by a bill, and without a task id: neither the gateway nor a bill is asked once more."""
    left = Left(unknown=2, waiting=0, nameless=2, decided=2, mute=2)
    for asked in ("gateways", "bill", "whole bill"):
        line = next_line(COMMAND, left, asked)
        assert "reelsweep reconcile" not in line
        assert "--on-unknown resubmit" in line
    asks = Left(unknown=2, waiting=0, nameless=1, decided=2, mute=1)
    assert next_line(COMMAND, asks, "gateways").startswith("next: `reelsweep reconcile o` again, later,")
    assert next_line(COMMAND, asks, "whole bill").startswith("next: `reelsweep reconcile o` asks the gateway")
    open_ = Left(unknown=2, waiting=0, nameless=2, decided=1, mute=1)
    assert "`reelsweep reconcile o --bill FILE`" in next_line(COMMAND, open_, "gateways")


def test_rows_that_were_surely_not_charged_need_no_leave() -> None:
    """Any run buys them again."""
    left = Left(unknown=1, waiting=0, nameless=1, decided=1, mute=1, free=1)
    line = next_line(COMMAND, left, "whole bill")
    assert line.startswith("next: `reelsweep run` buys them again")
    assert "resubmit" not in line


@pytest.mark.parametrize(
    ("used_up", "words"),
    [
        (2, "only `reelsweep run` with --on-unknown resubmit --max-purchases 4 buys them again"),
        (1, "with --on-unknown resubmit buys them again, 1 of them only with --max-purchases 4"),
    ],
)
def test_what_has_had_all_its_purchases_is_bought_again_only_by_allowing_more(
    used_up: int, words: str
) -> None:
    """The command that would send nothing is not advised."""
    left = Left(unknown=2, waiting=0, used_up=used_up, purchases=3)
    for asked in ("gateways", "bill", "whole bill"):
        assert words in next_line(COMMAND, left, asked)


def test_what_waits_comes_before_what_only_a_bill_decides() -> None:
    """A clip that is paid for and not here may be lost by waiting."""
    assert (
        next_line(COMMAND, Left(unknown=1, waiting=1), "gateways")
        == "next: `reelsweep reconcile o` again, later"
    )
    assert next_line(COMMAND, Left(unknown=1, waiting=0), "files") == "next: `reelsweep reconcile o`"
    assert "--bill" in next_line(COMMAND, Left(unknown=1, waiting=0), "gateways")


def test_the_next_command_runs_as_it_stands() -> None:
    """With the ledger that was given, and quoted where a shell would read it otherwise."""
    command = partial(reconcile_with, Path("my cats"), "sqlite:////data/l.db")
    for asked in get_args(Asked):
        line = next_line(command, Left(unknown=1, waiting=0), asked)
        words = shlex.split(line.split("`")[1])
        assert words[:3] == ["reelsweep", "reconcile", "my cats"]
        assert words[-2:] == ["--ledger", "sqlite:////data/l.db"]
