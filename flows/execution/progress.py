"""How a run is going: counted in memory, shown on a display, refreshed beside the work."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field, replace

from reelsweep.flows.manifesting import Manifesting
from reelsweep.flows.reporting.board import Board
from reelsweep.flows.reporting.display import Display, Progress, SilentDisplay
from reelsweep.flows.session import OpenRun
from reelsweep.flows.summary import FAILED
from reelsweep.prompts.errors import TroubleError
from reelsweep.tasks.ledger.records import Spend
from reelsweep.tasks.purchase.ends import RowEnd
from reelsweep.tasks.purchase.stops import Stop

DISPLAY: ContextVar[Display] = ContextVar("display", default=SilentDisplay())  # noqa: B039
"""Where progress goes; the command line sets it."""

REFRESH_S = 0.5
SPEND_S = 3.0
MOST_FAILURES = 100
LEAST_ENDED = 20
"""Rows that must have ended before a share of failures stops the run."""


@dataclass(slots=True, kw_only=True)
class Tracker:
    """Counts of one run, by the ends of its rows."""

    run: OpenRun
    num_todo: int
    ends: Counter[str] = field(default_factory=Counter[str])
    failures: list[tuple[str, RowEnd]] = field(default_factory=list[tuple[str, RowEnd]])
    """The first failed rows, for the table of failures."""
    num_left: int = 0
    """Rows of this run that another run may still change."""
    spend: Spend | None = None
    """The ledger's money, where a price is known."""
    started: float = field(default_factory=time.monotonic)

    def end(self, name: str, end: RowEnd) -> None:
        """A row has ended."""
        self.ends[end.status] += 1
        if end.error_type == "crash" or end.status not in ("unknown", "skipped_parent", "cancelled"):
            self.num_left += not end.is_final
        if end.status in FAILED and len(self.failures) < MOST_FAILURES:
            self.failures.append((name, end))
        if (stop := self._too_many_failures(LEAST_ENDED)) is not None:
            self.run.context.stop(stop)

    @property
    def is_over(self) -> bool:
        """Whether every row has ended."""
        return self.ends.total() >= self.num_todo and not self.run.context.flights

    async def look(self) -> None:
        """Ask the ledger for its money, where a price is known."""
        if self.run.prepared.price is not None:
            with suppress(TroubleError):  # whoever needs the ledger says so
                self.spend = await self.run.context.ledger.spend()

    def check_ledger(self) -> None:
        """Stop buying where the ledger's file was removed or replaced; what is paid for is finished."""
        try:
            self.run.context.ledger.demand_there()
        except TroubleError as error:
            self.run.context.trouble(error)

    def verdict(self) -> Stop | None:
        """What the counts say against the run: money that was missing, too many failures."""
        if skipped := self.ends["skipped_budget"]:
            return Stop(
                reason="budget",
                message=f"the budget is used up, {skipped} rows were not sent.",
                remedy="Raise --budget and run the same command again.",
            )
        return self._too_many_failures(1)

    def _too_many_failures(self, least: int) -> Stop | None:
        share, ended = self.run.prepared.options.max_failed, self.ends.total()
        failed = sum(self.ends[status] for status in FAILED)
        if share is None or ended < least or failed <= share * ended:
            return None
        return Stop(
            reason="max_failed",
            message=f"{failed} of {ended} rows failed, more than --max-failed {share:.0%}.",
            remedy="Look at the reasons in the manifest, then run the same command again.",
        )

    def progress(self) -> Progress:
        """The picture of now."""
        elapsed_s = time.monotonic() - self.started
        ended = self.ends.total()
        rate = ended / elapsed_s if elapsed_s > 0 else 0.0
        left = max(0, self.num_todo - ended)
        return Progress(
            planned=self.num_todo,
            done=self.ends["success"],
            failed=sum(self.ends[status] for status in FAILED if status != "unknown"),
            refused=self.ends["refused"],
            unknown=self.ends["unknown"],
            in_flight=len(self.run.context.flights),
            rate_per_min=rate * 60,
            eta_s=left / rate if rate and ended >= 3 else None,
            spent_usd=None if self.spend is None else self.spend.settled_musd / 1e6,
            reserved_usd=None if self.spend is None else (self.spend.open_musd + self.spend.held_musd) / 1e6,
            waiting=self.run.context.waiting(),
        )


@asynccontextmanager
async def watch(tracker: Tracker, manifesting: Manifesting, board: Board) -> AsyncGenerator[None]:
    """Show progress and refresh the manifest while the block runs."""
    watching = asyncio.create_task(_watch(tracker, manifesting, board))
    try:
        yield
    finally:
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching
        await tracker.look()
        DISPLAY.get().update(replace(tracker.progress(), is_last=True))


async def _watch(tracker: Tracker, manifesting: Manifesting, board: Board) -> None:
    display, look_at = DISPLAY.get(), 0.0
    while True:
        tracker.check_ledger()
        was_over = tracker.is_over
        if was_over or time.monotonic() >= look_at:
            await tracker.look()
            look_at = time.monotonic() + SPEND_S
        if tracker.is_over and not was_over:
            continue  # the last line is shown once: with the money of the last row
        progress = tracker.progress()
        display.update(progress)
        await board.update(progress)
        manifesting.refresh_if_due()
        await asyncio.sleep(REFRESH_S)
