"""One cell to one value: the readers that `columns` gives its columns, and their complaints.

Used by `rows`. Pure. A reader takes the cell as it stands in the table (text, or typed) and raises
ValueError that says what was got and what was expected. Empty cells never get here.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from math import isfinite

from reelsweep.prompts.jsontext import parse_json
from reelsweep.prompts.request import Json, value_json

CellReader = Callable[[Json], Json]

_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,3})?", re.ASCII)
_WHOLE = re.compile(r"[+-]?\d{1,30}(?:\.0*)?", re.ASCII)
_COMMA_NUMBER = re.compile(r"\s*[+-]?\d+,\d+\s*", re.ASCII)


def shown(cell: Json) -> str:
    """A cell as an error repeats it: quoted, shortened."""
    text = as_text(cell)
    return repr(text if len(text) <= 60 else f"{text[:57]}...")


def got(cell: Json, expected: str) -> ValueError:
    """The complaint of every reader."""
    return ValueError(f"got {shown(cell)}, expected {expected}")


def as_text(cell: Json) -> str:
    """A cell as text: itself where it is text, a whole number without `.0`, JSON for lists and objects."""
    match cell:
        case str():
            return cell
        case float() if cell.is_integer() and abs(cell) < 1e16:
            return str(int(cell))
        case _:
            return value_json(cell)


def as_point_number(cell: Json) -> Json:
    """`0,7` as `0.7`: how numbers stand in a table with decimal commas."""
    return cell.replace(",", ".") if isinstance(cell, str) and _COMMA_NUMBER.fullmatch(cell) else cell


def text(max_chars: int = 10_000_000) -> CellReader:
    """Text as it stands."""

    def read(cell: Json) -> str:
        value = cell if isinstance(cell, str) else as_text(cell)
        if len(value) > max_chars:
            raise got(cell, f"at most {max_chars:,} characters")
        return value

    return read


def word(*choices: str) -> CellReader:
    """One of a few words."""
    expected = f"{', '.join(choices[:-1])} or {choices[-1]}"

    def read(cell: Json) -> str:
        value = as_text(cell).strip()
        if value not in choices:
            raise got(cell, expected)
        return value

    return read


def number(low: float | None, high: float | None, *, above: float | None = None) -> CellReader:
    """A number in a range; a whole one becomes an integer, so that `1`, `1.0` and `1e0` are one request."""
    expected = _range_text("a number", low, high, above)

    def read(cell: Json) -> int | float:
        value = _number(cell)
        fits = value is not None and (low is None or value >= low) and (high is None or value <= high)
        if value is None or not fits or (above is not None and value <= above):
            raise got(cell, expected)
        return value

    return read


def _number(cell: Json) -> int | float | None:
    match cell:
        case bool():
            return None
        case int() | float():
            value = cell
        case str() if _NUMBER.fullmatch(cell.strip()):
            value = float(cell)
        case _:
            return None
    if not isfinite(value):
        return None
    return int(value) if isinstance(value, float) and value.is_integer() else value


def whole(low: int, high: int | None = None) -> CellReader:
    """A whole number in a range, exact to 64 bits; `7.0` is 7, as pandas writes it beside empty cells."""
    expected = _range_text("a whole number", low, high, None)
    limit = 2**63 - 1 if high is None else high

    def read(cell: Json) -> int:
        value = _whole(cell)
        if value is None or not low <= value <= limit:
            raise got(cell, expected)
        return value

    return read


def _whole(cell: Json) -> int | None:
    match cell:
        case bool():
            return None
        case int():
            return cell
        case float():
            return int(cell) if cell.is_integer() and abs(cell) < 2**53 else None
        case str() if _WHOLE.fullmatch(cell.strip()):
            return int(cell.strip().partition(".")[0])
        case _:
            return None


def _range_text(what: str, low: float | None, high: float | None, above: float | None) -> str:
    if above is not None:
        return f"{what} above {above}, at most {high}" if high is not None else f"{what} above {above}"
    if low is not None and high is not None:
        return f"{what} from {low} to {high}"
    return f"{what} from {low}" if low is not None else what


def json_value(cell: Json, expected: str) -> Json:
    """The JSON value in a cell of text, or a typed cell as it is."""
    if not isinstance(cell, str):
        return _sendable(cell, expected)
    try:
        return parse_json(cell)
    except ValueError as error:
        raise ValueError(f"got {shown(cell)}, expected {expected}: {error}") from None


def _sendable(cell: Json, expected: str) -> Json:
    """A typed cell after the checks of JSON text: NaN or half a surrogate pair cannot be sent."""
    try:
        return parse_json(value_json(cell))
    except ValueError as error:
        raise ValueError(f"got {shown(cell)}, expected {expected}: {error}") from None
