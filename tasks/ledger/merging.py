"""What is known of one POST when two sources tell of it: the files of two OUTs, or a file and the ledger.

For a ledger that is made anew from several OUTs. Pure; whoever is heard first, it comes to the same.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from reelsweep.tasks.ledger.records import AttemptRecord

_NEVER = datetime.min.replace(tzinfo=UTC)
_ENDED = {"intent": 0, "unknown": 0, "answered": 1, "settled": 2, "surplus": 2, "withdrawn": 2}
_OF_THE_POST = (
    *("run_id", "purchase_idx", "attempt_idx", "idempotency_key", "body_sha256", "sent_at", "out_id"),
    *("prefect_flow_run_id", "prefect_task_run_id"),
)
_MONEY = ("billed", "reserved_musd", "cost_musd", "cost_source")


def merged(known: AttemptRecord, told: AttemptRecord) -> AttemptRecord:
    """The POST as the ledger knows it, completed by what a file tells: a success, else the later end.

    Of ends at the same instant the one that is settled stands. What is in this ledger's hands stays.
    """
    if known.state in ("intent", "withdrawn"):
        return known
    later, earlier = (told, known) if _end(told) > _end(known) else (known, told)
    values: dict[str, Any] = {name: getattr(known, name) for name in _OF_THE_POST}
    values |= {name: getattr(_payer(later, earlier), name) for name in _MONEY}
    for name in ("gateway_task_id", "status_url", "transcript"):
        values[name] = getattr(later, name) or getattr(earlier, name)
    return replace(later, **values)


def _end(record: AttemptRecord) -> tuple[bool, datetime, int]:
    is_success = any(result.status == "success" for result in record.results)
    return is_success, record.completed_at or _NEVER, _ENDED[record.state]


def _payer(later: AttemptRecord, earlier: AttemptRecord) -> AttemptRecord:
    """Who tells its price: a bill before an answer; who says maybe takes nothing back that was settled."""
    if later.completed_at == earlier.completed_at:
        return max(later, earlier, key=_weight)
    if not _is_priced(earlier):
        return later
    if _is_priced(later):
        return earlier if earlier.cost_source == "bill" != later.cost_source else later
    return later if later.billed == "no" and earlier.cost_source != "bill" else earlier


def _is_priced(record: AttemptRecord) -> bool:
    return record.billed == "yes" and record.cost_musd is not None


def _weight(record: AttemptRecord) -> tuple[int, bool, int]:
    """How sure it is that it is paid for; bills bear no date in the files, so the dearer one is believed."""
    is_paid = {"no": 0, "yes": 2}.get(record.billed or "maybe", 1)
    return is_paid, record.cost_source == "bill", (record.cost_musd or 0) + (record.reserved_musd or 0)
