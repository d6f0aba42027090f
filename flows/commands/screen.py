"""What a person sees: the plan, the display, and JSON on stdout."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from typing import Any, TextIO

from reelsweep.flows.planning.grid import grid_lines
from reelsweep.flows.planning.preview import Preview
from reelsweep.flows.planning.reach import Reach
from reelsweep.flows.planning.seeds import PlannedSeeds
from reelsweep.flows.reporting.display import escape_terminal
from reelsweep.prompts.wording import count
from rich.console import Console
from rich.table import Table
from rich.text import Text


def print_json(document: Mapping[str, Any]) -> None:
    """One JSON object on stdout."""
    sys.stdout.write(json.dumps(document, ensure_ascii=False, default=str) + "\n")


def print_preview(shown: Preview, stream: TextIO) -> None:
    """The plan as a small table."""
    print_grid(preview_lines(shown), stream)
    console = Console(file=stream, highlight=False)
    for warning in shown.warnings:
        console.print(f"note: {escape_terminal(warning)}", markup=False)


def print_grid(lines: Iterable[tuple[str, str]], stream: TextIO) -> None:
    """Names and values in two columns."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, value in lines:
        grid.add_row(name, Text(escape_terminal(value)))
    Console(file=stream, highlight=False).print(grid)


def preview_lines(shown: Preview) -> list[tuple[str, str]]:
    """The plan's lines: a name and a value each."""
    counts = (
        ("new", shown.new),
        ("done", shown.done),
        ("in progress", shown.in_progress),
        ("failed unbilled", shown.unbilled_failures),
        ("failed billed", shown.billed_failures),
        ("unknown", shown.unknown),
        ("paid for at another gateway", shown.made_elsewhere),
    )
    lines = [
        ("table", f"{shown.table}: {count(shown.rows, 'row')}, {count(shown.planned, 'generation')}"),
        ("gateway", shown.gateway),
        ("out", shown.out),
        ("generations", ", ".join(f"{number} {name}" for name, number in counts if number) or "none"),
        ("to make", to_make_line(shown)),
        ("cost", cost_line(shown)),
        ("sent", ", ".join(shown.sent) or "none"),
        *(("seeds", seeds_line(seeds)) for seeds in shown.seeds),
    ]
    if shown.budget is not None:
        lines.insert(6, ("budget", budget_line(shown.budget, shown.to_make)))
    if shown.grid is not None:
        lines[3:3] = grid_lines(shown.grid)
    if shown.shared:
        lines.insert(
            4, ("shared", f"{count(shown.shared, 'row')} asking for what another row asks for; bought once")
        )
    if shown.templates:
        lines.append(("in templates", ", ".join(shown.templates)))
    if shown.carried:
        lines.append(("only carried", ", ".join(shown.carried)))
    if shown.eta_s and shown.to_make:
        lines.append(("time", f"about {shown.eta_s / 60:.0f} minutes, at 3 minutes a generation"))
    return lines


def to_make_line(shown: Preview) -> str:
    """How many generations, and how many where clips are rejected."""
    most = f"; at most {shown.to_make + shown.spare}, where clips are rejected" if shown.spare else ""
    return f"{shown.to_make}{most}"


def budget_line(reach: Reach, to_make: int) -> str:
    """What is left of a cap, and whether it is enough."""
    is_enough = reach.generations >= to_make
    return f"{reach}; {'enough for all' if is_enough else f'reaches {reach.generations} of {to_make}'}"


def seeds_line(seeds: PlannedSeeds) -> str:
    """Whether several seeds are more than plain samples."""
    match seeds.honoured:
        case "yes":
            return f"honoured by {seeds.model} ({seeds.source})"
        case "no":
            return f"NOT honoured by {seeds.model}: each is a plain sample ({seeds.source})"
        case "unknown":
            return f"unknown whether {seeds.model} honours them; to find out: {seeds.source}"


def cost_line(shown: Preview) -> str:
    """Low to high, or that nobody knows."""
    cost = shown.describe_cost()
    if cost is None:
        return (
            "free: the sandbox"
            if shown.gateway.startswith("sandbox@")
            else "price unknown (give --price)" + shown.describe_most()
        )
    return f"{cost} at {shown.price} ({shown.price_source}){shown.describe_most()}"
