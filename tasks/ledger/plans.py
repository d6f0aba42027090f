"""A plan's rows in the ledger: what is new, what moved, what is no longer asked for.

After `plan`, before anything is sent. A plan may have a million rows: those whose lines are there as
they are told again are not even made (`kept`), the others are recorded in short transactions, so that
other runs get their turn, and only what differs is written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from itertools import islice
from operator import attrgetter
from typing import Any

from reelsweep.prompts.fingerprint import is_asked_by
from reelsweep.prompts.told import told_digest
from reelsweep.tasks.ledger.completing import complete
from reelsweep.tasks.ledger.differences import Differences, Found, question
from reelsweep.tasks.ledger.kept import WITH_GATEWAY, Kept, own_key, short_key
from reelsweep.tasks.ledger.records import PlanDiff, PlanRow
from reelsweep.tasks.ledger.schema import generations, outs, plan_rows
from reelsweep.tasks.ledger.standing import derive
from sqlalchemy import Connection, bindparam, func, insert, select, update

Submit = Callable[[Callable[[Connection], Any]], Future[Any]]
_CHUNK = 2_000
_STORED = tuple(
    name
    for name in (column.name for column in plan_rows.c)
    if name not in ("out_id", "generation_id", "in_plan", "last_plan_hash", "digest", "created_at")
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanWish:
    """A plan to record."""

    out_id: str
    gateway: str
    plan_hash: str
    now: datetime
    extends: bool = False
    """The rows come beside those of the plan: they are no part of it and change none of its lines."""
    restores: bool = False
    """The rows are read back from a manifest, which may not tell the whole of a request."""


def record(submit: Submit, wish: PlanWish, rows: Iterable[PlanRow], kept: Kept | None = None) -> PlanDiff:
    """Record a plan, a chunk of rows per transaction; blocks until it is durable.

    `rows` are those that are not `kept`. The second of two rows with one key is kept beside the first,
    under the key with `#2` behind it.
    """
    kept = kept or Kept()
    keys = _Keys(kept.keys)
    is_first: bool = submit(lambda conn: _last_plan(conn, wish) is None).result()
    tally = Differences(is_first=is_first, same=len(kept))
    for chunk in _chunks(keys.tell_apart(row) for row in rows):
        found: Found = submit(_Chunk(wish, chunk)).result()
        keys.seen.update(found.own_keys)
        tally.add(found)
    if not wish.extends:
        num_asked = len(kept) + keys.num_told_apart
        for gone in submit(lambda conn: _close(conn, wish, keys.seen, num_asked)).result():
            (tally.went if gone.gateway == wish.gateway else tally.elsewhere)[question(gone)] += 1
    return tally.diff()


def add(submit: Submit, wish: PlanWish, rows: Iterable[PlanRow]) -> None:
    """Add rows to the plan that is the latest; those it has stay as they are. Blocks until it is durable."""
    for chunk in _chunks(iter(rows)):
        submit(_Chunk(wish, chunk)).result()


class _Keys:
    """Row keys of one plan, each once: eight bytes of hash tell a million apart."""

    def __init__(self, kept: Iterable[int] = ()) -> None:
        self.seen: set[int] = set(kept)
        self.num_told_apart = 0
        self._repeats: dict[str, int] = {}

    def tell_apart(self, row: PlanRow) -> PlanRow:
        """The row itself, under a key of its own."""
        self.num_told_apart += 1
        if short_key(row.row_key) not in self.seen:
            self.seen.add(short_key(row.row_key))
            return row
        self._repeats[row.row_key] = number = self._repeats.get(row.row_key, 1) + 1
        other = replace(row, row_key=f"{row.row_key}#{number}")
        self.seen.add(short_key(other.row_key))
        return other


class _Chunk:
    """One transaction: rows compared with those of the same key, and what differs written."""

    def __init__(self, wish: PlanWish, rows: Sequence[PlanRow]) -> None:
        self._wish = wish
        self._asked = rows
        self._rows: dict[str, PlanRow] = {}
        self._digests: dict[str, str] = {}

    def __call__(self, conn: Connection) -> Found:
        known = self._look_up(conn, self._asked)
        foreign = {key for key, found in known.items() if found.gateway != self._wish.gateway}
        if foreign:
            known = self._look_up(conn, [self._under_own_key(row, foreign) for row in self._asked])
        new = [row for key, row in self._rows.items() if key not in known]
        told = {} if self._wish.extends else known
        changed = [self._rows[key] for key, found in told.items() if self._differs(key, found)]
        if new or changed:
            vague = [row for row in changed if _is_vague(known, row)]
            complete(conn, self._wish.gateway, [*new, *vague])
            ids = self._generation_ids(conn, [*new, *changed])
            if new:
                conn.execute(insert(plan_rows), [self._row(row, ids) for row in new])
            if changed:
                conn.execute(_CHANGE, [self._change(row, ids) for row in changed])
        return self._found(new, told, foreign)

    def _look_up(self, conn: Connection, rows: Sequence[PlanRow]) -> dict[str, Any]:
        self._rows = {row.row_key: row for row in rows}
        self._digests = {row.row_key: self._digest(row) for row in rows}
        asked = {"b_out": self._wish.out_id, "b_keys": list(self._rows)}
        return {row.row_key: row for row in conn.execute(_KNOWN, asked)}

    def _under_own_key(self, row: PlanRow, foreign: set[str]) -> PlanRow:
        """The same question to another gateway is a line of its own: that one's stays what it is."""
        return (
            replace(row, row_key=own_key(row.row_key, self._wish.gateway)) if row.row_key in foreign else row
        )

    def _found(self, new: Sequence[PlanRow], known: Mapping[str, Any], foreign: set[str]) -> Found:
        back = [self._rows[key] for key, found in known.items() if not found.in_plan]
        edited = sum(found.in_plan and self._is_edited(key, found) for key, found in known.items())
        came = [question(row) for row in (*new, *back)]
        own_keys = [short_key(own_key(key, self._wish.gateway)) for key in foreign]
        return Found(came, edited, len(self._rows) - len(came) - edited, own_keys)

    def _digest(self, row: PlanRow) -> str:
        """Of all that the line tells; empty where its request is known in part, so that no plan keeps it."""
        if self._wish.restores and not is_asked_by(row.request_fingerprint, row.payload, row.sample_idx):
            return ""
        told = row.request_fingerprint, row.prompt_id, row.output, row.params, row.meta, row.follows
        return told_digest(*told).hex()

    def _is_edited(self, key: str, found: Any) -> bool:
        """An empty digest is that of an older schema, or of a ledger that was made anew: nobody knows."""
        return found.digest not in ("", self._digests[key])

    def _differs(self, key: str, found: Any) -> bool:
        same = (self._rows[key].ordinal, self._digests[key]) == (found.ordinal, found.digest)
        return not (same and found.in_plan)

    def _generation_ids(self, conn: Connection, rows: Sequence[PlanRow]) -> dict[str, int]:
        payloads = {row.request_fingerprint: row.payload for row in rows}
        ids = self._known_ids(conn, list(payloads))
        missing = [fingerprint for fingerprint in payloads if fingerprint not in ids]
        if not missing:
            return ids
        conn.execute(insert(generations), [self._generation(name, payloads[name]) for name in missing])
        return ids | self._known_ids(conn, missing)

    def _known_ids(self, conn: Connection, fingerprints: Sequence[str]) -> dict[str, int]:
        rows = conn.execute(_IDS, {"b_gateway": self._wish.gateway, "b_fingerprints": fingerprints})
        return {row.request_fingerprint: row.generation_id for row in rows}

    def _generation(self, fingerprint: str, payload: str) -> dict[str, Any]:
        return {
            "gateway": self._wish.gateway,
            "request_fingerprint": fingerprint,
            "payload": payload,
            **UNTRIED,
        }

    def _row(self, row: PlanRow, ids: dict[str, int]) -> dict[str, Any]:
        return {
            **dict(zip(_STORED, _VALUES(row), strict=True)),
            "out_id": self._wish.out_id,
            "generation_id": ids[row.request_fingerprint],
            "in_plan": not self._wish.extends,
            "last_plan_hash": self._wish.plan_hash if self._wish.extends else None,
            "digest": self._digests[row.row_key],
            "created_at": self._wish.now,
        }

    def _change(self, row: PlanRow, ids: dict[str, int]) -> dict[str, Any]:
        values = dict(zip(_STORED, _VALUES(row), strict=True))
        del values["row_key"]
        return {
            **{f"v_{name}": value for name, value in values.items()},
            "b_out": self._wish.out_id,
            "b_key": row.row_key,
            "v_generation_id": ids[row.request_fingerprint],
            "v_digest": self._digests[row.row_key],
        }


