"""From an outcome to a settled row: the one place where attempts end.

Used for a fresh POST, for a recovered attempt and for a transcript read again. Order is everything:
the outcome is durable before a download, a file's hash before its rename, the row last.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from reelsweep.prompts.errors import TroubleError
from reelsweep.prompts.request import GenerationSpec
from reelsweep.tasks.gateway.client import Tape
from reelsweep.tasks.gateway.explain import manifest_status_of
from reelsweep.tasks.gateway.hide import hide
from reelsweep.tasks.gateway.outcome import Choice, Outcome
from reelsweep.tasks.gateway.transcript import scrub, scrub_text
from reelsweep.tasks.ledger.records import Answer, ManifestStatus, ResultRecord
from reelsweep.tasks.purchase.ask import ask_once
from reelsweep.tasks.purchase.context import RunContext
from reelsweep.tasks.purchase.ends import RowEnd, end_of_outcome
from reelsweep.tasks.purchase.fetch import fetch_choices
from reelsweep.tasks.purchase.insist import insist


async def conclude(
    spec: GenerationSpec, context: RunContext, attempt_id: str, outcome: Outcome, tape: Tape | None = None
) -> RowEnd:
    """Record the outcome, fetch and store what it names, settle the row."""
    outcome = _without_secrets(outcome, context)
    if outcome.status == "succeeded":
        end = await _keep(spec, context, attempt_id, outcome, tape)
    else:
        end = await _record(spec, context, attempt_id, outcome, tape)
    _count(context, spec, outcome, end)
    return end


async def _record(
    spec: GenerationSpec, context: RunContext, attempt_id: str, outcome: Outcome, tape: Tape | None
) -> RowEnd:
    """An attempt without a result: its outcome and its transcript."""
    status = manifest_status_of(outcome)
    answer = _answer(spec, context, attempt_id, outcome, status, tape)
    await insist(context, partial(context.ledger.answer, attempt_id, answer))
    retry_in_s = (
        context.policy.long_backoff_s if outcome.retry == "backoff_long" and outcome.billed == "no" else None
    )
    return end_of_outcome(status, outcome, retry_in_s)


async def _keep(
    spec: GenerationSpec, context: RunContext, attempt_id: str, outcome: Outcome, tape: Tape | None
) -> RowEnd:
    """An attempt with a result: answer, fetch, settle. OUT keeps what the ledger cannot take."""
    kept = tape if context.policy.keep_transcripts else None
    answer = _answer(spec, context, attempt_id, outcome, "in_progress", kept)

    def keep() -> None:
        if tape is not None:
            _keep_transcript(context, attempt_id, tape)

    await insist(context, partial(context.ledger.answer, attempt_id, answer), keep)
    return await keep_results(spec, context, attempt_id, outcome, tape)


async def cut_short(
    spec: GenerationSpec, context: RunContext, attempt_id: str, outcome: Outcome, tape: Tape
) -> None:
    """Record an attempt that this side cut off: what was seen is kept, nothing is fetched now."""
    outcome = _without_secrets(outcome, context)
    status = "in_progress" if outcome.status == "succeeded" else manifest_status_of(outcome)
    await context.ledger.answer(attempt_id, _answer(spec, context, attempt_id, outcome, status, tape))


async def keep_results(
    spec: GenerationSpec,
    context: RunContext,
    attempt_id: str,
    outcome: Outcome,
    tape: Tape | None,
    known: Sequence[ResultRecord] = (),
) -> RowEnd:
    """Fetch what the choices name and settle: from here on only bytes can be missing, never money."""
    if spec.output == "text":
        results = tuple(_text_result(choice) for choice in outcome.choices)
    else:

        async def refresh(choice_idx: int) -> str | None:
            answer = await ask_once(context, outcome)
            choices = () if answer is None else answer.choices
            return next((choice.video_url for choice in choices if choice.choice_idx == choice_idx), None)

        by_choice = {result.choice_idx: result for result in known}
        results = await fetch_choices(context, attempt_id, outcome, refresh, by_choice)
    status = _status_of(results)
    if status != "success" and tape is not None:
        _keep_transcript(context, attempt_id, tape)
    await insist(context, partial(context.ledger.settle, attempt_id, results, status))
    failure = next((result for result in results if result.status != "success"), None)
    if status == "success" or failure is None:
        return RowEnd(status=status)
    return RowEnd(status=status, error_type=failure.error_type, message=failure.error_message or "")


def _answer(
    spec: GenerationSpec,
    context: RunContext,
    attempt_id: str,
    outcome: Outcome,
    status: ManifestStatus,
    tape: Tape | None,
) -> Answer:
    cost_musd = _cost_musd(spec, context, outcome)
    return Answer(
        outcome=outcome,
        manifest_status=status,
        billed=outcome.billed,
        cost_musd=cost_musd,
        cost_source=None if cost_musd is None else "price",
        worst_musd=None if context.price is None else context.price.max_musd(spec),
        transcript=None if tape is None else _keep_transcript(context, attempt_id, tape),
        key_ttl_s=context.profile.key_ttl_s,
    )


def _cost_musd(spec: GenerationSpec, context: RunContext, outcome: Outcome) -> int | None:
    """What the gateway bills for this answer; None while that, or the price, is not known."""
    if context.price is None or outcome.billed == "maybe":
        return None
    choices = max(1, len(outcome.choices))
    return 0 if outcome.billed == "no" else context.price.max_musd(spec) * choices // max(choices, spec.n)


def _keep_transcript(context: RunContext, attempt_id: str, tape: Tape) -> str | None:
    """Its file name. A disk that cannot take it ends the run, but never costs the outcome."""
    body = tape.bytes()
    keys = [context.key] if context.key else []
    try:
        return context.store.write_transcript(attempt_id, scrub(body, keys)) if body else None
    except TroubleError as error:
        context.trouble(error)
        return None


def _text_result(choice: Choice) -> ResultRecord:
    return ResultRecord(
        choice_idx=choice.choice_idx,
        status="success",
        text=choice.text,
        tool_calls=choice.tool_calls,
        finish_reason=choice.finish_reason,
    )


def _status_of(results: tuple[ResultRecord, ...]) -> ManifestStatus:
    """A generation is done when its attempt is settled: one whole choice makes it a success."""
    statuses = [result.status for result in results]
    for status in ("failed_to_download", "success", "invalid_output"):
        if status in statuses:
            return status
    return "failed"


def _count(context: RunContext, spec: GenerationSpec, outcome: Outcome, end: RowEnd) -> None:
    match end.status:
        case "success":
            context.purchase_ended(spec.model, "result")
        case "refused":
            context.purchase_ended(spec.model, "refused")
        case _:
            context.purchase_ended(spec.model, "unbilled" if outcome.billed == "no" else "no_result")


def _without_secrets(outcome: Outcome, context: RunContext) -> Outcome:
    """A gateway that repeats the key must not get it into a file."""
    hidden = hide(outcome, context.key)
    if not context.key or not hidden.error_message:
        return hidden
    return replace(hidden, error_message=scrub_text(hidden.error_message, [context.key]))
