"""What generations have come to, for whoever judges their content. Reads only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from reelsweep.tasks.ledger.records import Made
from reelsweep.tasks.ledger.schema import attempts, generations, plan_rows, results
from sqlalchemy import Connection, Select, bindparam, exists, select

_ASKED_AT_ONCE = 1_000


def read_made(
    conn: Connection, gateway: str, out_id: str, fingerprints: Sequence[str] | None
) -> dict[str, Made]:
    """By fingerprint; all that an OUT ever planned when none are named, else those the ledger knows."""
    if fingerprints is None:
        return _made(conn, _OF_OUT, {"b_gateway": gateway, "b_out": out_id})
    found: dict[str, Made] = {}
    for at in range(0, len(fingerprints), _ASKED_AT_ONCE):
        asked = {"b_gateway": gateway, "b_fingerprints": fingerprints[at : at + _ASKED_AT_ONCE]}
        found |= _made(conn, _OF_FINGERPRINTS, asked)
    return found


def _made(conn: Connection, which: tuple[Any, ...], asked: Mapping[str, Any]) -> dict[str, Made]:
    clips: dict[str, list[Mapping[str, Any]]] = {}
    for row in conn.execute(_CLIPS.where(*which), asked):
        clips.setdefault(row[0], []).append(row[1])
    return {
        row.request_fingerprint: Made(
            status=row.status,
            is_open=row.next_step != "none",
            billed=row.billed,
            refused_at=row.refused_at,
            num_purchases=row.num_purchases,
            clips=tuple(clips.get(row.request_fingerprint, ())),
        )
        for row in conn.execute(_MADE.where(*which), asked)
    }


_GATEWAY = generations.c.gateway == bindparam("b_gateway")
_OF_OUT = (
    _GATEWAY,
    exists().where(
        plan_rows.c.generation_id == generations.c.generation_id, plan_rows.c.out_id == bindparam("b_out")
    ),
)
_OF_FINGERPRINTS = (
    _GATEWAY,
    generations.c.request_fingerprint.in_(bindparam("b_fingerprints", expanding=True)),
)
_MADE: Select[Any] = select(
    generations.c.request_fingerprint,
    generations.c.status,
    generations.c.next_step,
    generations.c.billed,
    generations.c.num_purchases,
    attempts.c.refused_at,
).join_from(generations, attempts, attempts.c.attempt_id == generations.c.attempt_id, isouter=True)
_CLIPS: Select[Any] = (
    select(generations.c.request_fingerprint, results.c.facts)
    .join_from(generations, results, results.c.attempt_id == generations.c.attempt_id)
    .where(generations.c.status == "success", results.c.status == "success")
    .order_by(results.c.attempt_id, results.c.choice_idx)
)
