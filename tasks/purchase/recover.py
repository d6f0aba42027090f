"""Rows that were paid for earlier: ask how the job ended, fetch what is still missing. Never a POST."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from functools import partial

from reelsweep.prompts.request import GenerationSpec
from reelsweep.tasks.gateway.fold import read_body
from reelsweep.tasks.gateway.outcome import Choice, Outcome
from reelsweep.tasks.ledger.records import AttemptRecord, ManifestStatus, ResultRecord
from reelsweep.tasks.purchase.ask import ask_once, ask_until_ended
from reelsweep.tasks.purchase.conclude import conclude, keep_results
from reelsweep.tasks.purchase.context import RunContext
from reelsweep.tasks.purchase.ends import RowEnd


async def recover(spec: GenerationSpec, context: RunContext, attempt_id: str) -> RowEnd:
    """Ask for an attempt whose stream was cut; `unknown` when nobody knows it any more."""
    attempt = await context.ledger.attempt(attempt_id)
    asked = await context.store.off_loop(partial(_asked, attempt, context))
    answer = await ask_until_ended(context, asked)
    if answer.status == "incomplete":
        return await reread(spec, context, attempt)
    context.made_by(spec.model, answer)
    return await conclude(spec, context, attempt_id, answer)


async def reread(spec: GenerationSpec, context: RunContext, attempt: AttemptRecord) -> RowEnd:
    """Read the kept body with the reader of today; what it now shows is taken.

    It may be kept where the ledger knows of no answer: when that came, it could not be written down. Then
    nobody knows with which HTTP status, and only a result is believed.
    """
    still = RowEnd(status="unknown", error_type=attempt.error_type, message=attempt.error_message or "")
    body = await context.store.off_loop(partial(_body_of, attempt, context))
    if body is None:
        return still
    outcome = read_body(
        body,
        http_status=attempt.http_status or 200,
        base_url=str(context.profile.base_url),
        output=spec.output,
        now=datetime.now(UTC),
        cut="reset" if attempt.kind in (None, "incomplete") else None,
    )
    is_less = outcome.status in ("incomplete", "submitted", "stopped") or outcome.billed == "no"
    if is_less or (attempt.kind is None and outcome.status != "succeeded"):
        return still
    return await conclude(spec, context, attempt.attempt_id, outcome)


async def fetch_again(spec: GenerationSpec, context: RunContext, attempt_id: str) -> RowEnd:
    """Fetch and settle an attempt whose videos were named but not all stored."""
    attempt = await context.ledger.attempt(attempt_id)
    choices = tuple(
        Choice(
            choice_idx=result.choice_idx,
            video_url=result.video_url,
            text=result.text,
            tool_calls=result.tool_calls,
            finish_reason=result.finish_reason,
        )
        for result in attempt.results
    )
    outcome = Outcome(
        status="succeeded",
        billed="yes",
        choices=choices,
        task_id=attempt.gateway_task_id,
        status_url=attempt.status_url,
    )
    if spec.output == "video" and not any(result.video_url or result.sha256 for result in attempt.results):
        answer = await ask_once(context, outcome)
        if answer is not None and answer.status in ("no_video", "refused", "failed"):
            return await _without_video(context, attempt_id, answer)
        if answer is None or answer.video_url is None:
            return await _without_address(context, attempt_id, answer)
        outcome = replace(outcome, choices=answer.choices)
    return await keep_results(spec, context, attempt_id, outcome, None, attempt.results)


async def _without_video(context: RunContext, attempt_id: str, answer: Outcome) -> RowEnd:
    """The job is over and has no video: its end by the gateway's word, at the cost that is settled."""
    status: ManifestStatus = "refused" if answer.status == "refused" else "failed"
    message = answer.error_message or "the job has ended without a video"
    result = ResultRecord(choice_idx=0, status=status, error_type=answer.error_type, error_message=message)
    await context.ledger.settle(attempt_id, (result,), status)
    return RowEnd(status=status, error_type=answer.error_type, message=message)


async def _without_address(context: RunContext, attempt_id: str, answer: Outcome | None) -> RowEnd:
    """The clip is paid for and its address lost (the ledger was): it may yet be found, never bought again."""
    message = "its address is lost, and the gateway does not give another"
    if answer is not None and answer.error_message:
        message += f" ({answer.error_message})"
    await context.ledger.settle(attempt_id, (), "failed_to_download")
    return RowEnd(status="failed_to_download", error_type="download_not_found", message=message)


def _asked(attempt: AttemptRecord, context: RunContext) -> Outcome:
    """What the stream had said, by its transcript where one is kept, as a job that is still open."""
    said = Outcome(status="incomplete")
    body = _body_of(attempt, context)
    if body is not None:
        base_url = str(context.profile.base_url)
        said = read_body(body, http_status=attempt.http_status or 200, base_url=base_url, cut="reset")
    return replace(said, status="incomplete", task_id=attempt.gateway_task_id, status_url=attempt.status_url)


def _body_of(attempt: AttemptRecord, context: RunContext) -> bytes | None:
    return context.store.read_transcript(
        attempt.transcript or context.store.transcript_name(attempt.attempt_id)
    )
