"""What is open in an OUT after `reconcile`, at whichever gateway, and what its user can do next.

After `reconcile`, `settling` and `rebuild`. Pure but for the ledger it asks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from reelsweep.tasks.ledger.ledger import Ledger

Asked = Literal["gateways", "bill", "whole bill", "files"]
"""What was asked; a whole bill has decided every attempt."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """Rows, also those that the latest plan does not ask for."""

    unknown: int
    waiting: int
    """Paid for, and still to end or to be fetched; in no live run's hands."""

    @property
    def is_open(self) -> bool:
        """Whether anything is."""
        return bool(self.unknown or self.waiting)


async def left_at(ledger: Ledger, out_id: str, gateways: Iterable[str]) -> Left:
    """What these gateways have left open."""
    unknown = waiting = 0
    for gateway in dict.fromkeys(gateways):
        for standing in (await ledger.standings(gateway, None, out_id)).values():
            is_waiting = standing.next_step in ("fetch", "recover") or standing.status == "failed_to_download"
            unknown += standing.status == "unknown"
            waiting += standing.status != "unknown" and is_waiting
    return Left(unknown=unknown, waiting=waiting)


def next_line(command: Callable[..., str], left: Left, asked: Asked) -> str:
    """What to do next, as one line; `command` gives the one that reconciles this OUT, with these words."""
    if left.waiting or (left.unknown and asked == "files"):
        return f"next: `{command()}`{' again, later' if asked == 'gateways' else ''}"
    again = "`reelsweep run` with --on-unknown resubmit buys them again"
    if left.unknown and asked == "whole bill":
        return f"next: `{command()}` asks the gateway for what it made; {again}"
    if left.unknown:
        bill = "a later bill" if asked == "bill" else "the provider's bill"
        return f"next: {bill} may decide (`{command('--bill FILE')}`); {again}"
    return "next: nothing is open; `reelsweep run` goes on with what is not made yet"