def _chunks(rows: Iterator[PlanRow]) -> Iterator[list[PlanRow]]:
    while chunk := list(islice(rows, _CHUNK)):
        yield chunk


def _last_plan(conn: Connection, wish: PlanWish) -> str | None:
    return conn.execute(select(outs.c.plan_hash).where(outs.c.out_id == wish.out_id)).scalar_one_or_none()


def _close(conn: Connection, wish: PlanWish, seen: set[int], num_asked: int) -> Sequence[Any]:
    """Note which plan is the latest; rows of the one before that were not seen leave it; those rows."""
    last = _last_plan(conn, wish)
    in_plan = conn.execute(_COUNT, {"b_out": wish.out_id}).scalar_one()
    gone: Sequence[Any] = ()
    if in_plan != num_asked:
        gone = [row for row in _of_plan(conn, wish) if _is_gone(row, wish, seen)]
    if gone:
        conn.execute(_LEAVE, [{"b_out": wish.out_id, "b_key": row.row_key, "b_last": last} for row in gone])
    values = {"gateway": wish.gateway, "plan_hash": wish.plan_hash}
    if last is None:
        conn.execute(insert(outs).values(out_id=wish.out_id, **values))
    else:
        conn.execute(update(outs).where(outs.c.out_id == wish.out_id).values(**values))
    return gone


