"""`reelsweep export OUT DEST`: the clips of an OUT as a dataset to hand over."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import Annotated

from cyclopts import Parameter
from reelsweep.flows.commands.meter import metering
from reelsweep.flows.commands.screen import print_json
from reelsweep.flows.reporting.display import escape_terminal
from reelsweep.prompts.wording import count
from reelsweep.tasks.export.card.wording import size
from reelsweep.tasks.export.places import open_place
from reelsweep.tasks.export.plan import ExportPlan, plan_export
from reelsweep.tasks.export.recipe import (
    DEFAULT_GROUP_BY,
    Format,
    Recipe,
    parse_license,
    parse_names,
    parse_size,
    parse_splits,
)
from reelsweep.tasks.export.source import read_source
from reelsweep.tasks.export.write import Exported, write_export


def export(
    out: str,
    dest: str,
    *,
    format: Format = "videofolder",
    filter: str | None = None,
    include_rejected: Annotated[bool, Parameter(negative=())] = False,
    columns: str | None = None,
    splits: str | None = None,
    group_by: str | None = None,
    shard_size: str = "500MB",
    license: str | None = None,
    json: Annotated[bool, Parameter(negative=())] = False,
) -> int:
    """Export the clips of an output folder as a dataset with splits, shards and a card.

    The original bytes, checked; the same command gives the same bytes, and goes on after a kill.

        reelsweep export runs/sandbox/example clips --splits train=0.9,test=0.1
        reelsweep export OUT s3://bucket/clips --format webdataset --filter "width >= 1280 AND seed < 10"

    Parameters
    ----------
    out
        An output folder.
    dest
        A folder that is empty or not there yet, or a URL such as s3://bucket/clips.
    format
        videofolder: clips with metadata.parquet, for datasets.load_dataset; webdataset: tar files.
    filter
        An SQL expression (DuckDB) over the manifest's columns. Successful clips only are taken in any case,
        and of them those no content check has rejected.
    include_rejected
        Take the rejected clips too; the columns accepted and reject_reason go with them.
    columns
        Columns to carry, with commas; prompt, seed, model, fingerprints, the clip's facts, param_ and meta_
        when not given.
    splits
        Names and shares, such as train=0.9,val=0.05,test=0.05; all in train when not given.
    group_by
        Rows that agree in any of these columns are in one split; prompt_id,prompt when not given.
    shard_size
        The most bytes of clips in one shard.
    license
        For the card: an identifier such as cc-by-4.0.
    json
        Print one JSON object on stdout.
    """
    recipe = Recipe(
        format=format,
        filter=filter,
        include_rejected=include_rejected,
        columns=parse_names("columns", columns),
        splits=parse_splits(splits),
        group_by=parse_names("group-by", group_by) or DEFAULT_GROUP_BY,
        shard_bytes=parse_size("shard-size", shard_size),
        license=parse_license(license),
    )
    place = open_place(dest)
    plan = plan_export(read_source(open_place(out)), recipe)
    for line in plan_lines(plan):
        sys.stderr.write(f"{escape_terminal(line)}\n")
    with metering() as meter:
        exported = write_export(plan, place, meter)
    if json:
        print_json(asdict(exported))
    else:
        sys.stdout.write("".join(f"{escape_terminal(line)}\n" for line in end_lines(exported)))
    return 0


def plan_lines(plan: ExportPlan) -> list[str]:
    """What will be exported, and what to think about."""
    counts = plan.counts
    splits = ", ".join(f"{number:,} {name}" for name, number in counts.items())
    lines = [
        f"{sum(counts.values()):,} of {count(plan.source.num_rows, 'row')}, {size(plan.size_bytes)}, "
        f"in {count(len(plan.shards), 'shard')}: {splits}"
    ]
    if plan.num_shared:
        lines.append(
            f"note: {count(plan.num_shared, 'row')} asking for the same as another one; their clip goes once"
        )
    if empty := [name for name, number in counts.items() if not number]:
        groups = count(plan.num_groups, "group")
        lines.append(f"note: nothing falls into {', '.join(empty)}: {groups} of prompts, and none is divided")
    if not plan.source.ended:
        lines.append("note: the last run has not ended; what the manifest holds now is exported")
    return lines


def end_lines(exported: Exported) -> list[str]:
    """What was exported, and what to do with it."""
    old = exported.shards - exported.shards_written
    lines = [f"{old:,} of {exported.shards:,} shards were there already"] if old else []
    return [
        *lines,
        f"exported: {exported.dest}",
        f"sha256 of all: {exported.sha256}",
        f"look at README.md there; check it any time: reelsweep verify {exported.dest}",
    ]
