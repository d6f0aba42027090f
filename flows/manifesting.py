"""The manifest during and after a run: published from the ledger, one writer at a time.

A lock in OUT keeps two runs from publishing at once, and lines are read after it is held, so a file
never goes back to an older state of the ledger.
"""

from __future__ import annotations

import asyncio
import fcntl
import time
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from reelsweep.flows.session import CODE_VERSION, OpenRun
from reelsweep.prompts.errors import TroubleError
from reelsweep.tasks.ledger.records import AttemptRecord, Line
from reelsweep.tasks.manifest.publisher import Publisher
from reelsweep.tasks.manifest.read import read_facts
from reelsweep.tasks.manifest.write import Published

Publish = Callable[
    [Callable[[], Iterable[Line]], Callable[[], Iterable[AttemptRecord]], Mapping[str, str]], Published
]


@dataclass(slots=True)
class Manifesting:
    """Publishes one run's OUT."""

    run: OpenRun
    _publisher: Publisher = field(init=False)
    _going: asyncio.Task[Published] | None = None

    def __post_init__(self) -> None:
        self._publisher = Publisher(self.run.out, time.monotonic)

    async def publish(self) -> Published:
        """Write every file as it stays, at the end of the run."""
        return await asyncio.to_thread(self._write, self._publisher.publish)

    def refresh_if_due(self) -> None:
        """Write every file beside the run when the last time is long enough ago (50 times what it took)."""
        if self._publisher.due(time.monotonic()) and (self._going is None or self._going.done()):
            self._going = asyncio.create_task(asyncio.to_thread(self._write, self._publisher.refresh))
            self._going.add_done_callback(lambda going: going.cancelled() or going.exception())

    async def rest(self) -> None:
        """Wait for a refresh under way; what it met, the last `publish` meets too."""
        if self._going is not None:
            with suppress(TroubleError):
                await self._going

    def _write(self, publish: Publish) -> Published:
        context = self.run.context
        with manifest_lock(self.run.out):
            return publish(
                lambda: context.ledger.lines(context.out_id),
                lambda: context.ledger.attempt_lines(context.out_id),
                _facts(self.run),
            )


@contextmanager
def manifest_lock(out: Path) -> Generator[None]:
    """Hold OUT's manifest; waits for another run that is publishing."""
    with (out / ".manifest.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _facts(run: OpenRun) -> dict[str, str]:
    plan = run.prepared.plan
    of_plan = {"table_sha256": plan.table.sha256, "plan_hash": plan.plan_hash}
    if run.prepared.extends and (run.out / "manifest.parquet").exists():
        of_plan = {name: text for name, text in read_facts(run.out).items() if name in of_plan}
    return {
        **run.facts.as_facts(),
        "run_id": run.run_id,
        "table": plan.table.name,
        **of_plan,
        "gateway": run.prepared.gateway,
        "reelsweep_version": CODE_VERSION,
    }
