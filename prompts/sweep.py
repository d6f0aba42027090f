"""Axes and their combinations: what is varied over every row of the table.

Used by `plan`. Pure. An axis is a column (a parameter, a template variable) or a fragment of the prompt, and
the texts it takes; axes are crossed, or zipped and turn together.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain, product
from math import prod
from typing import Literal

from reelsweep.prompts.errors import SettingsError
from reelsweep.prompts.fragments import Joint

MAX_CELLS = 1_000_000
"""Combinations times seeds; a larger grid is taken for a slip and refused before it is expanded."""

SeedMode = Literal["common", "derived"]

_FIXED = ("prompt_id", "follows", "samples", "output", "stream")
"""Columns that say what a row is or how often it is made: they are no axes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """A column or a fragment, and the values it takes, as cells of text."""

    name: str
    values: tuple[str, ...]
    joint: Joint | None = None
    """How a fragment is joined to a prompt; None for a column."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepSeeds:
    """The seeds of every row: the same for all prompts, or derived from each prompt's id and these."""

    values: str
    """A seed cell, such as `0-9`."""
    mode: SeedMode = "common"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """Axes that are crossed with each other and with every row; the last one turns fastest."""

    axes: tuple[Axis, ...] = ()
    zipped: tuple[tuple[str, ...], ...] = ()
    """Names of axes that turn together, in the place of the first of them; each axis in one group at most."""
    excluded: tuple[Mapping[str, frozenset[str]], ...] = ()
    """Combinations left out: those that have, for every axis named, one of its values."""
    seeds: SweepSeeds | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """What it varies."""
        return tuple(axis.name for axis in self.axes)

    @property
    def fragments(self) -> tuple[Axis, ...]:
        """The axes that are pieces of the prompt."""
        return tuple(axis for axis in self.axes if axis.joint is not None)

    @property
    def num_crossed(self) -> int:
        """Combinations before any is left out."""
        return prod(len(group[0].values) for group in self.groups())

    def __len__(self) -> int:
        return sum(1 for _ in self.cells()) if self.excluded else self.num_crossed

    def cells(self) -> Iterator[Mapping[str, str]]:
        """Every combination of values, in order; one empty one where there are no axes."""
        groups = self.groups()
        names = [axis.name for group in groups for axis in group]
        turns = [list(zip(*(axis.values for axis in group), strict=True)) for group in groups]
        for picked in product(*turns):
            cell = dict(zip(names, chain.from_iterable(picked), strict=True))
            if not any(_fits(cell, pattern) for pattern in self.excluded):
                yield cell

    def groups(self) -> list[tuple[Axis, ...]]:
        """The axes that turn together: alone, or zipped."""
        by_name = {axis.name: axis for axis in self.axes}
        group_of = {name: group for group in self.zipped for name in group}
        groups = dict.fromkeys(group_of.get(name, (name,)) for name in by_name)
        return [tuple(by_name[name] for name in group) for group in groups]


def _fits(cell: Mapping[str, str], pattern: Mapping[str, frozenset[str]]) -> bool:
    return all(cell[name] in values for name, values in pattern.items())


def axis_fault(name: str, values: tuple[str, ...]) -> str | None:
    """Why these are no axis: a column that is fixed, no values, one twice; None where they are."""
    if name in _FIXED:
        return f"`{name}` cannot be varied; write it into the table"
    if not values:
        return "a value is missing"
    if len(set(values)) < len(values):
        return "a value stands there twice; use --samples for several results"
    return None


def grid_axis(name: str, values: tuple[str, ...]) -> Axis:
    """The axis of one --grid. Raises SettingsError for one that is none."""
    fault = "a value is missing" if "" in values else axis_fault(name, values)
    if fault is not None:
        raise SettingsError(f"--grid {name}: {fault}.", f"Write --grid {name}=a,b.")
    return Axis(name=name, values=values)


def parse_assignment(text: str, option: str = "--set") -> tuple[str, str]:
    """`column=value` as the pair. Raises SettingsError where the `=` or the column is missing."""
    name, equals, value = text.partition("=")
    if not equals or not name.strip():
        raise SettingsError(
            f"got {option} {text[:60]!r}, expected column=value.", f"Write {option} column=value."
        )
    return name.strip(), value


def parse_axis(text: str) -> tuple[str, tuple[str, ...]]:
    """`column=a,b` as a name and its values; a value with a comma stands in double quotes.

    Raises SettingsError.
    """
    name, values = parse_assignment(text, "--grid")
    try:
        return name, split_values(values)
    except ValueError:
        raise SettingsError(f"got --grid {text[:60]!r}, expected column=a,b.", "Check the quotes.") from None


def split_values(text: str) -> tuple[str, ...]:
    """`a,"b, c"` as its values. Raises ValueError where the quotes are not whole."""
    try:
        cells = next(csv.reader([text], strict=True, skipinitialspace=True))
    except (csv.Error, StopIteration):
        raise ValueError(f"got {text[:60]!r}, expected values with commas between them") from None
    return tuple(cell.strip() for cell in cells)
