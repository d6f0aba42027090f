"""The verdict on every row: accepted, or why not.

Between `rows` and the Parquet files; a pure stage of bounded memory. A clip is held against the accepted ones
before it only when it passes all other checks, so that nothing is rejected for the sake of a rejected row.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from reelsweep.tasks.artifacts.checklist import Checks
from reelsweep.tasks.artifacts.checks import CHECK
from reelsweep.tasks.artifacts.duplicates import Originals
from reelsweep.tasks.artifacts.phash import HEX_PER_FRAME, NUM_FRAMES, distance
from reelsweep.tasks.manifest.rows import Row

NEAR_DUPLICATE = "near_duplicate"
MAX_ROWS = 256
MAX_CHARS = 32 * 2**20
_PHASH = re.compile(f"[0-9a-f]{{{NUM_FRAMES * HEX_PER_FRAME}}}")
_LONG = ("prompt", "messages", "text", "tool_calls")


@dataclass(frozen=True, slots=True)
class _Original:
    """An accepted row that later ones may repeat."""

    request_fingerprint: str
    prompt_id: str
    seed: int | None
    sample_idx: int
    phash: str

    @property
    def name(self) -> str:
        """How a reason speaks of it."""
        seed = "" if self.seed is None else f", seed {self.seed}"
        return f"{self.prompt_id}{seed}, sample {self.sample_idx}"


@dataclass(slots=True)
class Verdicts:
    """Judges rows in the order of the manifest; the earlier of two that look alike is kept."""

    checks: Checks
    _originals: Originals | None = field(init=False)
    _named: dict[int, _Original] = field(default_factory=dict[int, _Original])
    _num_seen: int = 0
    _asked: tuple[str, str, str] | None = None
    _candidate_idx: int = -1

    def __post_init__(self) -> None:
        limit = self.checks.limits.get(NEAR_DUPLICATE)
        self._originals = None if limit is None else Originals(limit)

    def judge(self, rows: Iterable[Row]) -> Iterator[Row]:
        """The rows with `accepted` and `reject_reason`, as many at a time as memory should hold."""
        waiting: list[Row] = []
        num_chars = 0
        for row in rows:
            waiting.append(row)
            num_chars += sum([len(row.get(name) or "") for name in _LONG])
            if len(waiting) >= MAX_ROWS or num_chars >= MAX_CHARS:
                yield from self._judged(waiting)
                waiting, num_chars = [], 0
        yield from self._judged(waiting)

    def _judged(self, rows: Sequence[Row]) -> Sequence[Row]:
        if self._originals is not None:
            self._compare(self._originals, rows)
        for row in rows:
            self._number(row)
            if row["status"] == "success":
                row["accepted"] = not row.get("reject_reason")
        return rows

    def _number(self, row: Row) -> None:
        """The candidates of one prompt under one set of parameters stand together in the plan."""
        if not row["in_plan"]:
            return
        asked = row["prompt_id"], row["model"], row["params"]
        if asked != self._asked:
            self._asked, self._candidate_idx = asked, -1
        self._candidate_idx += row["choice_idx"] == 0
        row["candidate_idx"] = self._candidate_idx

    def _compare(self, originals: Originals, rows: Sequence[Row]) -> None:
        phashes = [_comparable(row) for row in rows]
        for row, phash, repeated in zip(rows, phashes, originals.add(phashes), strict=True):
            if phash is not None:
                self._tell(row, phash, repeated)
            self._num_seen += 1

    def _tell(self, row: Row, phash: str, repeated: int | None) -> None:
        row[CHECK + NEAR_DUPLICATE] = repeated is None
        if repeated is None:
            self._named[self._num_seen] = _Original(
                row["request_fingerprint"], row["prompt_id"], row.get("seed"), row["sample_idx"], phash
            )
            return
        original = self._named[repeated]
        limit = self.checks.limits[NEAR_DUPLICATE]
        apart = distance(original.phash, phash)
        row["near_duplicate_of"] = original.request_fingerprint
        row["reject_reason"] = (
            f"{NEAR_DUPLICATE}: looks like {original.name} (distance {apart:.3f}, limit {limit:g})"
        )


def _comparable(row: Row) -> str | None:
    """The hash of a success that no check on the clip alone has failed; a hash of another kind is none."""
    phash = row.get("phash") or ""
    passed = row["status"] == "success" and not row.get("reject_reason")
    return phash if passed and _PHASH.fullmatch(phash) else None
