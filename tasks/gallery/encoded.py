"""A column as the page gets it: its distinct values once, and for every row which of them it has. Pure.

Below every module of this folder. A sweep repeats itself: prompts, models and parameters of ten thousand
rows are few values.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from reelsweep.prompts.request import Scalar

NONE = -1
"""The code of a row without a value."""
SAFE = 2**53
"""Integers of a greater size are not exact in JavaScript."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """One column."""

    values: Sequence[Any]
    """Distinct, none of them None."""
    codes: Sequence[int]
    """By row; NONE for null."""

    def __len__(self) -> int:
        return len(self.codes)

    def at(self, row: int) -> Any:
        """The value of one row."""
        code = self.codes[row]
        return None if code == NONE else self.values[code]

    def map(self, change: Callable[[Any], Any]) -> Encoded:
        """The same rows with every value changed; values may fall together."""
        places: dict[Any, int] = {}
        moved = [places.setdefault(change(value), len(places)) for value in self.values]
        return Encoded(list(places), [code if code == NONE else moved[code] for code in self.codes])

    def sorted(self) -> Encoded:
        """The same rows, numbers in their order; texts stay in the order of the plan."""
        if not all(isinstance(value, int | float) for value in self.values):
            return self
        order = sorted(range(len(self.values)), key=lambda code: self.values[code])
        moved = {old: new for new, old in enumerate(order)}
        return Encoded(
            [self.values[code] for code in order],
            [code if code == NONE else moved[code] for code in self.codes],
        )

    def as_json(self) -> Mapping[str, Any]:
        """For the page: codes are left out where every row has a value of its own."""
        values = [exact(value) for value in self.values]
        if len(values) == len(self.codes) and all(code == row for row, code in enumerate(self.codes)):
            return {"values": values}
        return {"values": values, "codes": self.codes}


Columns = Mapping[str, Encoded]
"""Column name to column, all of the same length."""


def encode(values: Sequence[Any]) -> Encoded:
    """A column from the values of its rows."""
    places: dict[Any, int] = {}
    codes = [NONE if value is None else places.setdefault(value, len(places)) for value in values]
    return Encoded(list(places), codes)


def exact(value: Any) -> Scalar:
    """A value that JavaScript shows as it is: long integers as text, instants as ISO 8601."""
    match value:
        case bool():
            return value
        case int() if abs(value) > SAFE:
            return str(value)
        case datetime():
            return value.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        case _:
            return value
