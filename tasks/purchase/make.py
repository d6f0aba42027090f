"""One generation, from where it stands to a settled row.

    where it stands ▶ turn (canary, limiter) ▶ claim ▶ POST ▶ outcome ▶ fetch ▶ settle

`make` is the core under the Prefect task `generate`: it knows nothing of Prefect and never raises for
a failed generation. All that is durable goes through the ledger; every wait is before a claim.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from functools import partial

from reelsweep.prompts.errors import TroubleError, UsageError
from reelsweep.prompts.request import GenerationSpec
from reelsweep.tasks.gateway.limiter import LimiterClosed
from reelsweep.tasks.ledger.records import Claim, ClaimRequest, Declined, Standing
from reelsweep.tasks.purchase.ask import FIRST_PAUSE_S
from reelsweep.tasks.purchase.buy import Bought, buy
from reelsweep.tasks.purchase.context import RunContext
from reelsweep.tasks.purchase.ends import RowEnd, end_of_standing
from reelsweep.tasks.purchase.recover import fetch_again, recover, reread
from reelsweep.tasks.purchase.stops import Stop
from reelsweep.tasks.purchase.wire import build_body

_WAIT_S = 2.0


PrefectIds = tuple[str | None, str | None]
"""Flow run and task run, for the ledger's attempts."""


async def make(spec: GenerationSpec, context: RunContext, prefect_ids: PrefectIds) -> RowEnd:
    """Bring one generation as far as it goes in this run.

    A machine that fails (disk, database) stops the run: nothing more is bought that could not be kept.
    """
    try:
        end = await _make(spec, context, prefect_ids)
    except TroubleError as error:
        context.trouble(error)
        end = RowEnd(status="planned", error_type="trouble", message=error.message)
    context.ends[spec.request_fingerprint] = end
    return end


async def _make(spec: GenerationSpec, context: RunContext, prefect_ids: PrefectIds) -> RowEnd:
    standing = context.standings.get(spec.request_fingerprint)
    give_up_at, pause_s = context.clock() + context.policy.give_up_s, FIRST_PAUSE_S
    while True:
        end = await _without_sending(spec, context, standing)
        if end is not None:
            return end
        try:
            step = await _send(spec, context, prefect_ids)
        except LimiterClosed:
            return _not_sent(context, spec.model)
        match step:
            case RowEnd():
                return step
            case Declined():
                asked, standing = standing, step.standing
                end = await _declined(spec, step, context, asked)
                if end is not None:
                    return end
            case Bought():
                if not step.again or context.clock() >= give_up_at:
                    return step.end
                standing = None
                if step.is_running:
                    await context.stopped_within(pause_s)
                    pause_s = min(2 * pause_s, context.policy.poll_s)


async def _without_sending(
    spec: GenerationSpec, context: RunContext, standing: Standing | None
) -> RowEnd | None:
    """What needs no POST: final rows, rows to fetch or to ask for, rows that are held. None: buy."""
    if standing is None:
        return None
    match standing.next_step:
        case "buy":
            return None
        case "none":
            retry = context.policy.retry_failed and standing.status == "failed"
            return None if retry and standing.billed in ("yes", "maybe") else end_of_standing(standing)
        case "fetch" | "recover":
            return await _finish(spec, context, standing)
        case "hold":
            return await _reread(spec, context, standing) if context.asks_again else end_of_standing(standing)
        case "wait":
            return await _wait_for_other_run(spec, context)


async def _reread(spec: GenerationSpec, context: RunContext, standing: Standing) -> RowEnd | None:
    """Before a row is sent again: its answer may be kept in OUT, where the ledger could not take it."""
    attempt_id = _attempt_of(standing)
    if not await context.store.off_loop(partial(context.store.has_transcript, attempt_id)):
        return None
    if not await context.ledger.adopt(attempt_id, context.run_id):
        return None
    end = await reread(spec, context, await context.ledger.attempt(attempt_id))
    return None if end.status == "unknown" else end


async def _finish(spec: GenerationSpec, context: RunContext, standing: Standing) -> RowEnd | None:
    """Bring an attempt of an earlier run to its end, unless another live run is at it."""
    if not await context.ledger.adopt(_attempt_of(standing), context.run_id):
        if not context.ledger.lease_held(context.run_id):
            return _lease_lost(context)
        await asyncio.sleep(_WAIT_S)
        return await _wait_for_other_run(spec, context)
    if standing.next_step == "fetch":
        return await fetch_again(spec, context, _attempt_of(standing))
    end = await recover(spec, context, _attempt_of(standing))
    return None if end.status == "unknown" and context.asks_again else end


