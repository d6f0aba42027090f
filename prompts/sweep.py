"""Axes and their product: what is varied over every row of the table.

Used by `plan`. Pure. An axis is a column (a parameter, a template variable) and the texts it takes.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from math import prod

from reelsweep.prompts.errors import SettingsError

_FIXED = ("prompt_id", "follows", "samples", "output", "stream")
"""Columns that say what a row is or how often it is made: they are no axes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """A column and the values it takes, as cells of text."""

    name: str
    values: tuple[str, ...]

    def __post_init__(self) -> None:
        """Raises SettingsError for an axis that is none: no values, one twice, or a column that is fixed."""
        option = f"--grid {self.name}"
        if self.name in _FIXED:
            raise SettingsError(f"{option}: `{self.name}` cannot be varied.", "Write it into the table.")
        if not self.values or "" in self.values:
            raise SettingsError(f"{option}: a value is missing.", f"Write --grid {self.name}=a,b.")
        if len(set(self.values)) < len(self.values):
            raise SettingsError(
                f"{option}: a value stands there twice.", "Use --samples for several results."
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """Axes that are crossed with each other and with every row; the last one turns fastest."""

    axes: tuple[Axis, ...] = ()

    def __post_init__(self) -> None:
        """Raises SettingsError where two axes vary one column."""
        names = self.names
        for name in names:
            if names.count(name) > 1:
                raise SettingsError(f"--grid {name} is given twice.", f"Write --grid {name}=a,b,c once.")

    @property
    def names(self) -> tuple[str, ...]:
        """The columns it varies."""
        return tuple(axis.name for axis in self.axes)

    def __len__(self) -> int:
        return prod(len(axis.values) for axis in self.axes)

    def cells(self) -> Iterator[Mapping[str, str]]:
        """Every combination of values, in order; one empty one where there are no axes."""
        for values in product(*(axis.values for axis in self.axes)):
            yield dict(zip(self.names, values, strict=True))


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
        cells = next(csv.reader([values], strict=True, skipinitialspace=True))
    except (csv.Error, StopIteration):
        raise SettingsError(f"got --grid {text[:60]!r}, expected column=a,b.", "Check the quotes.") from None
    return name, tuple(cell.strip() for cell in cells)
