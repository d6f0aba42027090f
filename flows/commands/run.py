"""`reelsweep run TABLE`: plan, generate, write the manifest."""

from __future__ import annotations

import asyncio
import sys
from typing import Annotated, Any, Literal

from cyclopts import Parameter
from reelsweep.flows.bulk import bulk
from reelsweep.flows.commands.flags import RunFlags, options_of
from reelsweep.flows.commands.screen import print_json, print_preview
from reelsweep.flows.commands.spending import outlive_server
from reelsweep.flows.execution.progress import DISPLAY
from reelsweep.flows.execution.run import DECIDED, PREPARED
from reelsweep.flows.planning.gate import pass_gate
from reelsweep.flows.planning.preview import preview
from reelsweep.flows.prepare import Prepared, prepare
from reelsweep.flows.reporting.logs import logging_to
from reelsweep.flows.reporting.terminal import open_display
from reelsweep.flows.server import prefect_server
from reelsweep.flows.summary import RunStopped, RunSummary


def run(
    table: str,
    *,
    flags: Annotated[RunFlags, Parameter(name="*")] = RunFlags(),  # noqa: B008
    yes: Annotated[bool, Parameter(negative=())] = False,
    json: Annotated[bool, Parameter(negative=())] = False,
    log_format: Literal["text", "json"] = "text",
) -> int:
    """Plan, generate, write the manifest. Running it again continues: finished rows are never bought again.

    Parameters
    ----------
    table
        A CSV, TSV, JSONL or Parquet file or URL, a folder or pattern of them; `example:` is the shipped one.
    yes
        Do not ask before spending.
    json
        Print one JSON object on stdout.
    log_format
        How stderr is written when it is no terminal.
    """
    with open_display(log_format) as display, logging_to(display) as redactor, prefect_server() as server:
        display.note(str(server))
        prepared = prepare(table, options_of(flags))
        if prepared.key:
            redactor.add(prepared.key)
        shown = asyncio.run(preview(prepared))
        print_preview(shown, sys.stderr)
        if not pass_gate(prepared, shown, yes=yes):
            display.note("Nothing was sent.")
            return 0
        server.wait_ready()
        DISPLAY.set(display)
        summary = asyncio.run(_run(table, prepared))
        display.summary(summary)
    if json:
        print_json(summary_json(summary))
    return summary.exit_code


async def _run(table: str, prepared: Prepared) -> RunSummary:
    """The run's summary, also when the Prefect server was lost after it was decided."""
    decided: list[RunSummary] = []
    PREPARED.set(prepared)
    DECIDED.set(decided)
    try:
        return await outlive_server(bulk(table), decided)
    except RunStopped as stopped:
        return stopped.summary


def summary_json(summary: RunSummary) -> dict[str, Any]:
    """The object `run --json` prints."""
    return {
        "run_id": summary.run_id,
        "out": summary.out,
        "manifest": summary.manifest,
        "gateway": summary.gateway,
        "counts": summary.counts,
        "planned": summary.planned,
        "strata": summary.strata,
        "changes": None if summary.changes is None else summary.changes.model_dump(),
        "accepted": summary.accepted,
        "rejected": summary.rejected,
        "acceptance": summary.acceptance,
        "num_short": summary.num_short,
        "posts": summary.posts,
        "cost_usd": summary.cost_usd,
        "elapsed_s": summary.elapsed_s,
    }
