"""What came of an attempt: noted at first sight, answered, stored, settled.

Receiving is never fenced: an outcome is taken by attempt id, however late, whoever owned it. A success
is never taken back. All of it runs inside the writer's transaction, and twice comes to the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import replace
from datetime import datetime
from functools import cache
from typing import Any
from urllib.parse import urlsplit

from reelsweep.tasks.gateway.outcome import Billed, Outcome
from reelsweep.tasks.ledger.batch import Batch, add_missing
from reelsweep.tasks.ledger.charges import (
    BILLED,
    HELD,
    answer_columns,
    is_charged,
    is_same_sale,
    money_columns,
    weight,
)
from reelsweep.tasks.ledger.entries import Entry, change, changed, read_entry
from reelsweep.tasks.ledger.records import Answer, ManifestStatus, ResultRecord
from reelsweep.tasks.ledger.schema import results
from reelsweep.tasks.ledger.standing import State, Trace, is_definite, is_refunded, is_success, key_sent_at
from sqlalchemy import Update, bindparam, select, update

_FETCHED_LATER: frozenset[ManifestStatus] = frozenset({"in_progress", "failed_to_download"})


def note(
    conn: Batch,
    attempt_id: str,
    *,
    task_id: str | None,
    status_url: str | None,
    first_event_at: datetime | None,
) -> None:
    """Keep what is seen while the stream is open."""
    entry = read_entry(conn, attempt_id)
    seen = {"gateway_task_id": task_id, "status_url": status_url, "first_event_at": first_event_at}
    change(conn, entry, {name: value for name, value in seen.items() if value is not None}, keep_claim=True)


def answer(conn: Batch, attempt_id: str, answer: Answer, now: datetime) -> None:
    """Take the outcome of an attempt, unless more is known of it: two processes may hear of one POST."""
    entry = read_entry(conn, attempt_id)
    if _is_known_better(entry.trace, answer):
        return
    state = _state_after(entry, answer)
    status: ManifestStatus = "in_progress" if state == "answered" else answer.manifest_status
    for choice in answer.outcome.choices:
        values = {
            "status": status,
            "video_url": choice.video_url if state in ("answered", "surplus") else None,
            "text": choice.text,
            "tool_calls": choice.tool_calls,
            "finish_reason": choice.finish_reason,
        }
        _write_result(conn, attempt_id, choice.choice_idx, values)
    values = {"state": state, "status": status, **_outcome_columns(answer, entry.trace, now)}
    sale = changed(entry.trace, values)
    is_paid = _is_paid_already(entry, sale, answer.key_ttl_s)
    if is_paid:
        values |= {"billed": "no", **money_columns(entry.trace, "no", None)}
    after = change(conn, entry, values, keep_claim=state == "answered")
    if is_definite(after.trace) and not is_refunded(after.trace):
        _refund_same_sale(conn, after, HELD + 1 if is_paid else min(weight(sale), BILLED), answer.key_ttl_s)
    _erase_when_done(conn, after)


def stored(
    conn: Batch, attempt_id: str, choice_idx: int, *, sha256: str, size_bytes: int, file_name: str
) -> None:
    """Record what a downloaded file is, before it is renamed."""
    values = {"sha256": sha256, "size_bytes": size_bytes, "file_name": file_name}
    _write_result(conn, attempt_id, choice_idx, values)


def settle(
    conn: Batch, attempt_id: str, records: Sequence[ResultRecord], status: ManifestStatus, now: datetime
) -> None:
    """End an attempt with its results; the generation stands as `status`, a later fetch apart."""
    entry = read_entry(conn, attempt_id)
    if is_success(entry.trace):
        return
    for record in records:
        _write_result(conn, attempt_id, record.choice_idx, _settled_columns(record))
    state = _state_settled(entry, status)
    values: dict[str, Any] = {"state": state, "status": status}
    if entry.trace.kind is None:
        values["completed_at"] = now
    after = change(conn, entry, values)
    if status not in ("success", "in_progress"):
        after = _promote_surplus(conn, after)
    _erase_when_done(conn, after)


def decide(
    conn: Batch,
    attempt_id: str,
    billed: Billed,
    cost_musd: int | None,
    source: str,
    job_id: str | None = None,
) -> None:
    """A bill says what an attempt cost, and may name its job; its fate stays what it is."""
    entry = read_entry(conn, attempt_id)
    values = {"billed": billed, "cost_source": source, **money_columns(entry.trace, billed, cost_musd)}
    if job_id is not None and entry.trace.completion_id is None:
        values["completion_id"] = job_id
    change(conn, entry, values, keep_claim=True)


def _is_known_better(trace: Trace, answer: Answer) -> bool:
    """A result stays until it is settled, and no end that was not seen replaces a definite answer."""
    if is_success(trace) or trace.state == "surplus":
        return True
    if _has_result(trace):
        return answer.outcome.status != "succeeded"
    is_open = answer.outcome.status in ("incomplete", "submitted")
    return is_open and is_definite(trace) and trace.kind != "submitted"


def _state_after(entry: Entry, answer: Answer) -> State:
    if answer.outcome.status in ("succeeded", "submitted") or answer.manifest_status == "in_progress":
        rival = any(_has_result(trace) for trace in entry.others)
        return "surplus" if rival and answer.outcome.status == "succeeded" else "answered"
    return "unknown" if answer.manifest_status == "unknown" else "settled"


def _has_result(trace: Trace) -> bool:
    return is_success(trace) or (trace.state == "answered" and trace.kind == "succeeded")


def _state_settled(entry: Entry, status: ManifestStatus) -> State:
    if status == "success" and any(is_success(trace) for trace in entry.others):
        return "surplus"
    if status == "unknown":
        return "unknown"
    return "answered" if status in _FETCHED_LATER else "settled"


def _outcome_columns(answer: Answer, trace: Trace, now: datetime) -> dict[str, Any]:
    outcome = answer.outcome
    return {
        "kind": outcome.status,
        "retry": outcome.retry,
        "http_status": outcome.http_status,
        "error_type": outcome.error_type,
        "error_code": outcome.error_code,
        "error_message": outcome.error_message,
        "refused_at": outcome.refused_at,
        "request_id": outcome.request_id,
        "completion_id": outcome.completion_id or trace.completion_id,
        "gateway_task_id": outcome.task_id or trace.gateway_task_id,
        "status_url": outcome.status_url or trace.status_url,
        "video_host": _host_of(outcome),
        "served_model": outcome.served_model,
        "system_fingerprint": outcome.system_fingerprint,
        "finish_reason": outcome.finish_reason,
        "usage_prompt_tokens": outcome.usage.prompt_tokens,
        "usage_completion_tokens": outcome.usage.completion_tokens,
        "transcript": answer.transcript,
        "wire_sha256": answer.wire_sha256,
        "completed_at": now,
        **answer_columns(answer, trace),
    }


def _host_of(outcome: Outcome) -> str | None:
    if outcome.video_url is None:
        return None
    try:
        return urlsplit(outcome.video_url).hostname
    except ValueError:
        return None


def _promote_surplus(conn: Batch, entry: Entry) -> Entry:
    """The result we relied on is no good: a second one whose address is still known takes its place."""
    for trace in entry.others:
        if trace.state == "surplus" and conn.execute(_HAS_URL, {"b_attempt": trace.attempt_id}).first():
            return change(conn, replace(entry, trace=trace), {"state": "answered", "status": "in_progress"})
    return entry


def _is_paid_already(entry: Entry, sale: Trace, key_ttl_s: float | None) -> bool:
    """Whether the gateway gave the same job twice for one key: one sale, counted with the other attempt."""
    least = max(weight(sale), HELD + 1)
    payers = (trace for trace in entry.others if weight(trace) >= least)
    since = key_sent_at(entry.traces, sale.idempotency_key)
    return not is_charged(sale) and any(is_same_sale(trace, sale, key_ttl_s, since) for trace in payers)


def _refund_same_sale(conn: Batch, entry: Entry, limit: int, key_ttl_s: float | None) -> None:
    """Other POSTs under this key may be this sale and no other: what is lighter than `limit` is given back.

    An answer that sold nothing may be to the second POST alone (the key is in use for another body, the
    model is gone): it says what the first one cost only where it names the first one's job.
    """
    sale = entry.trace
    if not limit:
        limit, key_ttl_s = HELD + 2, None
    since = key_sent_at(entry.traces, sale.idempotency_key)
    for trace in entry.others:
        is_held = trace.state != "intent" and HELD <= weight(trace) < limit
        if is_held and is_same_sale(trace, sale, key_ttl_s, since):
            rival = replace(entry, trace=trace)
            entry = change(conn, rival, {"billed": "no", **money_columns(trace, "no", None)}, keep_claim=True)


def _erase_when_done(conn: Batch, entry: Entry) -> None:
    """Addresses of videos are secrets that expire: gone as soon as nobody will fetch them."""
    won = any(is_success(trace) for trace in entry.traces)
    kept: Set[State] = set() if won else {"answered", "surplus"}
    for trace in entry.traces:
        if trace.state not in kept:
            conn.later(_ERASE, {"b_attempt": trace.attempt_id})


def _settled_columns(record: ResultRecord) -> dict[str, Any]:
    """What a settled choice says; what is not said again stays as the answer had it."""
    known = {name: getattr(record, name) for name in _SETTLED_COLUMNS}
    values = {name: value for name, value in known.items() if value}
    return {
        "status": record.status,
        "error_type": record.error_type,
        "error_message": record.error_message,
        "download_s": record.download_s,
        **values,
    }


def _write_result(conn: Batch, attempt_id: str, choice_idx: int, values: Mapping[str, Any]) -> None:
    key = {"b_attempt": attempt_id, "b_choice": choice_idx}
    asked = {f"v_{name}": value for name, value in values.items()}
    conn.later(_FIRST_RESULT, {**key, "b_status": "in_progress", "b_facts": {}})
    conn.later(_result_statement(tuple(values)), {**key, **asked})


@cache
def _result_statement(names: tuple[str, ...]) -> Update:
    values: dict[str, Any] = {name: bindparam(f"v_{name}") for name in names}
    key = (results.c.attempt_id == bindparam("b_attempt"), results.c.choice_idx == bindparam("b_choice"))
    return update(results).where(*key).values(values)


_SETTLED_COLUMNS = (
    "file_name",
    "sha256",
    "size_bytes",
    "mime_type",
    "text",
    "tool_calls",
    "finish_reason",
    "facts",
)
_FIRST_RESULT = add_missing(
    results,
    {"attempt_id": "b_attempt", "choice_idx": "b_choice"},
    {"status": "b_status", "facts": "b_facts"},
)
_HAS_URL = select(results.c.choice_idx).where(
    results.c.attempt_id == bindparam("b_attempt"), results.c.video_url.is_not(None)
)
_ERASE = (
    update(results)
    .where(results.c.attempt_id == bindparam("b_attempt"), results.c.video_url.is_not(None))
    .values(video_url=None)
)
