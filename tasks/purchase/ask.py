"""Ask the gateway about a job it has already been paid for: GETs only, never a second POST.

Where a stream was cut or only acknowledged, the status URL it named, the profile's template or the
Videos shape under the base URL say how the job ended.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime

from reelsweep.tasks.artifacts.failures import DownloadError
from reelsweep.tasks.artifacts.fetch import fetch
from reelsweep.tasks.gateway.outcome import Outcome
from reelsweep.tasks.gateway.poll import read_status, recovery_urls
from reelsweep.tasks.purchase.context import RunContext
from reelsweep.tasks.purchase.wire import authorization

STATUS_BODY_BYTES = 1 << 20
FIRST_PAUSE_S = 1.0


def can_ask(context: RunContext, outcome: Outcome) -> bool:
    """Whether the outcome leaves the job open and says how to ask about it."""
    return outcome.status in ("submitted", "incomplete") and bool(_urls(context, outcome))


async def ask_until_ended(context: RunContext, outcome: Outcome) -> Outcome:
    """Ask, soon at first and then every `poll_s`, until the job has ended or its time is over.

    Where nobody knows the job the outcome stays, or becomes, `incomplete`.
    """
    times, pause_s = context.policy.times, FIRST_PAUSE_S
    give_up_at = context.clock() + times.stream_s
    lost_at = context.clock() + min(context.policy.lost_s, times.stream_s)
    while True:
        answer = await ask_once(context, outcome)
        if answer is not None and answer.status not in ("submitted", "incomplete"):
            return _joined(outcome, answer)
        if answer is not None and answer.status == "submitted":
            lost_at = context.clock() + min(context.policy.lost_s, times.stream_s)
        elif (answer is None and outcome.status == "incomplete") or context.clock() >= lost_at:
            return _lost(outcome)
        if context.clock() >= give_up_at:
            return outcome
        await asyncio.sleep(pause_s)
        pause_s = min(2 * pause_s, context.policy.poll_s)


def _joined(said: Outcome, answer: Outcome) -> Outcome:
    """The job's end with what the stream had said: its words are what a later edit has to repeat."""
    texts = {choice.choice_idx: choice for choice in said.choices}
    choices = tuple(
        replace(choice, text=choice.text or texts[choice.choice_idx].text)
        if choice.choice_idx in texts
        else choice
        for choice in answer.choices
    )
    return replace(
        answer,
        choices=choices,
        http_status=said.http_status or answer.http_status,
        request_id=said.request_id or answer.request_id,
        completion_id=said.completion_id or answer.completion_id,
        served_model=said.served_model or answer.served_model,
        system_fingerprint=said.system_fingerprint or answer.system_fingerprint,
        usage=said.usage,
        num_events=said.num_events,
    )


def _lost(outcome: Outcome) -> Outcome:
    if outcome.status == "incomplete":
        return outcome
    message = "the gateway took the job and then did not know it"
    return replace(
        outcome, status="incomplete", billed="maybe", error_type="not_found", error_message=message
    )


async def ask_once(context: RunContext, outcome: Outcome) -> Outcome | None:
    """One round of questions; None when no address knew the job, `incomplete` when one was out of reach."""
    open_answers: list[Outcome] = []
    for url in _urls(context, outcome):
        answer = await _get(context, url, outcome)
        if answer is None:
            continue
        if answer.status not in ("submitted", "incomplete"):
            return answer
        open_answers.append(answer)
    running = (answer for answer in open_answers if answer.status == "submitted")
    unreached = (answer for answer in open_answers if answer.error_type == "connect")
    return next(running, None) or next(unreached, None)


async def _get(context: RunContext, url: str, outcome: Outcome) -> Outcome | None:
    """One question; None when the address does not know the job or may not be asked."""
    client = context.clients().downloads
    try:
        answer = await fetch(url, client=client, max_bytes=STATUS_BODY_BYTES, headers=authorization(context))
    except DownloadError as error:
        return Outcome(status="incomplete", error_type="connect") if error.retryable else None
    if answer.http_status == 404:
        return None
    return read_status(
        answer.body,
        http_status=answer.http_status,
        base_url=str(context.profile.base_url),
        task_id=outcome.task_id,
        status_url=outcome.status_url,
        headers=answer.headers,
        now=datetime.now(UTC),
    )


def _urls(context: RunContext, outcome: Outcome) -> tuple[str, ...]:
    return recovery_urls(
        task_id=outcome.task_id,
        status_url=outcome.status_url,
        base_url=str(context.profile.base_url),
        template=context.profile.status_url,
    )
