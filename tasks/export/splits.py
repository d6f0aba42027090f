"""Which split a row belongs to: by a hash of its group, so that a prompt never crosses splits. Pure.

Rows that agree in any group column are one group: with the usual `prompt_id,prompt` two ids with the same
text stay together, and so do the many texts that a sweep made of one id. Texts agree when they differ in
case and white space only. A row that edits another one (`follows`) stays with it.

A group is named by the first column's value in that of its rows which was planned first, so that a table
that grows moves nothing (but where a new row ties two old groups together, the later one joins the earlier).
The hash is sha256 of `reelsweep split 1`, a line feed and the name; its first eight bytes, as a share of
2^64, fall into the splits' shares laid end to end in the order given.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from itertools import accumulate

from reelsweep.tasks.export.recipe import Share


@dataclass(frozen=True, slots=True)
class Grouped:
    """What decides a row's group: its values in the group columns (None is no tie), and its requests."""

    values: tuple[object, ...]
    request: str
    follows: str | None
    planned_at: datetime


def group_names(rows: Sequence[Grouped]) -> list[str]:
    """The name of every row's group."""
    forest: dict[object, object] = {}
    for row in rows:
        own = ("request", row.request)
        ties = [
            (place, name) for place, value in enumerate(row.values) if (name := normal(value)) is not None
        ]
        for tie in (*ties, *((("request", row.follows),) if row.follows else ())):
            _unite(forest, own, tie)
    roots = [_root(forest, ("request", row.request)) for row in rows]
    names: dict[object, tuple[datetime, str]] = {}
    for row, root in zip(rows, roots, strict=True):
        own = (row.planned_at, _own_name(row))
        names[root] = min(names.get(root, own), own)
    return [names[root][1] for root in roots]


def assign(group: str, splits: Sequence[Share]) -> str:
    """The split of a group."""
    digest = hashlib.sha256(f"reelsweep split 1\n{group}".encode("utf-8", "surrogatepass")).digest()
    point = Fraction(int.from_bytes(digest[:8], "big"), 2**64)
    ends = list(accumulate(each.share for each in splits))
    return splits[min(bisect_right(ends, point), len(splits) - 1)].name


def normal(value: object) -> str | None:
    """A value as it is compared: case and white space aside; None for no value."""
    if value is None:
        return None
    return " ".join(str(value).casefold().split())


def _own_name(row: Grouped) -> str:
    named = (normal(value) for value in row.values)
    return next((name for name in named if name is not None), row.request)


def _root(forest: dict[object, object], node: object) -> object:
    parent = forest.setdefault(node, node)
    while parent != node:
        forest[node] = grand = forest[parent]
        node, parent = parent, grand
    return node


def _unite(forest: dict[object, object], left: object, right: object) -> None:
    forest[_root(forest, right)] = _root(forest, left)
