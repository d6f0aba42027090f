"""Ask about what was maybe paid for, read kept transcripts again, fetch what was not stored. Never a POST.

Beside a run (`reconciling`, what its window does not touch) and by hand (`reconcile_out`): eight
requests at a time, links that expire before all, else newest first, ten minutes at most.
"""

from __future__ import annotations

import asyncio
import os
import socket
import uuid
from collections import Counter
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

from reelsweep.flows.options import RunOptions
from reelsweep.flows.out.planned import spec_of
from reelsweep.flows.prepare import gateway_door
from reelsweep.flows.session import CODE_VERSION, OpenRun
from reelsweep.prompts.errors import ReelsweepError
from reelsweep.prompts.pricing import Price
from reelsweep.prompts.request import GenerationSpec
from reelsweep.tasks.artifacts.probe import Prober
from reelsweep.tasks.artifacts.store import Store
from reelsweep.tasks.gateway.breaker import Breaker
from reelsweep.tasks.gateway.profiles import Profile
from reelsweep.tasks.ledger.ledger import Ledger
from reelsweep.tasks.ledger.records import AttemptRecord, RunRecord
from reelsweep.tasks.manifest.outfile import OutFacts
from reelsweep.tasks.purchase.context import RunContext
from reelsweep.tasks.purchase.links import by_expiry
from reelsweep.tasks.purchase.recover import fetch_again, recover, reread
from reelsweep.tasks.storage.out import Out

AT_A_TIME = 8
TEN_MINUTES_S = 600.0
END_S = 3.0
"""How long the end of a run waits for it; what is cut off then goes on in the next run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciled:
    """What became of the attempts that were looked at: how many by manifest status."""

    looked_at: int
    counts: Mapping[str, int]


async def reconcile_attempts(
    context: RunContext, attempts: Sequence[AttemptRecord], specs: Mapping[str, GenerationSpec]
) -> Reconciled:
    """Bring open attempts to their end where anything says how they ended; the rest stays `unknown`."""
    turn = asyncio.Semaphore(AT_A_TIME)
    counts: Counter[str] = Counter()

    async def one(attempt: AttemptRecord) -> None:
        async with turn:
            counts[await _reconcile(context, attempt, specs[attempt.request_fingerprint])] += 1

    known = by_expiry([attempt for attempt in attempts if attempt.request_fingerprint in specs])
    try:
        async with asyncio.timeout(TEN_MINUTES_S), asyncio.TaskGroup() as group:
            for attempt in known:
                group.create_task(one(attempt))
    except TimeoutError:
        counts["not looked at"] = len(known) - counts.total()
    return Reconciled(looked_at=counts.total(), counts=dict(counts))


@asynccontextmanager
async def reconciling(run: OpenRun) -> AsyncGenerator[None]:
    """Beside the block, do what the run's window leaves alone; at its end wait a moment, then cut off."""
    beside = asyncio.create_task(_reconcile_beside(run))
    try:
        yield
    finally:
        await asyncio.wait({beside}, timeout=END_S)
        beside.cancel()
        await asyncio.gather(beside, return_exceptions=True)


async def _reconcile_beside(run: OpenRun) -> None:
    context = replace(run.context, _breaker=Breaker(), _canaries={}, _proven=set())  # looking back: no feed
    try:
        attempts = await _left_alone(run)
        if attempts:
            specs = await asyncio.to_thread(specs_of, context.ledger, context.out_id, attempts)
            await reconcile_attempts(context, attempts, specs)
    except* ReelsweepError as errors:
        run.context.on_note(f"reconcile: {errors.exceptions[0]}")


async def _left_alone(run: OpenRun) -> list[AttemptRecord]:
    """Held rows with a kept transcript, and what is paid for and no longer in the plan."""
    if run.prepared.options.on_unknown == "resubmit":
        return []
    steps = {name: standing.next_step for name, standing in run.standings.items()}
    if not {"hold", "fetch", "recover"}.intersection(steps.values()):
        return []
    planned = frozenset(run.prepared.plan.fingerprints())

    def has_more(attempt: AttemptRecord) -> bool:
        if steps.get(attempt.request_fingerprint) != "hold" or attempt.transcript is not None:
            return True
        return run.context.store.has_transcript(attempt.attempt_id)

    def is_left(attempt: AttemptRecord) -> bool:
        fingerprint = attempt.request_fingerprint
        if steps.get(fingerprint) == "hold":
            return fingerprint not in run.replayable
        return steps.get(fingerprint) in ("fetch", "recover") and fingerprint not in planned

    unfinished = await run.context.ledger.unfinished(run.context.out_id, run.context.gateway)
    return await run.context.store.off_loop(lambda: [a for a in unfinished if is_left(a) and has_more(a)])


async def _reconcile(context: RunContext, attempt: AttemptRecord, spec: GenerationSpec) -> str:
    if not await context.ledger.adopt(attempt.attempt_id, context.run_id):
        return "in another run's hands"
    if attempt.state == "answered" and attempt.kind != "submitted":
        return (await fetch_again(spec, context, attempt.attempt_id)).status
    if attempt.gateway_task_id or attempt.status_url:
        return (await recover(spec, context, attempt.attempt_id)).status
    return (await reread(spec, context, attempt)).status


async def reconcile_out(
    out: Out,
    facts: OutFacts,
    ledger: Ledger,
    profile: Profile,
    gateway: str,
    key: str | None,
    price: Price | None = None,
) -> Reconciled:
    """Reconcile one OUT by hand, as a run of its own that sends nothing."""
    options = RunOptions()
    run_id = uuid.uuid4().hex
    record = RunRecord(
        run_id=run_id,
        out_id=facts.out_id,
        gateway=gateway,
        plan_hash="",
        settings={"command": "reconcile"},
        code_version=CODE_VERSION,
        host=socket.gethostname(),
        pid=os.getpid(),
    )
    await asyncio.to_thread(out.begin)
    await ledger.start_run(record)
    prober = Prober()
    context = RunContext(
        run_id=run_id,
        out_id=facts.out_id,
        gateway=gateway,
        profile=profile,
        key=key,
        ledger=ledger,
        store=Store(out),
        prober=prober,
        door=gateway_door(profile, options),
        policy=options.policy(silence_s=profile.silence_s, long_backoff_s=profile.long_backoff_s),
        price=price,
    )
    try:
        attempts = await ledger.unfinished(facts.out_id, gateway)
        specs = await asyncio.to_thread(specs_of, ledger, facts.out_id, attempts)
        done = await reconcile_attempts(context, attempts, specs)
    finally:
        await context.aclose()
        await asyncio.to_thread(prober.close)
        await ledger.end_run(run_id, exit_code=0, summary={})
    return done


def specs_of(ledger: Ledger, out_id: str, attempts: Sequence[AttemptRecord]) -> dict[str, GenerationSpec]:
    """What was asked, for the generations of some attempts."""
    wanted = {attempt.request_fingerprint for attempt in attempts}
    if not wanted:
        return {}
    lines = ledger.lines(out_id)
    plans = (line.plan for line in lines if line.plan.request_fingerprint in wanted)
    return {plan.request_fingerprint: spec_of(plan) for plan in plans}
