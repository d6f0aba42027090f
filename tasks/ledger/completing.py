"""Requests of which a ledger that was made anew knows a part, or nothing: completed by the plan that asks.

Inside the transaction that records a plan's rows.
"""

from __future__ import annotations

from collections.abc import Sequence

from reelsweep.prompts.fingerprint import is_asked_by
from reelsweep.tasks.ledger.records import PlanRow
from reelsweep.tasks.ledger.schema import generations
from sqlalchemy import Connection, bindparam, select, update


def complete(conn: Connection, gateway: str, rows: Sequence[PlanRow]) -> None:
    """Store the requests of `rows` where what is there is not whole: the fingerprint is its hash."""
    asked = {row.request_fingerprint: row for row in rows}
    if not asked:
        return
    stored = conn.execute(_STORED, {"b_gateway": gateway, "b_fingerprints": list(asked)}).all()
    partial = [
        {"b_gateway": gateway, "b_fingerprint": name, "v_payload": asked[name].payload}
        for name, payload in stored
        if payload != asked[name].payload and not is_asked_by(name, payload, asked[name].sample_idx)
    ]
    if partial:
        conn.execute(_COMPLETE, partial)


_STORED = select(generations.c.request_fingerprint, generations.c.payload).where(
    generations.c.gateway == bindparam("b_gateway"),
    generations.c.request_fingerprint.in_(bindparam("b_fingerprints", expanding=True)),
)
_COMPLETE = (
    update(generations)
    .where(
        generations.c.gateway == bindparam("b_gateway"),
        generations.c.request_fingerprint == bindparam("b_fingerprint"),
    )
    .values(payload=bindparam("v_payload"))
)
