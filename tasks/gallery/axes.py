"""Which columns may be rows, columns and filters of the sheet, and which are at first. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from reelsweep.tasks.gallery.encoded import Columns, Encoded

FIRST = ("prompt_id", "seed")
LAST = (
    "sample_idx",
    "choice_idx",
    "candidate_idx",
    "model",
    "gateway",
    "size_asked",
    "seconds_asked",
    "output",
    "stratum",
    "served_model",
    "system_fingerprint",
    "seed_honoured",
    "status",
    "refused_at",
    "error_type",
    "finish_reason",
    "accepted",
    "reject_reason",
    "run_id",
    "in_plan",
)
PREFIXES = ("param_", "check_", "meta_")
MAX_VALUES = 2_000
"""Of an axis: more lines than that are a list, not a sheet."""
MAX_META = 100
"""Of a carried column: beyond that it is a text, not a label."""
FULL, DENSE = 0.75, 0.5
"""Shares of a sheet's places that are filled: the first axis that is full is chosen, else the densest."""


@dataclass(frozen=True, slots=True)
class Axes:
    """The choices, and the two that are made for a reader who has not chosen."""

    names: Sequence[str]
    """Columns with several values, the usual ones first."""
    rows: str
    """Empty for none."""
    columns: str


def choose_axes(columns: Columns) -> Axes:
    """Prompts down and seeds across where that fills the sheet, else what does."""
    names = [name for name in _candidates(columns) if _may_divide(name, columns[name])]
    rows = "prompt_id" if "prompt_id" in names and _repeats(columns["prompt_id"]) else ""
    across = [name for name in names if _is_asked(name) and name != rows]
    best = _fullest({name: _density(columns, rows, name) for name in across})
    if not rows and best and not _repeats(columns[best]):
        best = ""
    return Axes(names, rows, best)


def _candidates(columns: Columns) -> list[str]:
    brought = [name for prefix in PREFIXES for name in columns if name.startswith(prefix)]
    params = [name for name in brought if name.startswith("param_")]
    rest = [name for name in brought if name not in params]
    return [name for name in (*FIRST, *params, *LAST, *rest) if name in columns]


def _may_divide(name: str, column: Encoded) -> bool:
    most = MAX_META if name.startswith("meta_") else MAX_VALUES
    return 2 <= _num_values(column) <= most


def _num_values(column: Encoded) -> int:
    return len(column.values) + (min(column.codes, default=0) < 0)


def _repeats(column: Encoded) -> bool:
    return 2 * len(column) >= 3 * max(1, _num_values(column))


def _is_asked(name: str) -> bool:
    """Whether the plan decides the column: what came back divides no sheet by itself."""
    asked = ("seed", "sample_idx", "choice_idx", "model", "gateway", "size_asked", "seconds_asked")
    return name in asked or name.startswith("param_")


def _fullest(densities: Mapping[str, float]) -> str:
    full = next((name for name, density in densities.items() if density >= FULL), None)
    densest = max(densities, key=lambda name: densities[name], default="")
    return full or (densest if densities.get(densest, 0.0) >= DENSE else "")


def _density(columns: Columns, rows: str, across: str) -> float:
    column = columns[across]
    down = columns[rows].codes if rows else [0] * len(column)
    filled = len(set(zip(down, column.codes, strict=True)))
    return filled / (len(set(down)) * _num_values(column))
