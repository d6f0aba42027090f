"""JSON as people write it into tables: strict, exact, and safe to send.

Before `cells` and `typed`. Pure.
"""

from __future__ import annotations

import json
from math import isfinite
from typing import cast

from reelsweep.prompts.request import Json

MAX_LEVELS = 64
"""Deeper values are refused: every reader down the line has a limit, this one is ours."""


def parse_json(text: str) -> Json:
    """The value of a JSON text, integers exact.

    Raises ValueError, in words for the user, for what is not JSON or could not be sent as it stands:
    NaN, numbers beyond a double, a name that occurs twice in an object, half of a surrogate pair, a NUL.
    """
    try:
        value = cast(Json, _decoder.decode(text))
        _check(value, MAX_LEVELS)
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON ({error.msg} at character {error.pos + 1})") from None
    except RecursionError:
        raise ValueError(f"nested more than {MAX_LEVELS} levels deep") from None
    return value


def _unique(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    names = dict(pairs)
    if len(names) < len(pairs):
        seen: set[str] = set()
        twice = next(name for name, _ in pairs if name in seen or seen.add(name))
        raise ValueError(f"the name {twice!r} occurs twice in one object")
    return names


def _finite(text: str) -> float:
    number = float(text)
    if not isfinite(number):
        raise ValueError(f"the number {text[:30]} is too large")
    return number


def _no_constant(text: str) -> Json:
    raise ValueError(f"{text} is not JSON")


_decoder = json.JSONDecoder(object_pairs_hook=_unique, parse_float=_finite, parse_constant=_no_constant)


def _check(value: Json, levels: int) -> None:
    match value:
        case str():
            check_text(value)
        case list() | dict() if levels == 0:
            raise ValueError(f"nested more than {MAX_LEVELS} levels deep")
        case list():
            for item in value:
                _check(item, levels - 1)
        case dict():
            for name, item in value.items():
                check_text(name)
                _check(item, levels - 1)
        case _:
            pass


def check_text(text: str) -> None:
    """Raises ValueError for a text that cannot travel: a NUL (databases refuse it), half a surrogate pair."""
    if "\0" in text:
        raise ValueError("holds a NUL character")
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise ValueError("holds half of a surrogate pair, which is not a character") from None
