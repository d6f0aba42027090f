"""The only door to the database that decides what is paid for.

    claim ▶ (POST) ▶ note ▶ answer ▶ stored ▶ settle

Every verb is durable when it returns, may be awaited from any event loop or thread, and is not undone
by its caller's cancellation; a claim whose caller is cancelled is withdrawn, for nothing was sent.
Verbs raise TroubleError when the database fails; nothing may be sent then.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import UTC, datetime, tzinfo
from functools import partial
from typing import Any, Concatenate, ParamSpec, TypeVar
from uuid import uuid4

from reelsweep.tasks.gateway.outcome import Billed
from reelsweep.tasks.ledger import claims, leases, plans, settle
from reelsweep.tasks.ledger.batch import Batch
from reelsweep.tasks.ledger.budget import Caps, Day, day_of
from reelsweep.tasks.ledger.claims import Wish
from reelsweep.tasks.ledger.clock import AttemptIds, uptime_s, utc_now
from reelsweep.tasks.ledger.kept import Kept
from reelsweep.tasks.ledger.lease import Lease, bury
from reelsweep.tasks.ledger.leases import Times
from reelsweep.tasks.ledger.locks import RunLock, clear_lock
from reelsweep.tasks.ledger.migrate import migrate, read_steps
from reelsweep.tasks.ledger.place import FilePlace, ServerPlace, parse_place, prepare_file
from reelsweep.tasks.ledger.reading import Reading, wait
from reelsweep.tasks.ledger.records import (
    Answer,
    Claim,
    ClaimRequest,
    Declined,
    ManifestStatus,
    PlanDiff,
    PlanRow,
    Restored,
    ResultRecord,
    RunRecord,
)
from reelsweep.tasks.ledger.restore import Remains, restore
from reelsweep.tasks.ledger.turns import turn
from reelsweep.tasks.ledger.writer import Writer
from sqlalchemy import Connection

P = ParamSpec("P")
T = TypeVar("T")
Verb = Callable[Concatenate[Batch, str, P], T]


class Ledger(Reading):
    """One ledger, opened by one process. Made by `Ledger.open`, ended by `close`."""

    def __init__(
        self,
        place: FilePlace | ServerPlace,
        *,
        clock: Callable[[], datetime],
        uptime: Callable[[], float],
        times: Times,
    ) -> None:
        self._times = times
        self._ids = AttemptIds(clock)
        self._caps = Caps(zone=UTC)
        self._leases: dict[str, Lease] = {}
        super().__init__(place, clock, uptime)
        self._writer = Writer(lambda: self._connect("write"), str(place))

    @classmethod
    def open(
        cls,
        url: str,
        *,
        clock: Callable[[], datetime] | None = None,
        uptime: Callable[[], float] | None = None,
        times: Times | None = None,
    ) -> Ledger:
        """The ledger at `sqlite:///path` or `postgresql://…`, created or brought to the newest schema.

        Raises SettingsError for another URL, OutError for a network file system, a newer schema or a
        database that is no ledger, TroubleError for one that is damaged or cannot be opened.
        """
        place = parse_place(url)
        if isinstance(place, FilePlace):
            prepare_file(place.path)
        ledger = cls(place, clock=clock or utc_now, uptime=uptime or uptime_s, times=times or Times())
        try:
            steps, fresh_id = read_steps(), uuid4().hex
            ledger.ledger_id = ledger._writer.submit(lambda conn: migrate(conn, steps, fresh_id)).result()
            ledger._hold()
        except BaseException:
            ledger.close()
            raise
        return ledger

    def close(self) -> None:
        """Write what was handed over and let go. A run not ended by `end_run` counts as dead."""
        for lease in list(self._leases.values()):
            lease.stop()
        self._leases.clear()
        self._writer.close()
        self._reader.close()

    # Runs

    async def start_run(self, run: RunRecord) -> None:
        """Register a live run: its lock taken, the dead buried, its lease renewed from now on."""
        lease = Lease(run, self._place, self._writer, self._moment, self._times)
        self._leases[run.run_id] = lease
        try:
            await wait(lease.start())
        except BaseException:
            self._leases.pop(run.run_id, None)
            lease.stop(wait=False)
            raise

    async def end_run(self, run_id: str, *, exit_code: int, summary: Mapping[str, Any]) -> None:
        """End a run; what it still has in flight becomes `unknown`."""
        now = self._clock()

        def end(conn: Connection) -> None:
            claims.cut(conn, run_id)
            leases.end(conn, run_id, now, exit_code, summary)

        await self._write(end)
        lease = self._leases.pop(run_id, None)
        if lease is not None:
            await asyncio.to_thread(lease.stop)
            clear_lock(self._place, run_id)

    async def cut(self, run_id: str) -> int:
        """Nothing of this run is under way any more: what it left in flight is `unknown`. Counts those."""
        return await self._write(lambda conn: claims.cut(conn, run_id))

    def now(self) -> datetime:
        """The wall clock that it writes with; UTC."""
        return self._clock()

    def day(self, instant: datetime) -> Day:
        """The calendar day of an instant, as this process's budget counts days."""
        return day_of(instant, self._caps.zone)

    def lease_held(self, run_id: str) -> bool:
        """Whether the run may send now: in memory, on a clock that runs while the process is stopped."""
        lease = self._leases.get(run_id)
        return lease is not None and lease.held()

    def turn(self, name: str) -> AbstractContextManager[RunLock]:
        """Be the only one of all who use this ledger in the turn called `name`; waits, so use a thread."""
        return turn(self._place, name)

    async def bury_dead(self) -> int:
        """Declare dead runs dead without starting one, so that what they had in flight shows as it is."""
        return await self._write(lambda conn: bury(conn, self._place, self._moment(), None))

    # The plan

    async def record_plan(
        self,
        out_id: str,
        gateway: str,
        plan_hash: str,
        rows: Iterable[PlanRow],
        *,
        kept: Kept | None = None,
        extends: bool = False,
    ) -> PlanDiff:
        """Make the lines of an OUT those of a plan: `rows`, consumed in another thread, and those `kept`.

        With `extends` the rows come beside the plan's lines, with `in_plan` false, and change none of them.
        """
        wish = plans.PlanWish(
            out_id=out_id, gateway=gateway, plan_hash=plan_hash, now=self._clock(), extends=extends
        )
        return await asyncio.to_thread(plans.record, self._writer.submit, wish, rows, kept)

    async def add_to_plan(self, out_id: str, gateway: str, plan_hash: str, rows: Iterable[PlanRow]) -> None:
        """Add lines to the latest plan of an OUT, under keys of their own."""
        wish = plans.PlanWish(out_id=out_id, gateway=gateway, plan_hash=plan_hash, now=self._clock())
        await asyncio.to_thread(plans.add, self._writer.submit, wish, rows)

    async def restore(self, out_id: str, gateway: str, plan_hash: str, remains: Remains) -> Restored:
        """Refill a lost ledger from a manifest; what may have been bought since becomes `unknown`.

        Raises LookupError for a suspect that stands in no row.
        """
        wish = plans.PlanWish(
            out_id=out_id, gateway=gateway, plan_hash=plan_hash, now=self._clock(), restores=True
        )
        ids = iter(self._ids.next, None)
        return await asyncio.to_thread(restore, self._writer.submit, wish, remains, ids)

    # One attempt

    async def claim(self, gateway: str, request: ClaimRequest) -> Claim | Declined:
        """The right to send one POST, with its money reserved, or the reason why not.

        Raises LookupError for a generation that no plan recorded, SettingsError for a budget without a price,
        TroubleError where the ledger's file is not in its place any more.
        """
        self.demand_there()
        lease = self._leases.get(request.run_id)
        if lease is not None and not lease.held():
            await wait(lease.renew())
        wish = Wish(
            attempt_id=self._ids.next(),
            ledger_id=self.ledger_id,
            gateway=gateway,
            request=request,
            caps=self._caps,
            now=self._clock(),
            uptime_s=self._uptime(),
        )
        # It may have to wait for other writers: how old a key is counts from when it is written.
        claiming = self._writer.submit_about(
            (gateway, request.request_fingerprint),
            lambda conn: claims.claim(conn, replace(wish, now=self._clock())),
        )
        try:
            got = await wait(claiming)
        except asyncio.CancelledError:
            claiming.add_done_callback(self._withdraw_unheard)
            raise
        if lease is not None and isinstance(got, Declined) and got.reason == "lease_lost":
            await wait(lease.renew())  # so that claims granted before send nothing either
        return got

    async def withdraw(self, attempt_id: str, reason: str) -> None:
        """The POST was surely never sent: refunded, the generation free.

        Raises ValueError when an answer to it is known.
        """
        now = self._clock()
        await self._write_of(attempt_id, claims.withdraw, reason, now)

    async def note(
        self,
        attempt_id: str,
        *,
        task_id: str | None = None,
        status_url: str | None = None,
        first_event_at: datetime | None = None,
    ) -> None:
        """Keep what is seen while the stream is open; None leaves what is there."""
        await self._write_of(
            attempt_id, settle.note, task_id=task_id, status_url=status_url, first_event_at=first_event_at
        )

    async def answer(self, attempt_id: str, answer: Answer) -> None:
        """Take an outcome, however late: results and their addresses before any download, or the end."""
        now = self._clock()
        await self._write_of(attempt_id, settle.answer, answer, now)

    async def stored(
        self, attempt_id: str, choice_idx: int, *, sha256: str, size_bytes: int, file_name: str
    ) -> None:
        """Record what a downloaded file is; it may be renamed when this returns."""
        stored = partial(settle.stored, sha256=sha256, size_bytes=size_bytes, file_name=file_name)
        await self._write_of(attempt_id, stored, choice_idx)

    async def settle(self, attempt_id: str, results: Sequence[ResultRecord], status: ManifestStatus) -> None:
        """End an attempt with its results. `failed_to_download` keeps the addresses for a later fetch."""
        now = self._clock()
        await self._write_of(attempt_id, settle.settle, results, status, now)

    async def decide(
        self,
        attempt_id: str,
        *,
        billed: Billed,
        cost_musd: int | None,
        cost_source: str = "bill",
        job_id: str | None = None,
    ) -> None:
        """What a bill says about an attempt: its reservation is settled or refunded, its fate stays.

        `job_id` is what the bill calls the job: another POST that is given the same job is the same sale.
        """
        await self._write_of(attempt_id, settle.decide, billed, cost_musd, cost_source, job_id)

    async def adopt(self, attempt_id: str, run_id: str) -> bool:
        """Take over recovery or fetching of an attempt; False when another live run has it."""
        uptime = self._uptime()
        return await self._write_of(attempt_id, claims.adopt, run_id, uptime)

    async def skip(self, gateway: str, fingerprint: str, status: ManifestStatus) -> None:
        """Note why a generation is not sent (`skipped_budget`, `cancelled`, …), until it is claimed."""
        skip = partial(claims.skip, gateway=gateway, fingerprint=fingerprint, status=status)
        await wait(self._writer.submit_about((gateway, fingerprint), skip))

    # Money

    async def set_budget(
        self, total_musd: int | None, day_musd: int | None = None, zone: tzinfo = UTC
    ) -> None:
        """Cap what this process claims, by all the ledger settled and reserved, ever and per calendar day."""
        self._caps = Caps(total_musd=total_musd, day_musd=day_musd, zone=zone)

    async def _write(self, call: Callable[[Connection], T]) -> T:
        return await wait(self._writer.submit(call))

    async def _write_of(self, attempt_id: str, verb: Verb[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        def call(conn: Batch) -> T:
            return verb(conn, attempt_id, *args, **kwargs)

        return await wait(self._writer.submit_about(attempt_id, call))

    def _withdraw_unheard(self, claiming: Future[Claim | Declined]) -> None:
        """Nobody heard of this claim, so nothing was sent."""
        if claiming.exception() is None and isinstance(claim := claiming.result(), Claim):
            reason, now = "cancelled before the request began", self._clock()
            withdraw = partial(claims.withdraw, attempt_id=claim.attempt_id, reason=reason, now=now)
            self._writer.submit_about(claim.attempt_id, withdraw)
