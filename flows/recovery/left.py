"""What is open in an OUT after `reconcile`, at whichever gateway, and what its user can do next.

After `reconcile`, `settling` and `rebuild`. Pure but for the ledger it asks.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Literal

from reelsweep.flows.options import RunOptions
from reelsweep.flows.reporting.wording import describe_again
from reelsweep.tasks.ledger.ledger import Ledger
from reelsweep.tasks.ledger.records import Standing

Asked = Literal["gateways", "bill", "whole bill", "files"]
"""What was asked; a whole bill has decided every attempt."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """Rows, also those that the latest plan does not ask for."""

    unknown: int
    waiting: int
    """Paid for, and still to end or to be fetched; in no live run's hands."""
    nameless: int = 0
    """Of the unknown, those without a task id: no gateway can be asked for them."""
    decided: int = 0
    """Of the unknown, those whose money is settled: no bill has more to say of them."""
    mute: int = 0
    """Both."""
    free: int = 0
    """Of the mute, those that were surely not charged: any run buys them again."""
    used_up: int = 0
    """Of the unknown, those that have had as many purchases as `--max-purchases` allows."""
    purchases: int = 0
    """The most that one of those has had."""

    @property
    def is_open(self) -> bool:
        """Whether anything is."""
        return bool(self.unknown or self.waiting)


async def left_at(
    ledger: Ledger, out_id: str, gateways: Iterable[str], max_purchases: int = RunOptions().max_purchases
) -> Left:
    """What these gateways have left open; `max_purchases` is the number that runs allow."""
    lefts = [await _left_at(ledger, out_id, name, max_purchases) for name in dict.fromkeys(gateways)]
    sums = {name: sum(getattr(left, name) for left in lefts) for name in Left.__dataclass_fields__}
    return Left(**{**sums, "purchases": max((left.purchases for left in lefts), default=0)})


async def _left_at(ledger: Ledger, out_id: str, gateway: str, max_purchases: int) -> Left:
    standings = (await ledger.standings(gateway, None, out_id)).values()
    unknown = [standing for standing in standings if standing.status == "unknown"]
    maybe = await _maybe_billed(ledger, out_id, gateway, unknown)
    nameless = {it.request_fingerprint for it in unknown if it.next_step in ("hold", "buy")}
    decided = {it.request_fingerprint for it in unknown} - maybe
    used_up = [it.num_purchases for it in unknown if it.num_purchases >= max_purchases]
    return Left(
        unknown=len(unknown),
        waiting=sum(
            it.status != "unknown"
            and (it.next_step in ("fetch", "recover") or it.status == "failed_to_download")
            for it in standings
        ),
        nameless=len(nameless),
        decided=len(decided),
        mute=len(nameless & decided),
        free=sum(it.next_step == "buy" for it in unknown),
        used_up=len(used_up),
        purchases=max(used_up, default=0),
    )


async def _maybe_billed(
    ledger: Ledger, out_id: str, gateway: str, unknown: Collection[Standing]
) -> frozenset[str]:
    """Fingerprints of which a bill has more to say."""
    if not unknown:
        return frozenset()
    attempts = await ledger.unfinished(out_id, gateway)
    speakers = {it.request_fingerprint for it in unknown if it.billed not in ("yes", "no")}
    return frozenset(speakers | {it.request_fingerprint for it in attempts if it.billed == "maybe"})


def next_line(command: Callable[..., str], left: Left, asked: Asked) -> str:
    """What to do next, as one line; `command` gives the one that reconciles this OUT, with these words.

    It names only who may have more to say: no bill that has decided all, no gateway without a task id.
    """
    if left.waiting or (left.unknown and asked == "files"):
        return f"next: `{command()}`{' again, later' if asked == 'gateways' else ''}"
    if not left.unknown:
        return "next: nothing is open; `reelsweep run` goes on with what is not made yet"
    if left.free == left.unknown:
        return "next: `reelsweep run` buys them again: they were surely not charged"
    again = describe_again(left.unknown - left.free, left.used_up, left.purchases)
    can_ask, can_bill = left.unknown > left.nameless, left.unknown > left.decided
    if can_bill and asked != "whole bill":
        bill = "a later bill" if asked == "bill" else "the provider's bill"
        return f"next: {bill} may decide (`{command('--bill FILE')}`); {again}"
    if can_ask:
        later = " again, later," if asked == "gateways" else ""
        return f"next: `{command()}`{later} asks the gateway for what it made; {again}"
    return f"next: neither a bill nor the gateway tells more of them; {again}, or they stay as they are"
