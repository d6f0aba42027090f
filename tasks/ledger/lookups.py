"""Questions asked now and then: payloads, runs, a generation's attempts, prompts known before. Reads only."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from reelsweep.tasks.ledger.reads import read_attempts
from reelsweep.tasks.ledger.records import AttemptRecord, ToldPosts
from reelsweep.tasks.ledger.schema import attempts, generations, outs, plan_rows, runs
from sqlalchemy import JSON, BigInteger, Connection, Select, Text, bindparam, cast, exists, func, select

_ASKED_AT_ONCE = 1_000
_NAMES_AT_ONCE = 20_000
"""As one value: a parameter for each would take four times as long."""
_IDS_AT_ONCE = 200_000
"""Likewise; each time all attempts are gone through."""


def read_payload(conn: Connection, gateway: str, fingerprint: str) -> str:
    """The canonical request of a generation. Raises LookupError."""
    payload = conn.execute(
        _PAYLOAD, {"b_gateway": gateway, "b_fingerprint": fingerprint}
    ).scalar_one_or_none()
    if payload is None:
        raise LookupError(f"no plan in this ledger asks {gateway} for {fingerprint}")
    return payload


def read_latest_plan(conn: Connection, out_id: str) -> tuple[str, str] | None:
    """The gateway and the hash of an OUT's latest plan."""
    row = conn.execute(select(outs.c.gateway, outs.c.plan_hash).where(outs.c.out_id == out_id)).one_or_none()
    return None if row is None else (row.gateway, row.plan_hash)


def lacks_any(conn: Connection, attempt_ids: Sequence[str]) -> bool:
    """Whether the ledger does not know one of these attempts; looks at the last ones first."""
    missing = _missing_statement(conn.dialect.name)
    for end in range(len(attempt_ids), 0, -_NAMES_AT_ONCE):
        names = json.dumps(attempt_ids[max(0, end - _NAMES_AT_ONCE) : end])
        if conn.execute(missing, {"b_names": names}).first() is not None:
            return True
    return False


def lacks_told(conn: Connection, told: Sequence[ToldPosts]) -> bool:
    """Whether no POST is known that was sent when a line says, or fewer POSTs than it counts as paid."""
    missing = _silent_statement(conn.dialect.name)
    for at in range(0, len(told), _NAMES_AT_ONCE):
        if conn.execute(missing, {"b_told": json.dumps(told[at : at + _NAMES_AT_ONCE])}).first() is not None:
            return True
    return False


def known_ids(conn: Connection, ids: Sequence[str]) -> frozenset[str]:
    """Of these names, those that a gateway or a key of ours has given an attempt, of whichever OUT."""
    found: set[str] = set()
    ids = [name for name in ids if _is_text(name)]
    for at in range(0, len(ids), _IDS_AT_ONCE):
        names = json.dumps(ids[at : at + _IDS_AT_ONCE])
        for statement in _known_statements(conn.dialect.name):
            found.update(conn.execute(statement, {"b_names": names}).scalars())
    return frozenset(found)


def _is_text(name: str) -> bool:
    """Whether PostgreSQL has such a text: without NUL and halves of characters. No attempt is called so."""
    return "\0" not in name and not any("\ud800" <= char <= "\udfff" for char in name)


def read_given_back(conn: Connection) -> set[tuple[str, str]]:
    """(gateway, fingerprint) of what was sent and would be bought again by itself, as surely unbilled."""
    return {(row.gateway, row.request_fingerprint) for row in conn.execute(_GIVEN_BACK)}


def read_attempts_of(conn: Connection, gateway: str, fingerprint: str) -> list[AttemptRecord]:
    """A generation's attempts, oldest first."""
    ids = conn.execute(_ATTEMPT_IDS, {"b_gateway": gateway, "b_fingerprint": fingerprint}).scalars().all()
    found = read_attempts(conn, ids)
    return [found[attempt_id] for attempt_id in ids]


def knows_any_prompt(conn: Connection, out_id: str, prompt_ids: Sequence[str]) -> bool | None:
    """Whether one of the prompts was ever planned in the OUT; None when nothing was."""
    if conn.execute(_ANY_ROW, {"b_out": out_id}).first() is None:
        return None
    for at in range(0, len(prompt_ids), _ASKED_AT_ONCE):
        asked = list(prompt_ids[at : at + _ASKED_AT_ONCE])
        if conn.execute(_KNOWN_PROMPT, {"b_out": out_id, "b_prompts": asked}).first() is not None:
            return True
    return False


def read_bought_before(conn: Connection, out_id: str, gateway: str) -> dict[str, str]:
    """Fingerprints never paid for, and the one that was paid for in their place and left the plan."""
    place = {"b_out": out_id, "b_gateway": gateway}
    paid = {tuple(row[:-1]): row.request_fingerprint for row in conn.execute(_PAID_AND_GONE, place)}
    if not paid:
        return {}
    asked = conn.execute(_ASKED_AND_UNPAID, place)
    return {row.request_fingerprint: paid[tuple(row[:-1])] for row in asked if tuple(row[:-1]) in paid}


