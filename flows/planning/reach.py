"""How far a budget reaches in a plan: what of the cap is used, and how many generations still fit.

Used by `preview`. Pure but for the ledger it asks.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from reelsweep.flows.options import Budget
from reelsweep.prompts.pricing import Price, PriceList
from reelsweep.prompts.request import GenerationSpec
from reelsweep.tasks.ledger.ledger import Ledger


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """A cap and what is left under it."""

    budget_usd: float
    per_day: bool
    used_usd: float
    """Settled and reserved by the whole ledger, today where the cap is per day."""
    generations: int
    """How many of the plan surely fit, each at its dearest."""

    def __str__(self) -> str:
        cap = f"{self.budget_usd:.2f} USD{' a day' if self.per_day else ''}"
        return f"{cap}, {self.used_usd:.2f} used"


async def used_musd(ledger: Ledger, budget: Budget | None) -> int:
    """What counts against the cap already, in micro-dollars."""
    if budget is None:
        return 0
    spend = await (ledger.spend_today() if budget.per_day else ledger.spend())
    return spend.used_musd


def reach_of(
    budget: Budget,
    used: int,
    price: Price | PriceList,
    specs: Iterable[GenerationSpec],
    purchases: Iterable[int],
) -> Reach:
    """How many of `specs`, in their order, fit under the cap beside what is used.

    `purchases` says of each how often it may be bought in one run.
    """
    left, fitting = budget.musd - used, 0
    for spec, most in zip(specs, purchases, strict=True):
        left -= most * price.max_musd(spec)
        if left < 0:
            break
        fitting += 1
    return Reach(
        budget_usd=budget.musd / 1e6, per_day=budget.per_day, used_usd=used / 1e6, generations=fitting
    )
