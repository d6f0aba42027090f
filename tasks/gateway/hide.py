"""An Outcome without the key that its request carried: some gateways say it back.

Between the gateway's answer and everything that keeps or shows it. Pure. An address that holds the key is
not left whole either: the key goes to the gateway and nowhere else, not even to where the gateway points.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any, cast
from urllib.parse import quote, quote_plus

from reelsweep.tasks.gateway.outcome import Choice, Outcome, Usage

HIDDEN = "REMOVED"
_MIN_KEY_CHARS = 4
"""A shorter key would take words out of every answer."""


def hide(outcome: Outcome, key: str | None) -> Outcome:
    """The outcome with the key taken out of every text in it, however it is quoted."""
    if key is None or len(key) < _MIN_KEY_CHARS:
        return outcome
    spellings = {key, quote(key, safe=""), quote(key), quote_plus(key), json.dumps(key)[1:-1]}
    return _clean(outcome, sorted(spellings, key=len, reverse=True))


def hide_text(text: str | None, key: str | None) -> str | None:
    """One text, such as a task id seen in mid-stream, without the key."""
    return hide(Outcome(status="incomplete", error_message=text), key).error_message


def _clean(value: Any, spellings: list[str]) -> Any:
    match value:
        case str():
            for spelling in spellings:
                value = value.replace(spelling, HIDDEN)
            return value
        case tuple():
            return tuple(_clean(item, spellings) for item in cast(tuple[Any, ...], value))
        case Mapping():
            items = cast(Mapping[str, Any], value).items()
            return {_clean(name, spellings): _clean(item, spellings) for name, item in items}
        case Outcome() | Choice() | Usage():
            names = [each.name for each in fields(value)]
            return replace(value, **{name: _clean(getattr(value, name), spellings) for name in names})
        case _:
            return value