def read_paid_elsewhere(conn: Connection, gateway: str) -> frozenset[str]:
    """Fingerprints that some other gateway of this ledger was paid for with success."""
    return frozenset(conn.execute(_PAID_ELSEWHERE, {"b_gateway": gateway}).scalars())


def read_run_rows(conn: Connection, out_id: str | None) -> list[Mapping[str, Any]]:
    """Runs by the columns of their table, oldest first."""
    asked = select(runs).order_by(runs.c.started_at, runs.c.run_id)
    if out_id is not None:
        asked = asked.where(runs.c.out_id == out_id)
    return [dict(row) for row in conn.execute(asked).mappings()]


def _listed(dialect: str) -> Any:
    """The names in a JSON list, as a table with a column `value`."""
    names = bindparam("b_names", type_=Text)
    if dialect == "postgresql":
        return func.json_array_elements_text(cast(names, JSON)).table_valued("value")
    return func.json_each(names).table_valued("value")


@cache
def _known_statements(dialect: str) -> list[Select[Any]]:
    """For each kind of id, those of a JSON list that an attempt has."""
    kinds = ("idempotency_key", "request_id", "completion_id", "gateway_task_id")
    columns = [attempts.c[kind] for kind in kinds]
    return [select(column).where(column.in_(select(_listed(dialect).c.value))) for column in columns]


@cache
def _missing_statement(dialect: str) -> Select[Any]:
    """One of the names in a JSON list that no attempt has; to fetch all that are there takes longer."""
    listed = _listed(dialect)
    return select(listed.c.value).where(~exists().where(attempts.c.attempt_id == listed.c.value)).limit(1)


@cache
def _silent_statement(dialect: str) -> Select[Any]:
    """One of the lists in a JSON list, each the fields of `ToldPosts`, that no generation bears out."""
    told = bindparam("b_told", type_=Text)
    listed: Any
    if dialect == "postgresql":
        listed = func.json_array_elements(cast(told, JSON)).table_valued("value")
        parts = [listed.c.value.op("->>")(at) for at in range(4)]
    else:
        listed = func.json_each(told).table_valued("value")
        parts = [func.json_extract(listed.c.value, f"$[{at}]") for at in range(4)]
    gateway, fingerprint, sent_at, num_purchases = parts
    of_it = (
        generations.c.gateway == gateway,
        generations.c.request_fingerprint == fingerprint,
        attempts.c.generation_id == generations.c.generation_id,
    )
    is_known = exists().where(*of_it, attempts.c.sent_at == cast(sent_at, BigInteger))
    num_known = select(func.count()).select_from(attempts, generations).where(*of_it).scalar_subquery()
    has_fewer = (cast(num_purchases, BigInteger) > 1) & (num_known < cast(num_purchases, BigInteger))
    return select(listed.c.value).where(~is_known | has_fewer).limit(1)


_BY_KEY = (
    generations.c.gateway == bindparam("b_gateway"),
    generations.c.request_fingerprint == bindparam("b_fingerprint"),
)
_PAYLOAD = select(generations.c.payload).where(*_BY_KEY)
_ATTEMPT_IDS = (
    select(attempts.c.attempt_id)
    .join_from(attempts, generations, attempts.c.generation_id == generations.c.generation_id)
    .where(*_BY_KEY)
    .order_by(attempts.c.attempt_idx)
)
_GIVEN_BACK = select(generations.c.gateway, generations.c.request_fingerprint).where(
    generations.c.next_step == "buy", generations.c.num_attempts > 0
)
_PAID_ELSEWHERE = (
    select(generations.c.request_fingerprint)
    .where(generations.c.gateway != bindparam("b_gateway"), generations.c.status == "success")
    .distinct()
)
_ANY_ROW = select(plan_rows.c.row_key).where(plan_rows.c.out_id == bindparam("b_out")).limit(1)
_KNOWN_PROMPT = (
    select(plan_rows.c.row_key)
    .where(
        plan_rows.c.out_id == bindparam("b_out"),
        plan_rows.c.prompt_id.in_(bindparam("b_prompts", expanding=True)),
    )
    .limit(1)
)
_SAME_REQUEST = (
    plan_rows.c.prompt,
    plan_rows.c.model,
    plan_rows.c.seed,
    plan_rows.c.sample_idx,
    generations.c.request_fingerprint,
)
_OF_OUT = (
    select(*_SAME_REQUEST)
    .join_from(plan_rows, generations, plan_rows.c.generation_id == generations.c.generation_id)
    .where(plan_rows.c.out_id == bindparam("b_out"), generations.c.gateway == bindparam("b_gateway"))
)
_PAID_AND_GONE = _OF_OUT.where(plan_rows.c.in_plan.is_(False), generations.c.num_purchases > 0)
_ASKED_AND_UNPAID = _OF_OUT.where(plan_rows.c.in_plan, generations.c.num_purchases == 0)
