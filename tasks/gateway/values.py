"""JSON values of a gateway, which may be anything anywhere: getters that check the type.

Used by every reader of a body. Pure.
"""

from __future__ import annotations

import json
import re

from reelsweep.prompts.request import Json

JsonObject = dict[str, Json]

BREAK = "\ufffd"
"""Stands in a text where something could not be read: no address and no id goes across it."""

_LENIENT = json.JSONDecoder(strict=False)
_NUMBER = re.compile(r"\s*(\d{1,3}(?:\.\d{1,6})?)\s*[%％]?\s*", re.ASCII)


def parse_json(text: str) -> Json | ValueError:
    """The JSON value that is the whole text, or why there is none.

    Lenient where gateways are: raw control characters and lone surrogates in strings are taken.
    """
    try:
        value: Json = _LENIENT.decode(text)
    except ValueError as error:
        return error
    except RecursionError:
        return ValueError("nested too deep")
    return value


def parse_json_at(text: str, start: int) -> tuple[Json, int] | None:
    """The JSON value that begins at `start` and where it ends, or None."""
    try:
        return _LENIENT.raw_decode(text, start)
    except (ValueError, RecursionError):
        return None


def as_text(value: Json) -> str:
    """The string, or an empty one."""
    return value if isinstance(value, str) else ""


def as_object(value: Json) -> JsonObject:
    """The object, or an empty one."""
    return value if isinstance(value, dict) else {}


def as_objects(value: Json) -> list[JsonObject]:
    """The objects of a list; a lone object counts as a list of one."""
    items = value if isinstance(value, list) else [value]
    return [item for item in items if isinstance(item, dict)]


def as_int(value: Json) -> int | None:
    """A whole number of 64 bits, also where it came as a float or as digits."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value if abs(value) < 1 << 63 else None
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return int(value)
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 16:
        return int(value)
    return None


def as_percent(value: Json) -> float | None:
    """A percentage from 0 to 100, from `36`, `"36%"` or a fraction as `0.36`."""
    if isinstance(value, str):
        match = _NUMBER.fullmatch(value)
        number = float(match[1]) if match else None
    elif isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 100:
        return None
    else:
        number = float(value) * 100 if isinstance(value, float) and 0 < value < 1 else float(value)
    return number if number is not None and 0 <= number <= 100 else None


def first_text(value: JsonObject, *names: str) -> str | None:
    """The first of these fields that holds a text which is not blank, stripped."""
    for name in names:
        text = as_text(value.get(name)).strip()
        if text:
            return text
    return None


def whole_text(text: str) -> str:
    """The text with split surrogate pairs joined, so that it can be encoded."""
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text
