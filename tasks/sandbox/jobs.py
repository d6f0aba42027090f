"""The jobs behind accepted POSTs, which run on whether or not anybody listens.

After a request is understood, before it is answered. A `Job` says what will be told and when its clip is
ready; the `Desk` takes orders: it writes the bill, remembers idempotency keys and forgets old jobs.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from reelsweep.tasks.sandbox.bill import Bill, BillLine
from reelsweep.tasks.sandbox.clip import Ticket
from reelsweep.tasks.sandbox.dialects import Beat
from reelsweep.tasks.sandbox.faults import Ended, Fault
from reelsweep.tasks.sandbox.recent import Recent
from reelsweep.tasks.sandbox.script import Script

REMEMBERED_JOBS = 10_000
REMEMBERED_BODIES = 50_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A request as the bill sees it."""

    model: str
    seed: int | None
    n: int
    price_musd: int
    body_sha256: str
    request_sha256: str
    idempotency_key: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One accepted POST."""

    name: str
    """32 hex digits: the job in short addresses."""
    request_id: str
    completion_id: str
    task_id: str
    order: Order
    created_at: float
    """Unix time."""
    ready_at: float
    """Unix time at which the clip is there, or the failure."""
    duration_s: float
    """Of its stream."""
    ended: Ended
    is_video: bool
    """Whether it can be asked about."""
    tickets: tuple[Ticket, ...]
    """The clips, one per choice; none for text, or where a fault keeps them back."""
    faults: tuple[Fault, ...]
    problem: str | None
    """Why there is no clip, for those who ask about the task."""
    tell: Callable[[], tuple[Beat, ...]]
    """The events of its answer; told again for a replay."""

    @property
    def is_ready(self) -> bool:
        """Whether it has ended."""
        return time.time() >= self.ready_at

    @property
    def progress(self) -> int:
        """Percent, by the clock."""
        passed = time.time() - self.created_at
        return 100 if self.is_ready else int(100 * passed / max(self.ready_at - self.created_at, 1e-9))


class Desk:
    """What the sandbox knows while it runs."""

    def __init__(self, script: Script, bill: Path | None = None) -> None:
        self.bill = Bill(bill)
        self.jobs = Recent[str, Job](REMEMBERED_JOBS)
        """By name and by task id."""
        self._replays = Recent[str, Job](REMEMBERED_JOBS)
        self.follow(script)

    def follow(self, script: Script) -> None:
        """Behave as the script says from now on; its counters begin anew, jobs and bill stay."""
        self.script = script
        self.running = 0
        self.accepted = 0
        self._arrivals = 0
        self._posts = Recent[str, int](REMEMBERED_BODIES)
        self._gets = Recent[str, int](REMEMBERED_BODIES)

    def count_arrival(self, body_sha256: str) -> tuple[int, int]:
        """How many POSTs of this body came before this one, and how many in all."""
        earlier, arrival = self._posts.get(body_sha256) or 0, self._arrivals
        self._posts.put(body_sha256, earlier + 1)
        self._arrivals += 1
        return earlier, arrival

    def count_get(self, what: str) -> int:
        """How often this was asked for before."""
        earlier = self._gets.get(what) or 0
        self._gets.put(what, earlier + 1)
        return earlier

    def find_replay(self, idempotency_key: str | None) -> Job | None:
        """The job that a key already bought, where keys are honoured."""
        if idempotency_key is None or self.script.idempotency == "ignore":
            return None
        return self._replays.get(idempotency_key)

    async def accept(self, job: Job) -> None:
        """Take a job: remembered at once, on the bill (and the disk) when this returns."""
        for name in {job.name, job.task_id}:
            self.jobs.put(name, job)
        if job.order.idempotency_key is not None:
            self._replays.put(job.order.idempotency_key, job)
        self.accepted += 1
        self.running += 1
        place = await self.bill.accept(_bill_line(job))
        remaining_s = max(0.0, job.ready_at - time.time())
        asyncio.get_running_loop().call_later(remaining_s, self._end, job, place, self.script)

    def _end(self, job: Job, place: int, script: Script) -> None:
        if script is self.script:
            self.running -= 1
        free = (job.ended == "refused" and not script.bill_refusals) or (
            job.ended == "failed" and not script.bill_failures
        )
        self.bill.end(place, job.ended, billed=not free)


def _bill_line(job: Job) -> BillLine:
    return BillLine(
        accepted_at=datetime.fromtimestamp(job.created_at, UTC).isoformat(timespec="microseconds"),
        request_id=job.request_id,
        completion_id=job.completion_id,
        idempotency_key=job.order.idempotency_key,
        model=job.order.model,
        seed=job.order.seed,
        n=job.order.n,
        body_sha256=job.order.body_sha256,
        request_sha256=job.order.request_sha256,
        price_musd=job.order.price_musd,
    )


def draw_name() -> str:
    """32 hex digits nobody has used."""
    return secrets.token_hex(16)
