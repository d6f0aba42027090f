"""Which candidates of each row are to be made, so that enough are accepted: pure, no clock, no ledger.

Candidates are opened in their order, never more at a time than are still needed: one that is open counts as
if it would be accepted. So what is opened in the end depends on what came of it and not on what came first;
a killed run goes on to the same set. Whether a clip looks like another of its own row is judged as soon as
all before it are known, whether it looks like one of another row only by `settle`, when nothing is under
way.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterator, Set
from dataclasses import dataclass, field
from typing import Literal

from reelsweep.tasks.artifacts.duplicates import near_duplicates
from reelsweep.tasks.artifacts.phash import distance
from reelsweep.tasks.ledger.records import Made

State = Literal["open", "made", "used", "hopeless"]
"""Something may come of it; a result is there; none will be; nor would be of another candidate of its row."""
ASKED_WRONGLY = frozenset({"input", "likeness"})
"""What a gateway refuses because of the request: another seed would be refused as well."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """What has come of one candidate; `looks` are the hashes of the clips that pass their own checks."""

    state: State
    looks: tuple[str | None, ...] = ()


OPEN = Candidate("open")


def state_of(made: Made) -> State:
    """How a generation counts."""
    if made.is_open:
        return "open"
    match made.status:
        case "success":
            return "made"
        case "refused" if made.refused_at in ASKED_WRONGLY:
            return "hopeless"
        case "failed" if made.billed == "no":
            return "hopeless"
        case _:
            return "used"


@dataclass(slots=True, kw_only=True)
class Acceptance:
    """The candidates of a plan by their place in it; those of one row and combination stand together."""

    need: int
    """Accepted generations that each row and combination shall have."""
    firsts: array[int]
    """Where the candidates of each row and combination begin."""
    num_candidates: int
    """Of the whole plan."""
    max_distance: float | None
    """The threshold of `near_duplicate`, where it is switched on."""
    opened: dict[int, Candidate] = field(default_factory=dict[int, Candidate])
    _repeats: set[tuple[int, int]] = field(default_factory=set[tuple[int, int]])
    """(place, choice) of clips that look like one of another row."""

    def __len__(self) -> int:
        return len(self.firsts)

    def row_of(self, place: int) -> int:
        """The row and combination that a candidate belongs to."""
        return bisect_right(self.firsts, place) - 1

    def tell(self, place: int, candidate: Candidate) -> None:
        """Take what has come of a candidate."""
        self.opened[place] = candidate

    def open_more(self, row: int) -> Iterator[int]:
        """Open candidates until enough of them are accepted or may be; their places, in order."""
        missing = self.need - self._count(row, {"open", "hopeless"})
        for place in self._unopened(row):
            if missing <= 0:
                return
            missing -= 1
            self.opened[place] = OPEN
            yield place

    def open_places(self) -> list[int]:
        """Where candidates stand of which nothing is known yet, ascending."""
        return sorted(place for place, candidate in self.opened.items() if candidate.state == "open")

    def settle(self) -> None:
        """Hold the clips of all rows against each other; to be called when nothing is under way."""
        if self.max_distance is None:
            return
        clips = [
            (place, choice, look)
            for place in sorted(self.opened)
            for choice, look in enumerate(self.opened[place].looks)
        ]
        found = near_duplicates([look for _, _, look in clips], self.max_distance)
        pairs = zip(clips, found, strict=True)
        self._repeats = {(place, choice) for (place, choice, _), earlier in pairs if earlier is not None}

    def spare(self) -> Iterator[int]:
        """Candidates that are not opened and would be, should all that are open be rejected."""
        for row in range(len(self)):
            if self._count(row, {"hopeless"}) < self.need:
                yield from self._unopened(row)

    def num_short(self) -> int:
        """Rows and combinations with fewer accepted than needed."""
        return sum(self._count(row, set()) < self.need for row in range(len(self)))

    def _places(self, row: int) -> range:
        last = self.firsts[row + 1] if row + 1 < len(self.firsts) else self.num_candidates
        return range(self.firsts[row], last)

    def _unopened(self, row: int) -> Iterator[int]:
        return (place for place in self._places(row) if place not in self.opened)

    def _count(self, row: int, others: Set[State]) -> int:
        """Candidates that are accepted, or in one of the `others` states.

        One that is hopeless keeps its place, so that nothing is opened for it, now or later.
        """
        number, kept, all_known = 0, list[str](), True
        for place in self._places(row):
            candidate = self.opened.get(place)
            if candidate is None:
                continue
            if candidate.state != "made":
                number += candidate.state in others
                all_known = all_known and candidate.state != "open"
                continue
            looks = [
                look for choice, look in enumerate(candidate.looks) if (place, choice) not in self._repeats
            ]
            if all_known or "open" not in others:
                looks = [look for look in looks if not self._is_near(look, kept)]
                kept += [look for look in looks if look is not None]
            number += bool(looks)
        return number

    def _is_near(self, look: str | None, kept: list[str]) -> bool:
        limit = self.max_distance
        return limit is not None and look is not None and any(distance(one, look) <= limit for one in kept)
