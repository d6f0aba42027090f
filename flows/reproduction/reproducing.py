"""A drawn sample made again and compared: the run, then `reproduction.parquet` and the verdicts.

After `repetition`. What the run has bought is compared also when it was stopped before its end.
"""

from __future__ import annotations

import asyncio
from contextvars import ContextVar

from pydantic import BaseModel, ConfigDict, JsonValue
from reelsweep.flows.execution.run import run_to_summary
from reelsweep.flows.options import RunOptions
from reelsweep.flows.out.outs import open_out
from reelsweep.flows.out.places import only_writer
from reelsweep.flows.reproduction.repetition import Repetition, draw_repetition
from reelsweep.flows.summary import RunStopped, RunSummary
from reelsweep.tasks.reproduction.pairs import pairs_of
from reelsweep.tasks.reproduction.sample import requests_of
from reelsweep.tasks.reproduction.verdicts import tally
from reelsweep.tasks.reproduction.write import write_pairs


class Reproduction(BaseModel):
    """What `reproduce` found; the result of the flow, persisted as JSON."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    out: str
    report: str
    """`reproduction.parquet`, a line per pair."""
    population: int
    """Requests a sample was drawn from."""
    sampled: int
    made_before: int
    """Of the sample, those that had been made again already."""
    verdicts: list[dict[str, JsonValue]]
    """All pairs of the OUT, counted by gateway, model and `system_fingerprint`."""
    run: RunSummary | None
    """The run that made the missing ones; None where none was missing."""
    reconcile: str = ""
    """The command that asks about what is open, as in a run's summary."""

    @property
    def exit_code(self) -> int:
        """0 all of the sample is compared, 1 something is left, else that of the run that was stopped."""
        if self.run is not None and self.run.stopped is not None:
            return self.run.exit_code
        return 1 if any(verdict["open"] for verdict in self.verdicts) else 0


DRAWN: ContextVar[Repetition | None] = ContextVar("drawn", default=None)
"""A sample that the caller has drawn already (the command line, which shows its price first)."""

CONCLUDED: ContextVar[list[Reproduction] | None] = ContextVar("concluded", default=None)
"""A list that gets the finding while the flow still runs: a lost Prefect server may make it raise later."""


async def reproduce_drawn(out: str, options: RunOptions, *, sample: str, fresh: str | None) -> Reproduction:
    """Make and compare a sample. Raises RunStopped when the run was stopped, after comparing."""
    drawn = DRAWN.get() or await asyncio.to_thread(draw_repetition, out, options, sample=sample, fresh=fresh)
    stopped: RunStopped | None = None
    run: RunSummary | None = None
    if drawn.num_missing:
        try:
            run = await run_to_summary(drawn.prepared)
        except RunStopped as error:
            stopped, run = error, error.summary
    found = await asyncio.to_thread(conclude, drawn, run)
    if (concluded := CONCLUDED.get()) is not None:
        concluded.append(found)
    if stopped is not None:
        raise stopped
    return found


def conclude(repetition: Repetition, run: RunSummary | None) -> Reproduction:
    """Compare all that the OUT holds more than once, and write it down."""
    prepared = repetition.prepared
    storage = prepared.storage
    with open_out(str(storage), prepared.options.ledger) as opened, only_writer(storage, opened.ledger):
        pairs = list(pairs_of(requests_of(opened.ledger.lines(opened.facts.out_id))))
        report = write_pairs(prepared.out, pairs, opened.facts.as_facts())
        opened.storage.hand_over(report.name)
    return Reproduction(
        out=str(storage),
        report=f"{storage}/{report.name}",
        population=repetition.population,
        sampled=repetition.sampled,
        made_before=repetition.sampled - repetition.num_missing,
        verdicts=[tallied.as_json() for tallied in tally(pairs)],
        run=run,
        reconcile=prepared.reconcile,
    )
