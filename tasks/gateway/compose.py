"""Outcomes made of evidence: the columns of the table of outcomes that every row shares.

Used by `judge` and `poll`. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping

from reelsweep.tasks.gateway.classify import Verdict
from reelsweep.tasks.gateway.error_types import ErrorTypeName
from reelsweep.tasks.gateway.evidence import Evidence
from reelsweep.tasks.gateway.faults import Fault
from reelsweep.tasks.gateway.outcome import Billed, Choice, Outcome, RefusedAt, Retry, Status, StopScope
from reelsweep.tasks.gateway.rules import Rule
from reelsweep.tasks.gateway.transcript import scrub_text

SHOWN_CHARS = 500

_CUT_TYPES: Mapping[str | None, ErrorTypeName] = {
    "idle": "silence",
    "timeout": "timeout",
    "client": "interrupted",
}
_NO_FAULT = Fault()


def outcome_of(
    evidence: Evidence,
    choices: tuple[Choice, ...],
    *,
    status: Status,
    retry: Retry | None,
    billed: Billed,
    error_type: ErrorTypeName | None = None,
    fault: Fault = _NO_FAULT,
    refused_at: RefusedAt | None = None,
    stop_scope: StopScope | None = None,
    retry_after_s: float | None = None,
    notes: tuple[str, ...] = (),
) -> Outcome:
    """An Outcome with everything that the body showed."""
    return Outcome(
        status=status,
        retry=retry,
        billed=billed,
        choices=choices,
        preview_url=evidence.preview_url,
        task_id=evidence.task_id,
        status_url=evidence.status_url,
        progress=evidence.progress,
        refused_at=refused_at,
        stop_scope=stop_scope,
        error_type=error_type,
        error_code=fault.code or error_type,
        error_message=shown(fault.message) or None,
        retry_after_s=retry_after_s,
        http_status=evidence.terms.http_status,
        request_id=evidence.terms.request_id or fault.request_id,
        completion_id=evidence.completion_id,
        served_model=evidence.served_model,
        system_fingerprint=evidence.system_fingerprint,
        finish_reason=next(
            (choice.finish_reason for choice in evidence.choices if choice.finish_reason), None
        ),
        usage=evidence.usage,
        num_events=evidence.num_events,
        notes=(*evidence.notes, *notes),
    )


def failed(evidence: Evidence, choices: tuple[Choice, ...], verdict: Verdict, fault: Fault) -> Outcome:
    """The Outcome of a fault by its rule."""
    rule = verdict.rule
    if rule.status == "incomplete":
        return incomplete(evidence, choices, error_type=rule.error_type, fault=fault)
    waits = rule.retry in ("backoff", "backoff_long") or rule.error_type == "rate_limit"
    return outcome_of(
        evidence,
        choices,
        status=rule.status,
        retry=rule.retry,
        billed=billed_by(rule, evidence),
        error_type=rule.error_type,
        refused_at=rule.refused_at,
        stop_scope=rule.stop_scope,
        fault=fault,
        retry_after_s=(evidence.terms.retry_after_s or verdict.retry_after_s) if waits else None,
    )


def billed_by(rule: Rule, evidence: Evidence) -> Billed:
    """Only what surely began nothing is `no`: an HTTP error, or an error before the first event."""
    began = evidence.terms.is_ok and evidence.num_events > 0
    match rule.status:
        case "stopped":
            return "no"
        case "failed" if rule.retry == "none":
            return "maybe" if began else "no"
        case "failed" if rule.retry in ("backoff", "backoff_long"):
            return "maybe" if began and not evidence.terms.stream_errors_free else "no"
        case _:
            return "maybe"


def incomplete(
    evidence: Evidence,
    choices: tuple[Choice, ...],
    *,
    error_type: ErrorTypeName | None = None,
    fault: Fault = _NO_FAULT,
) -> Outcome:
    """The Outcome of what stays open: ask by id or address where there is one, else hold."""
    if not fault.message:
        fault = Fault(
            code=fault.code, message=f"the body ended without an end after {evidence.num_events} events"
        )
    return outcome_of(
        evidence,
        choices,
        status="incomplete",
        retry="poll_status_url" if evidence.task_id or evidence.status_url else "resubmit_once",
        billed="maybe",
        error_type=error_type or _CUT_TYPES.get(evidence.cut, "cut"),
        fault=fault,
    )


def without_result(
    evidence: Evidence, choices: tuple[Choice, ...], error_type: ErrorTypeName, message: str
) -> Outcome:
    """The Outcome of a normal end with nothing usable."""
    return outcome_of(
        evidence,
        choices,
        status="no_video",
        retry="none",
        billed="yes",
        error_type=error_type,
        fault=Fault(message=message),
    )


def shown(message: str) -> str:
    """A message on one line, bounded, without what looks like a key."""
    line = " ".join(scrub_text(message[: 4 * SHOWN_CHARS]).split())
    return line if len(line) <= SHOWN_CHARS else f"{line[: SHOWN_CHARS - 1]}…"
