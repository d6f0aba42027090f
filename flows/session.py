"""A run made live: ledger, lease, store, prober, limiter and gateway, opened and closed in order.

After `prepare` and the money gate. `bulk` works through it; your own flow can too:

    async with open_run(prepare("prompts.csv", RunOptions(max_posts=20))) as run:
        states = generate.map(list(run.todo()), run_id=unmapped(run.run_id), return_state=True)
"""

from __future__ import annotations

import asyncio
import os
import socket
import uuid
from array import array
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from itertools import chain
from pathlib import Path

from reelsweep.flows.access import SANDBOX
from reelsweep.flows.out.clean import note_live
from reelsweep.flows.out.places import about_out
from reelsweep.flows.out.planned import PlannedLines
from reelsweep.flows.planning.claim import claim_out, refuse_other_table
from reelsweep.flows.planning.gate import demand_key
from reelsweep.flows.planning.recording import record_lines
from reelsweep.flows.planning.replay import replayable
from reelsweep.flows.prepare import Prepared, gateway_door
from reelsweep.flows.selection.acceptance import Acceptance
from reelsweep.flows.selection.topup import acceptance_of
from reelsweep.flows.summary import Changes
from reelsweep.prompts.errors import SettingsError
from reelsweep.prompts.request import GenerationSpec
from reelsweep.tasks.artifacts.probe import Prober
from reelsweep.tasks.artifacts.store import Store
from reelsweep.tasks.gateway.strata import Strata
from reelsweep.tasks.ledger.ledger import Ledger
from reelsweep.tasks.ledger.records import PlanDiff, RunRecord, Standing
from reelsweep.tasks.manifest.outfile import OutFacts
from reelsweep.tasks.purchase.context import CONTEXTS, RunContext
from reelsweep.tasks.purchase.links import by_expiry, link_expires_at
from reelsweep.tasks.sandbox.server import SandboxServer

CODE_VERSION = version("reelsweep")


@dataclass(slots=True, kw_only=True)
class OpenRun:
    """One live run."""

    prepared: Prepared
    facts: OutFacts
    context: RunContext
    standings: dict[str, Standing]
    held_back: frozenset[str]
    """Fingerprints whose prompt, model and seed are paid for under other parameters: `--rebuy` buys them."""
    expiring: tuple[str, ...] = ()
    """Fingerprints that are paid for and whose link says when it dies, the soonest first."""
    changes: Changes | None = None
    """What the plan asks for beside the last one; None where there was none."""
    acceptance: Acceptance | None = None
    """With `--accept`: which candidates are open; the others are not made, and not in the manifest."""
    replayable: frozenset[str] = frozenset()
    """Fingerprints of unknown fate whose key the gateway still knows: asked for again by themselves."""

    @property
    def run_id(self) -> str:
        """What `generate` takes."""
        return self.context.run_id

    @property
    def out(self) -> Path:
        """The output folder."""
        return self.prepared.out

    def todo(self) -> Iterator[GenerationSpec]:
        """The generations this run may still do something for, each once, at most `limit`.

        In plan order, but first those whose paid clip has a link that expires, the soonest first.
        """
        places, plan = self._todo_at(), self.prepared.plan
        if not self.expiring:
            return plan.specs_at(places)
        found = {spec.request_fingerprint: spec for spec in plan.specs_at(self._expiring_at(places))}
        first = [found[fingerprint] for fingerprint in self.expiring if fingerprint in found]
        taken = {spec.ordinal for spec in first}
        return chain(first, plan.specs_at([place for place in places if place not in taken]))

    def num_todo(self) -> int:
        """How many those are."""
        return len(self._todo_at())

    def _todo_at(self) -> array[int]:
        """Their places in the plan, by fingerprints alone: most rows of a long table are done."""
        seen: set[str] = set()
        found, limit = array("Q"), self.prepared.options.limit
        for ordinal, fingerprint in enumerate(self.prepared.plan.fingerprints()):
            if limit is not None and len(found) >= limit:
                break
            if self.acceptance is not None and ordinal not in self.acceptance.opened:
                continue
            if fingerprint in seen or fingerprint in self.held_back or not self._is_open(fingerprint):
                continue
            seen.add(fingerprint)
            found.append(ordinal)
        return found

    def _expiring_at(self, places: array[int]) -> list[int]:
        names = set(self.expiring)
        fingerprints = enumerate(self.prepared.plan.fingerprints())
        wanted = {ordinal for ordinal, fingerprint in fingerprints if fingerprint in names}
        return [place for place in places if place in wanted]

    async def standing_now(self, fingerprint: str) -> Standing | None:
        """Where a generation stands by now; one that had succeeded before is not asked about."""
        standing = self.standings.get(fingerprint)
        if standing is not None and standing.status == "success":
            return standing
        context = self.context
        now = await context.ledger.standings(context.gateway, [fingerprint], context.out_id)
        return now.get(fingerprint)

    def is_to_buy(self, fingerprint: str) -> bool:
        """Whether nothing was paid for this generation when the run began."""
        standing = self.standings.get(fingerprint)
        return standing is None or standing.next_step == "buy"

    def _is_open(self, fingerprint: str) -> bool:
        options = self.prepared.options
        standing = self.standings.get(fingerprint)
        if standing is None:
            return True
        is_left = standing.num_purchases < options.max_purchases
        match standing.next_step:
            case "none":
                return is_left and options.retry_failed and standing.status == "failed"
            case "hold":
                return is_left and (options.on_unknown == "resubmit" or fingerprint in self.replayable)
            case _:
                return True


