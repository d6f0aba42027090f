"""The run itself: workers, progress, manifest and the summary, around the bounded window.

Nothing that matters waits for Prefect: results are in the ledger, the manifest is published here and
the exit code decided here; artifacts and events are told on the side, with a short patience.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar, cast

import pandas as pd
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed
from reelsweep.flows.access import in_deployment
from reelsweep.flows.execution.drift import Drift
from reelsweep.flows.execution.feed import Feed
from reelsweep.flows.execution.progress import DISPLAY, Tracker, watch
from reelsweep.flows.execution.signals import Drain, default_drain_s, draining
from reelsweep.flows.execution.window import Window
from reelsweep.flows.manifesting import Manifesting
from reelsweep.flows.options import RunOptions
from reelsweep.flows.out.clean import note_ended
from reelsweep.flows.prepare import MANIFEST, Prepared, prepare
from reelsweep.flows.recovery.left import Left, left_at
from reelsweep.flows.recovery.reconcile import reconciling
from reelsweep.flows.reporting.board import Board, line
from reelsweep.flows.reporting.runlog import RunLog
from reelsweep.flows.selection.selected import selected
from reelsweep.flows.session import OpenRun, open_run
from reelsweep.flows.summary import RunStopped, RunSummary, exit_code
from reelsweep.prompts.errors import ReelsweepError, TroubleError
from reelsweep.prompts.request import GenerationSpec
from reelsweep.tasks.gateway.strata import StratumCount, by_model
from reelsweep.tasks.generate import generate
from reelsweep.tasks.ledger.records import ManifestStatus, Standing, Tally
from reelsweep.tasks.purchase.context import RunContext
from reelsweep.tasks.purchase.ends import RowEnd
from reelsweep.tasks.purchase.make import skip_for_budget
from reelsweep.tasks.purchase.stops import Stop

PREPARED: ContextVar[Prepared | None] = ContextVar("prepared", default=None)
"""A run that the caller has prepared already (the command line, which shows the plan first)."""

DECIDED: ContextVar[list[RunSummary] | None] = ContextVar("decided", default=None)
"""A list that gets the summary while the flow still runs: a lost Prefect server may make it raise later."""

R = TypeVar("R")

_WORKERS_PER_SLOT = 2
"""Rows that sleep or wait hold no slot, so there are more workers than slots."""


async def run_table(table: str | Path | pd.DataFrame, options: RunOptions) -> RunSummary:
    """Prepare a run, unless the caller has, and make it. What a served flow pickles ends at this name."""
    return await in_one_line(lambda: run_prepared(PREPARED.get() or prepare(table, options)))


async def in_one_line(made: Callable[[], Awaitable[R]]) -> R:
    """What a flow returns; what Reelsweep itself says no to as a state.

    Callers get it raised, and the log of a night has its one line and no traceback.
    """
    try:
        return await made()
    except ReelsweepError as error:
        state: State[Any] = Failed(message=str(error), data=error)
        return cast(R, state)


async def run_prepared(prepared: Prepared) -> RunSummary:
    """Make what is to be made; the summary, in a state whose name tells of failures. Raises RunStopped."""
    summary = await run_to_summary(prepared)
    if summary.state_name != "Completed":
        # Prefect unwraps a returned state: callers get the summary, the page shows the name.
        state: State[Any] = Completed(name=summary.state_name, message=line(summary), data=summary)
        return cast(RunSummary, state)
    return summary


async def run_to_summary(prepared: Prepared) -> RunSummary:
    """Make what is to be made. Raises RunStopped when the run was stopped before its plan was done."""
    started = time.monotonic()
    if is_unattended := in_deployment():
        DISPLAY.set(RunLog())
    async with open_run(prepared) as run:
        tracker = Tracker(run=run, num_todo=run.num_todo())
        manifesting, board = Manifesting(run), Board()
        if run.held_back:
            DISPLAY.get().note(
                f"{len(run.held_back)} rows are paid for under other parameters and are not bought again;"
                " --rebuy buys them."
            )
        run.context.on_note = DISPLAY.get().note
        drift = Drift(
            context=run.context,
            policy=prepared.options.on_drift,
            emit=lambda change: board.changed(run.run_id, str(prepared.storage), prepared.gateway, change),
        )
        run.context.on_change = drift.on_change
        async with watch(tracker, manifesting, board), reconciling(run):
            try:
                await _drive(run, tracker)
            finally:
                await drift.close()
        await run.context.ledger.cut(run.run_id)
        tally = await _own_tally(run, await run.context.ledger.tally(run.context.out_id, run.run_id))
        num_unknown = await _num_unknown(run, tracker, tally)
        left = await _left(run) if num_unknown else Left(unknown=0, waiting=0)
        await manifesting.rest()
        published = await manifesting.publish()
        strata = await run.context.ledger.strata(run.context.out_id, prepared.gateway)
        summary = _summary(run, tracker, tally, num_unknown, left, strata, started).model_copy(
            update=selected(published.selection, run.acceptance)
        )
        await run.context.ledger.end_run(
            run.run_id, exit_code=summary.exit_code, summary=summary.model_dump()
        )
        await asyncio.to_thread(note_ended, prepared.storage, run.context.ledger, run.facts)
    if (decided := DECIDED.get()) is not None:
        decided.append(summary)
    if is_unattended:
        DISPLAY.get().summary(summary)
    await board.close(summary, tracker.failures)
    if summary.stopped is not None:
        raise RunStopped(summary)
    return summary


async def _drive(run: OpenRun, tracker: Tracker) -> None:
    """Run the window until nothing is left, the run is stopped, or it is cut off."""
    context, num_todo, feed = run.context, tracker.num_todo, Feed.of(run)

    async def make_one(spec: GenerationSpec) -> RowEnd:
        end = RowEnd(status="unknown", error_type="crash")
        try:
            if context.is_too_dear(spec) and run.is_to_buy(spec.request_fingerprint):
                end = await skip_for_budget(spec, context)
            else:
                end = await _generate(spec, run)
            if feed is not None and context.stopped is None:
                await feed.ended(spec)
                tracker.num_todo = num_todo + feed.num_opened
        except TroubleError as error:
            context.trouble(error)  # raised here it would cut off what others have paid for
        finally:
            tracker.end(spec.prompt_id, end)
        return end

    async def skip(spec: GenerationSpec) -> None:
        try:
            await context.ledger.skip(run.prepared.gateway, spec.request_fingerprint, "skipped_parent")
        except TroubleError as error:
            context.trouble(error)

    async def parent(fingerprint: str) -> Standing | None:
        if not tracker.ends:  # nothing has changed since
            return run.standings.get(fingerprint)
        try:
            return await run.standing_now(fingerprint)
        except TroubleError as error:
            context.trouble(error)
            return None

    async def more() -> bool:
        try:
            return feed is not None and await feed.settle()
        except TroubleError as error:
            context.trouble(error)
            return False

    window = Window(
        specs=run.todo() if feed is None else feed,
        more=more,
        make=make_one,
        skip=skip,
        stopped=lambda: context.stopped is not None,
        parent=parent,
    )
    context.on_wait = window.lend
    working = asyncio.create_task(window.run(_num_workers(run)))
    drain_s = run.prepared.options.drain_s
    drain = Drain(
        stop=lambda: context.stop(_interrupted()),
        cut=lambda: cut_off(working, context),
        drain_s=default_drain_s() if drain_s is None else drain_s,
    )
    with draining(drain):
        await _until_done(working, run)
    tracker.num_left += window.num_waiting


async def _generate(spec: GenerationSpec, run: OpenRun) -> RowEnd:
    """One task run; one that broke off without an end says why in its state."""
    # Typed as if the state could be had without awaiting; on a loop it cannot.
    state = await cast(Awaitable[State[Any]], generate(spec, run.run_id, return_state=True))
    broken = RowEnd(status="unknown", error_type="crash", message=state.message or "")
    return run.context.ends.pop(spec.request_fingerprint, broken)


async def _until_done(working: asyncio.Task[None], run: OpenRun) -> None:
    """Wait for the window; a cancellation from outside (Prefect, a notebook) cuts it off."""
    try:
        await asyncio.shield(working)
    except asyncio.CancelledError:
        run.context.stop(_interrupted())
        working.cancel()
        with suppress(asyncio.CancelledError):
            await working
        current = asyncio.current_task()
        if current is not None and current.cancelling():
            raise


def cut_off(task: asyncio.Task[None], context: RunContext) -> None:
    """Cut the window off; what is being stored elsewhere is not tried for long."""
    task.cancel()
    context.store.storage.give_up()


def _num_workers(run: OpenRun) -> int:
    slots = run.prepared.options.concurrency or 64
    return max(1, min(slots * _WORKERS_PER_SLOT, len(run.prepared.plan)))


def _interrupted() -> Stop:
    return Stop(
        reason="interrupted",
        message="Interrupted.",
        meanwhile="Nothing new is sent, what is paid for is finished; once more to cut off.",
        remedy="The same command goes on later.",
    )


async def _own_tally(run: OpenRun, tally: Tally) -> Tally:
    """With the counts of this run's own plan, where another run has made another the latest meanwhile."""
    prepared, context = run.prepared, run.context
    if prepared.extends:
        return tally
    latest = await context.ledger.latest_plan(context.out_id)
    if latest == (prepared.gateway, prepared.plan.plan_hash):
        return tally
    DISPLAY.get().note(
        "another run has a plan of its own here meanwhile; the rows counted are those of this one"
    )
    standings = await context.ledger.standings(context.gateway, None, context.out_id)
    opened = None if run.acceptance is None else run.acceptance.opened
    counts = Counter[ManifestStatus](
        standings[fingerprint].status if fingerprint in standings else "planned"
        for ordinal, fingerprint in enumerate(prepared.plan.fingerprints())
        if opened is None or ordinal in opened
    )
    return replace(tally, counts=counts)