def _of_plan(conn: Connection, wish: PlanWish) -> Sequence[Any]:
    return conn.execute(_IN_PLAN, {"b_out": wish.out_id}).all()


def _is_gone(row: Any, wish: PlanWish, seen: set[int]) -> bool:
    return row.gateway != wish.gateway or short_key(row.row_key) not in seen


def _is_vague(known: Mapping[str, Any], row: PlanRow) -> bool:
    """The line is of an older schema, or of a ledger that was made anew."""
    return known[row.row_key].digest == ""


_VALUES = attrgetter(*_STORED)
UNTRIED = asdict(derive(()))
_COUNT = (
    select(func.count())
    .select_from(plan_rows)
    .where(plan_rows.c.out_id == bindparam("b_out"), plan_rows.c.in_plan)
)
_KNOWN = (
    select(
        *(plan_rows.c.row_key, plan_rows.c.ordinal, plan_rows.c.digest, plan_rows.c.in_plan),
        generations.c.gateway,
    )
    .select_from(WITH_GATEWAY)
    .where(
        plan_rows.c.out_id == bindparam("b_out"),
        plan_rows.c.row_key.in_(bindparam("b_keys", expanding=True)),
    )
)
_IDS = select(generations.c.request_fingerprint, generations.c.generation_id).where(
    generations.c.gateway == bindparam("b_gateway"),
    generations.c.request_fingerprint.in_(bindparam("b_fingerprints", expanding=True)),
)
_IN_PLAN = (
    select(
        *(plan_rows.c.row_key, plan_rows.c.prompt_id),
        *(generations.c.request_fingerprint, generations.c.gateway),
    )
    .select_from(WITH_GATEWAY)
    .where(plan_rows.c.out_id == bindparam("b_out"), plan_rows.c.in_plan)
)
_ONE = (plan_rows.c.out_id == bindparam("b_out"), plan_rows.c.row_key == bindparam("b_key"))
_CHANGE = (
    update(plan_rows)
    .where(*_ONE)
    .values(
        {
            **{name: bindparam(f"v_{name}") for name in _STORED if name != "row_key"},
            "generation_id": bindparam("v_generation_id"),
            "digest": bindparam("v_digest"),
            "in_plan": True,
            "last_plan_hash": None,
        }
    )
)
_LEAVE = update(plan_rows).where(*_ONE).values(in_plan=False, last_plan_hash=bindparam("b_last"))
