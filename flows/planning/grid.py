"""The grid of a sweep as `plan` shows it: axes, how they meet, what is left out, what it makes. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from reelsweep.prompts.plan import Plan
from reelsweep.prompts.seeds import parse_seeds
from reelsweep.prompts.sweep import SeedMode

MOST_SHOWN = 8
"""Values of one axis that are written out for people."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GridAxis:
    """One axis with all its values."""

    name: str
    kind: Literal["column", "fragment"]
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class GridSeeds:
    """Seeds that an option gives to every row."""

    values: str
    mode: SeedMode
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """What a sweep makes of a table."""

    axes: tuple[GridAxis, ...]
    zipped: tuple[tuple[str, ...], ...]
    crossed: int
    """Combinations, the excluded ones too."""
    excluded: int
    combinations: int
    seeds: GridSeeds | None
    """None where each row has its own."""
    prompts: int
    """Rows of the table."""
    generations: int
    candidates: int
    """With `--accept`, the most of each: `generations` is a bound then. 0 without."""


def grid_of(plan: Plan) -> Grid | None:
    """The grid of a plan, None where neither a grid nor a sweep varies its rows."""
    sweep, seeds = plan.sweep, _seeds(plan)
    if not sweep.axes and sweep.seeds is None:
        return None
    num_crossed, num_left = sweep.num_crossed, len(sweep)
    return Grid(
        axes=tuple(
            GridAxis(name=axis.name, kind="fragment" if axis.joint else "column", values=axis.values)
            for axis in sweep.axes
        ),
        zipped=sweep.zipped,
        crossed=num_crossed,
        excluded=num_crossed - num_left,
        combinations=num_left,
        seeds=seeds,
        prompts=plan.num_rows,
        generations=len(plan),
        candidates=plan.settings.num_candidates,
    )


def _seeds(plan: Plan) -> GridSeeds | None:
    text = plan.settings.seeds
    if given := plan.sweep.seeds:
        return GridSeeds(values=given.values, mode=given.mode, count=len(parse_seeds(given.values)))
    return None if text is None else GridSeeds(values=text, mode="common", count=len(parse_seeds(text)))


def grid_lines(grid: Grid) -> list[tuple[str, str]]:
    """The grid in words: a line for each axis, then how they are counted."""
    lines = [(f"{_KINDS[axis.kind]} {axis.name}", _values(axis.values)) for axis in grid.axes]
    if not lines:
        return [("grid", _total(grid))]
    return [*lines, ("grid", _product(grid)), ("", _total(grid))]


_KINDS = {"column": "axis", "fragment": "fragment"}


def _values(values: Sequence[str]) -> str:
    shown = [value or '""' for value in values[:MOST_SHOWN]]
    more = f", … {values[-1]}" if len(values) > MOST_SHOWN else ""
    return f"{', '.join(shown)}{more} ({len(values)})"


def _product(grid: Grid) -> str:
    """`2 x 3 (light with lens) = 6 combinations, 2 excluded: 4`."""
    group_of = {name: group for group in grid.zipped for name in group}
    sizes = {axis.name: len(axis.values) for axis in grid.axes}
    groups = dict.fromkeys(group_of.get(name, (name,)) for name in sizes)
    together = {group: f" ({' with '.join(group)})" for group in grid.zipped}
    factors = [f"{sizes[group[0]]}{together.get(group, '')}" for group in groups]
    product = f"{' x '.join(factors)} = " if len(factors) > 1 else ""
    left_out = f", {grid.excluded:,} excluded: {grid.combinations:,}" if grid.excluded else ""
    return f"{product}{grid.crossed:,} combination{'s' * (grid.crossed != 1)}{left_out}"


def _total(grid: Grid) -> str:
    """`13 prompts x 4 combinations x 2 seeds (0-1, common) = 104 generations`."""
    parts = [f"{grid.prompts:,} prompts"]
    parts += [f"{grid.combinations:,} combinations"] if grid.axes else []
    number = grid.prompts * grid.combinations
    if grid.seeds is not None:
        parts.append(f"{grid.seeds.count:,} seeds ({grid.seeds.values}, {grid.seeds.mode})")
        number *= grid.seeds.count
    if grid.candidates:
        bound = f"at most {grid.generations:,} generations"
        return f"{' x '.join(parts)}, {grid.candidates:,} candidates each: {bound}"
    rest = "" if number == grid.generations else ", with the rows' own seeds and samples,"
    return f"{' x '.join(parts)}{rest} = {grid.generations:,} generations"
