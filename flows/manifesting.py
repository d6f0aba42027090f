"""The manifest during and after a run: published from the ledger, one writer at a time.

`only_writer` keeps two runs from publishing at once, and the ledger is read after it is held, so a file
never goes back to an older state of it. All files of a publication are of one state.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field

from reelsweep.flows.out.gallery import draw, draw_some_posters
from reelsweep.flows.out.places import only_writer
from reelsweep.flows.planning.seeds import seed_honoured
from reelsweep.flows.session import CODE_VERSION, OpenRun
from reelsweep.prompts.errors import OutError, ReelsweepError, SettingsError, TroubleError
from reelsweep.tasks.ledger.records import AttemptRecord, Line
from reelsweep.tasks.manifest.outfile import read_out
from reelsweep.tasks.manifest.publisher import Publisher
from reelsweep.tasks.manifest.read import kept_facts
from reelsweep.tasks.manifest.rows import SeedHonoured
from reelsweep.tasks.manifest.write import Published

Publish = Callable[
    [Callable[[], Iterable[Line]], Callable[[], Iterable[AttemptRecord]], Mapping[str, str], SeedHonoured],
    Published,
]


@dataclass(slots=True)
class Manifesting:
    """Publishes one run's OUT."""

    run: OpenRun
    _publisher: Publisher = field(init=False)
    _thread: ThreadPoolExecutor = field(init=False)
    """One for all publications: memory that one of them took, the next one takes again."""
    _going: asyncio.Task[Published] | None = None
    _seeds: SeedHonoured | None = None

    def __post_init__(self) -> None:
        self._publisher = Publisher(self.run.prepared.storage, time.monotonic, draw)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="reelsweep-manifest")

    async def publish(self) -> Published:
        """Write every file as it stays, at the end of the run; nothing is refreshed after it."""
        await asyncio.to_thread(draw_some_posters, self.run.prepared.storage, self.run.context.prober)
        try:
            return await self._in_thread(self._publisher.publish)
        except OutError:  # a file was deleted between its writing and the drawing of the page
            return await self._in_thread(self._publisher.publish)
        finally:
            self._thread.shutdown(wait=False)

    def refresh_if_due(self) -> None:
        """Write every file beside the run when the last time is long enough ago (50 times what it took)."""
        if self._publisher.due(time.monotonic()) and (self._going is None or self._going.done()):
            self._going = asyncio.create_task(self._in_thread(self._publisher.refresh))
            self._going.add_done_callback(lambda going: going.cancelled() or going.exception())

    async def rest(self) -> None:
        """Wait for a refresh under way; what it met and stays, the last `publish` meets too."""
        if self._going is not None:
            with suppress(ReelsweepError):
                await self._going

    async def _in_thread(self, publish: Publish) -> Published:
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._write, publish)

    def _write(self, publish: Publish) -> Published:
        context = self.run.context
        with (
            only_writer(self.run.prepared.storage, context.ledger),
            context.ledger.state(context.out_id) as state,
        ):
            self._refuse_successor()
            return publish(state.lines, state.attempts, _facts(self.run), self._known_seeds())

    def _refuse_successor(self) -> None:
        """Raise TroubleError where our ledger was lost and OUT has another by now: its files are that one's.

        Made from our files while we were at work, it takes what we may have sent since for unknown.
        """
        ledger = self.run.context.ledger
        try:
            ledger.demand_there()
        except TroubleError:
            facts = read_out(self.run.prepared.storage)
            if facts is not None and facts.ledger_id != ledger.ledger_id:
                raise

    def _known_seeds(self) -> SeedHonoured:
        if self._seeds is None:
            prepared = self.run.prepared
            try:
                self._seeds = seed_honoured(prepared.storage, prepared.gateway, prepared.profile)
            except SettingsError as error:  # what is known of seeds is not worth a run
                self.run.context.on_note(str(error))
                self._seeds = {}
        return self._seeds


def _facts(run: OpenRun) -> dict[str, str]:
    plan = run.prepared.plan
    of_plan = {"table_sha256": plan.table.sha256, "plan_hash": plan.plan_hash}
    storage = run.prepared.storage
    if run.prepared.extends and (told := kept_facts(str(storage))):
        of_plan = {name: text for name, text in told.items() if name in of_plan}
    return {
        **run.facts.as_facts(),
        "run_id": run.run_id,
        "table": plan.table.name,
        **of_plan,
        "gateway": run.prepared.gateway,
        "reelsweep_version": CODE_VERSION,
    }