async def _send(
    spec: GenerationSpec, context: RunContext, prefect_ids: PrefectIds
) -> RowEnd | Declined | Bought:
    """Take the turn, claim, and buy. Nothing is claimed while anything is waited for."""
    try:
        body = await build_body(spec, context)
    except LookupError as unknown_turn:
        return RowEnd(status="planned", error_type="parent_turn", message=str(unknown_turn))
    except UsageError as lost_input:
        raise TroubleError(lost_input.message, lost_input.remedy) from lost_input
    async with AsyncExitStack() as turn:
        canary = context.canary(spec.model)
        if canary is not None:
            await turn.enter_async_context(canary.slot())
        async with AsyncExitStack() as sending:
            sent_at = await sending.enter_async_context(context.limiter(spec.model).slot())
            if not await context.may_send() or context.stop_of(spec.model) is not None:
                return _not_sent(context, spec.model)
            if not context.count_post():
                context.stop(_max_posts_stop(context))
                return _not_sent(context, spec.model)
            try:
                claim = await _claim(spec, context, body.sha256, prefect_ids)
                if isinstance(claim, Declined) and claim.reason == "body_changed":
                    context.on_note(f"{spec.prompt_id}: its bytes have changed; sent under a new key.")
                    claim = await _claim(spec, context, body.sha256, prefect_ids, new_key=True)
            except BaseException:
                context.uncount_post()
                raise
            if isinstance(claim, Declined):
                context.uncount_post()
                return claim
            return await buy(spec, context, claim, body, sent_at, sending.aclose)


async def _claim(
    spec: GenerationSpec,
    context: RunContext,
    body_sha256: str,
    prefect_ids: PrefectIds,
    *,
    new_key: bool = False,
) -> Claim | Declined:
    policy = context.policy
    price = context.price
    request = ClaimRequest(
        run_id=context.run_id,
        request_fingerprint=spec.request_fingerprint,
        body_sha256=body_sha256,
        price_max_musd=None if price is None else price.max_musd(spec),
        price=None if price is None else str(price),
        allow=frozenset(
            [
                *(["failed_billed"] if policy.retry_failed else []),
                *(["unknown"] if policy.on_unknown == "resubmit" else []),
            ]
        ),
        max_purchases=policy.max_purchases,
        prefect_flow_run_id=prefect_ids[0],
        prefect_task_run_id=prefect_ids[1],
        new_key=new_key,
        key_ttl_s=context.profile.replay_s,
    )
    return await context.ledger.claim(context.gateway, request)


async def _declined(
    spec: GenerationSpec, declined: Declined, context: RunContext, asked: Standing | None
) -> RowEnd | None:
    """The end of a row whose claim was declined; None: look again where it stands.

    `asked` is where it stood before: what was recovered then in vain is not recovered again.
    """
    match declined.reason:
        case "claimed" if declined.standing.next_step == "wait":
            return None
        case "budget_wait" | "claimed":
            await asyncio.sleep(_WAIT_S)
            return None
        case "skipped_budget":
            if context.price is not None:
                context.decline(context.price.max_musd(spec), declined.asked_at)
            return await skip_for_budget(spec, context)
        case "lease_lost":
            return _lease_lost(context)
        case "max_purchases":
            return end_of_standing(declined.standing)  # what could be asked for was asked before
        case "unknown" if asked is not None and _is_same(asked, declined.standing):
            return end_of_standing(declined.standing)
        case "final" | "unknown" | "failed_billed" | "max_posts" | "body_changed":
            if declined.standing.next_step in ("fetch", "recover", "wait"):
                return None
            return end_of_standing(declined.standing)


async def skip_for_budget(spec: GenerationSpec, context: RunContext) -> RowEnd:
    """The end of a row that the budget does not hold; a later run with more money sends it."""
    await context.ledger.skip(context.gateway, spec.request_fingerprint, "skipped_budget")
    return RowEnd(status="skipped_budget", error_type="budget", message="the budget is used up")


async def _wait_for_other_run(spec: GenerationSpec, context: RunContext) -> RowEnd | None:
    """Another live run has this row: wait for its result, or take over when it ends."""
    context.on_wait(1)
    try:
        standing = await _standing_after_other_run(spec, context)
    except LimiterClosed:
        return _not_sent(context, spec.model)
    finally:
        context.on_wait(-1)
    return await _without_sending(spec, context, standing)


async def _standing_after_other_run(spec: GenerationSpec, context: RunContext) -> Standing | None:
    fingerprint = spec.request_fingerprint
    while context.stop_of(spec.model) is None:
        found = await context.ledger.standings(context.gateway, [fingerprint], context.out_id)
        standing = found.get(fingerprint)
        if standing is None or standing.next_step != "wait":
            return standing
        await asyncio.sleep(_WAIT_S)
    raise LimiterClosed


def _is_same(asked: Standing, standing: Standing) -> bool:
    return (asked.next_step, asked.attempt_id) == ("recover", standing.attempt_id)


def _attempt_of(standing: Standing) -> str:
    if standing.attempt_id is None:
        raise AssertionError(f"{standing.next_step} without an attempt: {standing}")
    return standing.attempt_id


def _not_sent(context: RunContext, model: str) -> RowEnd:
    stop = context.stop_of(model)
    if stop is None:
        return RowEnd(status="planned")
    return RowEnd(status="planned", error_type=stop.reason, message=stop.message)


def _lease_lost(context: RunContext) -> RowEnd:
    context.stop(Stop(reason="lease_lost", message="this run lost its lease on the ledger."))
    return RowEnd(status="planned", error_type="lease_lost")


def _max_posts_stop(context: RunContext) -> Stop:
    return Stop(
        reason="max_posts",
        message=f"{context.policy.max_posts} POSTs were sent, as --max-posts allows.",
        remedy="Run the same command again to go on.",
    )
