"""The grid in words."""

from __future__ import annotations

import pandas as pd
from reelsweep.flows.planning.grid import grid_lines, grid_of
from reelsweep.prompts.axes import parse_sweep
from reelsweep.prompts.plan import PlanSettings, make_plan
from reelsweep.prompts.table import read_table

TABLE = pd.DataFrame({"prompt": ["a fox", "an owl"]})


def told(sweep: str, num_candidates: int = 0) -> list[str]:
    """What `plan` shows of a sweep over two prompts."""
    settings = PlanSettings(sweep=parse_sweep(sweep, "s.yaml"), num_candidates=num_candidates)
    grid = grid_of(make_plan(read_table(TABLE), settings))
    return [] if grid is None else [line for _, line in grid_lines(grid)]


def test_candidates_are_a_bound() -> None:
    """With `--accept` the plan holds what may be made: it is not said to be asked for by the rows."""
    last = told("axes: {temperature: [0, 1]}", num_candidates=6)[-1]
    assert last == "2 prompts x 2 combinations, 6 candidates each: at most 24 generations"


def test_seeds_alone_are_a_sweep_too() -> None:
    """A file of nothing but seeds shows them, and whether they are derived."""
    assert told("seeds: {values: 0-4, mode: derived}") == [
        "2 prompts x 5 seeds (0-4, derived) = 10 generations"
    ]
