"""`reelsweep plan TABLE`: what a run would do, and what it may cost; spends nothing."""

from __future__ import annotations

import asyncio
import sys
from typing import Annotated

from cyclopts import Parameter
from reelsweep.flows.commands.flags import RunFlags, options_of
from reelsweep.flows.commands.screen import print_json, print_preview
from reelsweep.flows.planning.preview import preview
from reelsweep.flows.prepare import prepare


def plan(
    table: str,
    *,
    flags: Annotated[RunFlags, Parameter(name="*")] = RunFlags(),  # noqa: B008
    json: Annotated[bool, Parameter(negative=())] = False,
) -> int:
    """Show what `run` would do with a table: counts, columns, cost, time. Spends nothing.

    Parameters
    ----------
    table
        A CSV, TSV, JSONL or Parquet file or URL, a folder or pattern of them; `example:` is the shipped one.
    json
        Print one JSON object on stdout.
    """
    shown = asyncio.run(preview(prepare(table, options_of(flags), keep_inputs=False)))
    if json:
        print_json(shown.as_json())
    else:
        print_preview(shown, sys.stdout)
    return 0
