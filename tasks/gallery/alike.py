"""Which clips are the same, and which look much the same. Pure.

Beside `cells.py`. A row that shares a request with another shares its clip on purpose and is no twin.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from reelsweep.tasks.artifacts.duplicates import near_duplicates
from reelsweep.tasks.artifacts.phash import distance
from reelsweep.tasks.gallery.encoded import Columns


@dataclass(frozen=True, slots=True)
class Alike:
    """Rows by what they show."""

    twins: Sequence[Sequence[int]]
    """Groups of rows whose frames are equal though they were asked for apart."""
    near: Sequence[tuple[int, int, float]]
    """Row, the earlier row it resembles, their distance: only rows whose frames differ."""
    threshold: float
    """Distance up to which two clips are near."""


def find_alike(columns: Columns, threshold: float) -> Alike:
    """Twins by frames (by bytes where frames are not known), near ones by the distance of their phash."""
    groups = _groups(columns)
    twins = [rows for rows in groups if _asked_apart(columns, rows)]
    return Alike(twins, _near(columns, groups, threshold), threshold)


def _groups(columns: Columns) -> list[list[int]]:
    """Rows with equal frames, in order."""
    frames, bytes_ = columns["frames_sha256"], columns["sha256"]
    groups: dict[str, list[int]] = defaultdict(list)
    for row in range(len(frames)):
        if look := frames.at(row) or bytes_.at(row):
            groups[look].append(row)
    return list(groups.values())


def _asked_apart(columns: Columns, rows: Sequence[int]) -> bool:
    asked, choice = columns["request_fingerprint"], columns["choice_idx"]
    return len({(asked.codes[row], choice.codes[row]) for row in rows}) > 1


def _near(
    columns: Columns, groups: Sequence[Sequence[int]], threshold: float
) -> list[tuple[int, int, float]]:
    firsts = [rows[0] for rows in groups]
    phashes = [columns["phash"].at(row) for row in firsts]
    found: list[tuple[int, int, float]] = []
    for place, earlier in enumerate(near_duplicates(phashes, threshold)):
        one, other = phashes[place], None if earlier is None else phashes[earlier]
        if earlier is not None and one is not None and other is not None:
            found.append((firsts[place], firsts[earlier], round(distance(one, other), 3)))
    return found
