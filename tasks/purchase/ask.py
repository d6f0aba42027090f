"""Ask the gateway about a job it has already been paid for: GETs only, never a second POST.

Where a stream was cut or only acknowledged, the status URL it named, the profile's template or the
Videos shape under the base URL say how the job ended.
"""

from __future__ import annotations

import asyncio

import httpx

from reelsweep.tasks.artifacts.door import DoorError
from reelsweep.tasks.gateway.outcome import Outcome
from reelsweep.tasks.gateway.poll import read_status, recovery_urls
from reelsweep.tasks.purchase.context import RunContext
from reelsweep.tasks.purchase.wire import authorization

STATUS_BODY_BYTES = 1 << 20
ASK_IDLE_S = 60.0


def can_ask(context: RunContext, outcome: Outcome) -> bool:
    """Whether the outcome leaves the job open and says how to ask about it."""
    return outcome.status in ("submitted", "incomplete") and bool(_urls(context, outcome))


async def ask_until_ended(context: RunContext, attempt_id: str, outcome: Outcome) -> Outcome:
    """Ask every `poll_s` until the job has ended or the stream's time is over; the last answer."""
    await context.ledger.note(attempt_id, task_id=outcome.task_id, status_url=outcome.status_url)
    give_up_at = context.clock() + context.policy.times.stream_s
    while True:
        answer = await ask_once(context, outcome)
        if answer is not None and answer.status not in ("submitted", "incomplete"):
            return answer
        if context.clock() >= give_up_at or (answer is None and outcome.status == "incomplete"):
            return outcome
        await asyncio.sleep(context.policy.poll_s)


async def ask_once(context: RunContext, outcome: Outcome) -> Outcome | None:
    """One round of questions; None when no address knew the job."""
    running: Outcome | None = None
    for url in _urls(context, outcome):
        answer = await _get(context, url, outcome)
        if answer is None:
            continue
        if answer.status not in ("submitted", "incomplete"):
            return answer
        running = running or (answer if answer.status == "submitted" else None)
    return running


async def _get(context: RunContext, url: str, outcome: Outcome) -> Outcome | None:
    """One question; None when the address does not know the job or cannot be reached."""
    try:
        response = await context.clients().downloads.get(url, headers=authorization(context), idle_s=ASK_IDLE_S)
        try:
            body = await _head(response)
        finally:
            await response.aclose()
    except (DoorError, httpx.HTTPError):
        return None
    if response.status_code == 404:
        return None
    return read_status(
        body,
        http_status=response.status_code,
        base_url=str(context.profile.base_url),
        task_id=outcome.task_id,
        status_url=outcome.status_url,
    )


async def _head(response: httpx.Response) -> bytes:
    body = bytearray()
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) >= STATUS_BODY_BYTES:
            break
    return bytes(body)


def _urls(context: RunContext, outcome: Outcome) -> tuple[str, ...]:
    return recovery_urls(
        task_id=outcome.task_id,
        status_url=outcome.status_url,
        base_url=str(context.profile.base_url),
        template=context.profile.status_url,
    )
