"""Lines of a plan that need no recording: they are in the ledger as the plan tells them.

Before `plans`: a long table that grows by a row costs one reading of what each line tells.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field

from reelsweep.tasks.ledger.schema import generations, plan_rows
from sqlalchemy import Connection, bindparam, join, select


@dataclass(frozen=True, slots=True)
class Kept:
    """Lines of a plan that are in the ledger as the plan tells them, at their places."""

    places: bytearray = field(default_factory=bytearray)
    """One byte for each place up to the last: 1 where the line is kept."""
    keys: frozenset[int] = frozenset()
    """Their row keys, short."""

    def __len__(self) -> int:
        return len(self.keys)

    def __contains__(self, place: int) -> bool:
        return place < len(self.places) and self.places[place] == 1


def read_kept(conn: Connection, out_id: str, gateway: str, told: Callable[[int], str | None]) -> Kept:
    """Which lines of the latest plan say what `told` says of their places, as the hex of `told_digest`.

    It says None where a line cannot be known by that alone: beyond the plan, and where another asks the same.
    """
    lines = conn.execute(_TOLD_LINES, {"b_out": out_id, "b_gateway": gateway}).all()
    places, keys = bytearray(1 + max((line[0] for line in lines), default=-1)), set[int]()
    for place, digest, key in lines:
        if digest == told(place):
            places[place] = 1
            keys.add(short_key(key))
    return Kept(places, frozenset(keys))


def own_key(key: str, gateway: str) -> str:
    """The key of a line whose first key another gateway's line has."""
    return f"{key}@{gateway}"


def short_key(key: str) -> int:
    """Eight bytes of hash: enough to tell a million apart."""
    return int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8).digest(), "big")


WITH_GATEWAY = join(plan_rows, generations, plan_rows.c.generation_id == generations.c.generation_id)
_TOLD_LINES = (
    select(plan_rows.c.ordinal, plan_rows.c.digest, plan_rows.c.row_key)
    .select_from(WITH_GATEWAY)
    .where(
        plan_rows.c.out_id == bindparam("b_out"),
        plan_rows.c.in_plan,
        generations.c.gateway == bindparam("b_gateway"),
    )
)
