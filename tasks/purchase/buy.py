"""One claimed POST: send it, ask on where the stream left a task id, and hand the outcome over.

After the claim, before `conclude`. Inside the limiter's slot, which is left before anything is downloaded.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial

import httpx
from reelsweep.prompts.errors import TroubleError
from reelsweep.prompts.request import GenerationSpec
from reelsweep.tasks.gateway.client import BodyReader, Exchange, cut_outcome, post
from reelsweep.tasks.gateway.fold import Reader
from reelsweep.tasks.gateway.hide import hide, hide_text
from reelsweep.tasks.gateway.outcome import Outcome
from reelsweep.tasks.ledger.records import Claim
from reelsweep.tasks.purchase.ask import ask_until_ended, can_ask
from reelsweep.tasks.purchase.conclude import conclude, cut_short
from reelsweep.tasks.purchase.context import RunContext
from reelsweep.tasks.purchase.ends import RowEnd, end_of_outcome
from reelsweep.tasks.purchase.insist import insist
from reelsweep.tasks.purchase.stops import Stop, StopReason
from reelsweep.tasks.purchase.wire import Body, build_request


@dataclass(frozen=True, slots=True, kw_only=True)
class Bought:
    """The end of one POST; `again` when the same pass should POST once more (throttled, resubmission)."""

    end: RowEnd
    again: bool = False
    is_running: bool = False
    """The job that the key has bought is not over: ask again after a pause."""


async def buy(
    spec: GenerationSpec,
    context: RunContext,
    claim: Claim,
    body: Body,
    sent_at: float,
    leave_slot: Callable[[], Awaitable[None]],
) -> Bought:
    """Send one claimed POST and bring its attempt to an end."""
    exchange = Exchange()
    try:
        with context.flights.under_way(exchange):
            outcome = hide(await _post(spec, context, claim, body, exchange), context.key)
    except asyncio.CancelledError:
        await asyncio.shield(_interrupted(spec, context, claim, exchange))
        raise
    except Exception:
        await _interrupted(spec, context, claim, exchange)
        raise
    if exchange.answered:
        context.heard()
    if not exchange.sent:
        return await _never_left(context, claim, outcome, sent_at, withheld=exchange.withheld)
    if claim.is_replay and context.profile.key_ttl_s is not None and outcome.http_status == 409:
        return await _still_running(spec, context, claim, outcome)
    if outcome.retry == "backoff" and outcome.billed == "no":
        context.throttled(spec.model, sent_at, outcome.retry_after_s)
        return Bought(end=await conclude(spec, context, claim.attempt_id, outcome, exchange.tape), again=True)
    context.limiter(spec.model).succeeded()
    if can_ask(context, outcome):
        await _note(context, claim, outcome.task_id, outcome.status_url)
        with context.flights.under_way(exchange):
            outcome = await ask_until_ended(context, outcome)
    context.made_by(spec.model, outcome)  # before the next send leaves
    await leave_slot()
    end = await conclude(spec, context, claim.attempt_id, outcome, exchange.tape)
    if outcome.status == "stopped":
        _stop_for(spec.model, context, outcome)
    return Bought(end=end, again=end.status == "unknown" and context.asks_again)


async def _post(
    spec: GenerationSpec, context: RunContext, claim: Claim, body: Body, exchange: Exchange
) -> Outcome:
    seen_events = False

    async def on_seen(reader: BodyReader) -> None:
        nonlocal seen_events
        first = datetime.now(UTC) if reader.num_events and not seen_events else None
        seen_events = seen_events or first is not None
        if first is not None or reader.task_id or reader.status_url:
            await _note(context, claim, reader.task_id, reader.status_url, first)

    def make_reader(response: httpx.Response) -> BodyReader:
        return Reader(
            http_status=response.status_code,
            content_type=response.headers.get("content-type"),
            base_url=str(context.profile.base_url),
            headers=dict(response.headers),
            output=spec.output,
            expects_json="response_format" in spec.payload,
            stream_errors_free=context.profile.stream_errors_free,
            asked_text=body.content.decode(),
            now=datetime.now(UTC),
        )

    return await post(
        context.clients().generations,
        build_request(spec, context, body, claim.idempotency_key),
        exchange,
        make_reader,
        on_seen,
        may_leave=lambda: context.ledger.lease_held(context.run_id) and _is_in_time(context, claim),
        times=context.policy.times,
    )


def _is_in_time(context: RunContext, claim: Claim) -> bool:
    """Whether the gateway still knows the key when the POST arrives: its age was judged at the claim."""
    if not claim.is_replay or context.profile.key_ttl_s is None:
        return True
    return (context.ledger.now() - claim.sent_at).total_seconds() < context.policy.times.begins_s


async def _note(
    context: RunContext,
    claim: Claim,
    task_id: str | None,
    status_url: str | None,
    first_event_at: datetime | None = None,
) -> None:
    """Keep what is seen. A ledger that cannot take it ends the run, but costs nothing that is paid for."""
    try:
        await context.ledger.note(
            claim.attempt_id,
            task_id=hide_text(task_id, context.key),
            status_url=hide_text(status_url, context.key),
            first_event_at=first_event_at,
        )
    except TroubleError as error:
        context.trouble(error)


async def _still_running(spec: GenerationSpec, context: RunContext, claim: Claim, outcome: Outcome) -> Bought:
    """409: the key's first job runs. This POST sold nothing and says nothing of how that one ends."""
    running = replace(outcome, status="failed", retry="backoff", billed="no")
    end = await conclude(spec, context, claim.attempt_id, running)
    return Bought(end=replace(end, status="unknown", unbilled=False), again=True, is_running=True)


