"""Values of an axis in short: `range(0, 1, 0.25)`, `choice(a, b)`, `0-9`.

Used by `sweepfile`. Pure, and exact: numbers are decimal, never rounded.
"""

from __future__ import annotations

import re
from decimal import Decimal

from reelsweep.prompts.seeds import parse_seeds
from reelsweep.prompts.sweep import MAX_CELLS, split_values

EXPECTED = "a list [a, b], range(0, 1, 0.25), choice(a, b) or 0-9"

_CALL = re.compile(r"(range|choice)\s*\((.*)\)", re.DOTALL)
_NUMBER = re.compile(r"[+-]?(?:\d{1,19}(?:\.\d{0,19})?|\.\d{1,19})", re.ASCII)
_SPAN = re.compile(r"[+-]?\d+\s*-\s*[+-]?\d+", re.ASCII)


def parse_values(text: str) -> tuple[str, ...]:
    """The values that a short form stands for. Raises ValueError with what was got and what was expected."""
    stripped = text.strip()
    if _SPAN.fullmatch(stripped):
        return tuple(str(number) for number in parse_seeds(stripped))
    match _CALL.fullmatch(stripped):
        case None:
            raise ValueError(f"got {text[:60]!r}, expected {EXPECTED}")
        case call if call[1] == "range":
            return _range(text, [part.strip() for part in call[2].split(",")])
        case call:
            return split_values(call[2])


def _range(text: str, parts: list[str]) -> tuple[str, ...]:
    """From the first number to the last in equal steps; the last is in it where a step lands on it."""
    if len(parts) != 3 or not all(_NUMBER.fullmatch(part) for part in parts):
        raise ValueError(f"got {text[:60]!r}, expected range(first, last, step) of three numbers")
    first, last, step = map(Decimal, parts)
    if not step or (last - first) / step < 0:
        raise ValueError(f"got {text[:60]!r}, expected a step that leads from {parts[0]} to {parts[1]}")
    count = int((last - first) / step) + 1
    if count > MAX_CELLS:
        raise ValueError(f"got {text[:60]!r}, which is {count:,} values, expected at most {MAX_CELLS:,}")
    return tuple(_plain(first + index * step) for index in range(count))


def _plain(number: Decimal) -> str:
    """`0.5` for 0.50, `100` for 1E+2, `0` for -0."""
    return f"{number.normalize():f}" if number else "0"
