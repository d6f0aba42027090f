"""What `reconcile` says at its end."""

from __future__ import annotations

from itertools import product
from typing import get_args

from reelsweep.flows.recovery.left import Asked, Left, next_line


def test_every_end_names_one_next_step() -> None:
    """Whatever was asked and whatever is left, it is one line; only where nothing is open it says so."""
    for unknown, waiting, asked in product((0, 2), (0, 3), get_args(Asked)):
        left = Left(unknown=unknown, waiting=waiting)
        line = next_line("runs/cats", left, asked)
        assert line.startswith("next: ")
        assert "\n" not in line
        assert ("nothing is open" in line) != left.is_open
        assert not left.is_open or "runs/cats" in line


def test_no_later_bill_is_awaited_where_this_one_has_decided_all() -> None:
    """Every attempt is settled and the clip is not here: only the gateway, or another purchase, brings it."""
    line = next_line("o", Left(unknown=1, waiting=0), "whole bill")
    assert "bill" not in line
    assert line.startswith("next: reelsweep reconcile o asks the gateway")
    assert "--on-unknown resubmit" in line


def test_what_waits_comes_before_what_only_a_bill_decides() -> None:
    """A clip that is paid for and not here may be lost by waiting."""
    assert (
        next_line("o", Left(unknown=1, waiting=1), "gateways") == "next: reelsweep reconcile o again, later"
    )
    assert next_line("o", Left(unknown=1, waiting=0), "files") == "next: reelsweep reconcile o"
    assert "--bill" in next_line("o", Left(unknown=1, waiting=0), "gateways")