async def _num_unknown(run: OpenRun, tracker: Tracker, tally: Tally) -> int:
    """Rows whose fate is not known; another plan may have taken the place of this run's meanwhile."""
    in_plan = tally.counts.get("unknown", 0)
    if in_plan or not tracker.ends["unknown"]:
        return in_plan
    context, asked = run.context, frozenset(run.prepared.plan.fingerprints())
    standings = await context.ledger.standings(context.gateway, None, context.out_id)
    return sum(standings[name].status == "unknown" for name in standings.keys() & asked)


async def _left(run: OpenRun) -> Left:
    context = run.context
    return await left_at(context.ledger, context.out_id, [context.gateway], context.policy.max_purchases)


def _summary(
    run: OpenRun,
    tracker: Tracker,
    tally: Tally,
    num_unknown: int,
    left: Left,
    strata: Sequence[StratumCount],
    started: float,
) -> RunSummary:
    context = run.context
    counts = {name: number for name, number in sorted(tally.counts.items()) if number}
    stop = context.stopped or next(iter(context.model_stops.values()), None) or tracker.verdict()
    return RunSummary(
        run_id=run.run_id,
        out=str(run.prepared.storage),
        manifest=f"{run.prepared.storage}/{MANIFEST}",
        gateway=run.prepared.gateway,
        counts=counts,
        planned=sum(counts.values()),
        posts=tally.posts,
        cost_usd=None if run.prepared.price is None else tally.cost_musd / 1_000_000,
        elapsed_s=round(time.monotonic() - started, 3),
        exit_code=exit_code(stop, num_left=tracker.num_left + num_unknown + len(run.held_back)),
        stopped=None if stop is None else str(stop),
        stop_reason=None if stop is None else stop.reason,
        strata=by_model(strata),
        reconcile=run.prepared.reconcile,
        num_mute=left.mute,
        num_used_up=left.used_up,
        most_purchases=left.purchases,
        changes=run.changes,
    )