async def _interrupted(spec: GenerationSpec, context: RunContext, claim: Claim, exchange: Exchange) -> None:
    """Cancelled in mid-POST: withdrawn when nothing left; else recorded as far as it came, mostly unknown."""
    if not exchange.sent:
        context.uncount_post()
        await context.ledger.withdraw(claim.attempt_id, "cancelled before the request began")
        return
    await cut_short(spec, context, claim.attempt_id, cut_outcome(exchange, "client"), exchange.tape)


async def _never_left(
    context: RunContext, claim: Claim, outcome: Outcome, sent_at: float, *, withheld: bool
) -> Bought:
    """Nothing left: refunded; sent again after a shared cool-down, or the run stops.

    Where the lease ran out on the way, the next claim renews it or says that another run took over.
    """
    context.uncount_post()
    reason = outcome.error_message or "the request never began"
    await insist(context, partial(context.ledger.withdraw, claim.attempt_id, reason))
    end = end_of_outcome("planned", outcome)
    if withheld:
        return Bought(end=end, again=True)
    if outcome.retry == "none":
        return Bought(end=end)
    if context.unreachable() or (outcome.error_type == "tls" and not context.answered):
        context.stop(
            Stop(
                reason="unreachable",
                message=f"{outcome.error_message}; nothing was sent.",
                remedy="Check --gateway and the network with `reelsweep doctor`.",
            )
        )
        return Bought(end=end)
    for limiter in context.limiters():
        limiter.throttled(sent_at, min(5.0, context.policy.long_backoff_s))
    return Bought(end=end, again=True)


def _stop_for(model: str, context: RunContext, outcome: Outcome) -> None:
    """401, 402, 403, quota: nothing more is sent, to this model or at all."""
    reason: StopReason = "quota" if outcome.error_type == "quota" else "authentication"
    cause = (outcome.error_message or outcome.error_code or reason).rstrip(".")
    if outcome.stop_scope == "model":
        stop = Stop(reason=reason, message=f"Nothing more is sent to {model}: {cause}.")
        context.stop_model(model, stop)
        return
    remedy = {
        "quota": "Top up the account, then run the same command again.",
        "authentication": "Check the key with `reelsweep doctor`, then run the same command again.",
    }[reason]
    context.stop(Stop(reason=reason, message=f"{cause}.", remedy=remedy))
