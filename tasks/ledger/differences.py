"""What a plan asks for beside the one before it, counted while it is recorded.

Used by `plans`. Pure.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from reelsweep.tasks.ledger.records import PlanDiff

Question = tuple[str, str]
"""(prompt_id, request_fingerprint)"""


def question(row: Any) -> Question:
    """What a plan row, of the plan or of the ledger, asks for."""
    return row.prompt_id, row.request_fingerprint


@dataclass(frozen=True, slots=True)
class Found:
    """What recording one chunk of a plan has found."""

    came: list[Question]
    """Rows that the plan before did not ask for."""
    edited: int
    same: int
    own_keys: list[int]
    """Short keys of rows whose first key is that of another gateway's line."""


@dataclass(slots=True)
class Differences:
    """What is counted while a plan is recorded."""

    is_first: bool
    same: int
    edited: int = 0
    came: Counter[Question] = field(default_factory=Counter[Question])
    went: Counter[Question] = field(default_factory=Counter[Question])
    elsewhere: Counter[Question] = field(default_factory=Counter[Question])
    """Asked of another gateway before."""

    def add(self, found: Found) -> None:
        """Count a chunk; of a first plan, which may be long, no row is remembered."""
        self.came.update([("", "")] * len(found.came) if self.is_first else found.came)
        self.edited, self.same = self.edited + found.edited, self.same + found.same

    def diff(self) -> PlanDiff:
        """A row in the place of one of its prompt is an edit; the same to another gateway is no news."""
        moved = self.came & self.elsewhere
        came = Counter(name for name, _ in (self.came - moved).elements())
        went = Counter(name for name, _ in (self.went + self.elsewhere - moved).elements())
        replaced = (came & went).total()
        return PlanDiff(
            is_first=self.is_first,
            new=came.total() - replaced,
            edited=self.edited + replaced,
            removed=went.total() - replaced,
            same=self.same + moved.total(),
        )