@asynccontextmanager
async def open_run(prepared: Prepared) -> AsyncGenerator[OpenRun]:
    """Open a run for the block: what it holds (lock, lease, servers, workers) is given back at its end.

    Raises UsageError where the gateway would get no key, OutError for an OUT or a ledger that does not fit,
    TroubleError for a disk or database that fails.
    """
    demand_key(prepared)
    run_id = uuid.uuid4().hex
    async with AsyncExitStack() as stack:
        stack.enter_context(about_out(prepared.storage, prepared.ledger_url))
        prepared = await _with_sandbox(prepared, stack)
        store = Store(prepared.storage)
        stack.callback(store.close)
        ledger = await asyncio.to_thread(Ledger.open, prepared.ledger_url)
        stack.callback(ledger.close)
        facts = await asyncio.to_thread(claim_out, prepared, ledger)
        await refuse_other_table(prepared, facts, ledger)
        if (budget := prepared.options.budget) is not None:
            total, day = (None, budget.musd) if budget.per_day else (budget.musd, None)
            await ledger.set_budget(total, day)
        await ledger.start_run(_run_record(prepared, facts, run_id))
        stack.push_async_callback(_end_run, ledger, run_id)
        await asyncio.to_thread(note_live, prepared.storage, ledger)
        prober = Prober()
        stack.callback(prober.close)
        context = _context(prepared, run_id, facts, ledger, store, prober)
        prepared.storage.report_to(lambda text: context.on_note(text))
        stack.push_async_callback(context.aclose)
        CONTEXTS[run_id] = context
        stack.callback(CONTEXTS.pop, run_id, None)
        acceptance = await acceptance_of(prepared, ledger, facts.out_id)
        lines = PlannedLines(prepared.plan, None if acceptance is None else acceptance.opened)
        diff = await record_lines(ledger, facts.out_id, prepared.gateway, lines, extends=prepared.extends)
        bought_before = await ledger.bought_before(facts.out_id, prepared.gateway)
        standings = await ledger.standings(prepared.gateway, None, facts.out_id)
        context.standings = standings
        context.strata = Strata(await ledger.strata(facts.out_id, prepared.gateway))
        held_back = frozenset[str]() if prepared.options.rebuy else frozenset(bought_before)
        yield OpenRun(
            prepared=prepared,
            facts=facts,
            context=context,
            acceptance=acceptance,
            standings=standings,
            held_back=held_back,
            expiring=await _expiring(ledger, facts.out_id, prepared.gateway, standings),
            changes=None if prepared.extends else _changes(diff),
            replayable=await replayable(
                ledger,
                facts.out_id,
                prepared.gateway,
                standings,
                prepared.profile.replay_s,
                datetime.now(UTC),
            ),
        )


def _changes(diff: PlanDiff) -> Changes | None:
    if diff.is_first:
        return None
    return Changes(new=diff.new, edited=diff.edited, removed=diff.removed)


async def _expiring(
    ledger: Ledger, out_id: str, gateway: str, standings: Mapping[str, Standing]
) -> tuple[str, ...]:
    """Fingerprints whose clip waits behind a link that expires, the soonest first."""
    if all(standing.next_step != "fetch" for standing in standings.values()):
        return ()
    attempts = by_expiry(await ledger.unfinished(out_id, gateway))
    return tuple(dict.fromkeys(a.request_fingerprint for a in attempts if link_expires_at(a) is not None))


async def _with_sandbox(prepared: Prepared, stack: AsyncExitStack) -> Prepared:
    """Start the shipped sandbox, or use the one on the port that `sandbox:PORT` names."""
    if not prepared.is_sandbox:
        return prepared
    port = prepared.options.gateway.removeprefix(SANDBOX)
    if port and not port.isdigit():
        raise SettingsError(
            f"--gateway: got {prepared.options.gateway!r}, expected sandbox: or sandbox:PORT."
        )
    if port:
        base_url = f"http://127.0.0.1:{port}/v1"
    else:
        server = SandboxServer()
        await asyncio.to_thread(stack.enter_context, server)
        base_url = server.base_url
    profile = prepared.profile.model_copy(update={"base_url": base_url})
    return replace(prepared, profile=profile, door=gateway_door(profile, prepared.options))


async def _end_run(ledger: Ledger, run_id: str) -> None:
    """End a run that did not end by itself; one that did is left alone."""
    if ledger.lease_held(run_id):
        await asyncio.shield(ledger.end_run(run_id, exit_code=1, summary={}))


def _run_record(prepared: Prepared, facts: OutFacts, run_id: str) -> RunRecord:
    options = prepared.options
    return RunRecord(
        run_id=run_id,
        out_id=facts.out_id,
        gateway=prepared.gateway,
        plan_hash=prepared.plan.plan_hash,
        settings={"table": prepared.plan.table.name, "model": options.model, "seeds": options.seeds},
        code_version=CODE_VERSION,
        host=socket.gethostname(),
        pid=os.getpid(),
    )


def _context(
    prepared: Prepared, run_id: str, facts: OutFacts, ledger: Ledger, store: Store, prober: Prober
) -> RunContext:
    profile = prepared.profile
    return RunContext(
        run_id=run_id,
        out_id=facts.out_id,
        gateway=prepared.gateway,
        profile=profile,
        key=prepared.key,
        ledger=ledger,
        store=store,
        prober=prober,
        door=prepared.door,
        policy=prepared.options.policy(silence_s=profile.silence_s, long_backoff_s=profile.long_backoff_s),
        price=prepared.price,
    )
