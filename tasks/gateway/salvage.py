"""What can be read from text that is not one JSON value: glued values, pretty printing, cut objects.

Used by `decode` for what SSE does not explain. Pure.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from reelsweep.prompts.request import Json
from reelsweep.tasks.gateway.values import JsonObject, as_objects, as_text, parse_json, parse_json_at

_BETWEEN = re.compile(r"(?:[\s,]|\\[nr]|data:(?!\s*\[DONE\])|(?:event|id|retry):[^\n]*)+")
_DONE = re.compile(r"(?:data:)?\s*\[DONE\]")
_BREAK = re.compile(r"\n|data:|(?=[{\[])")
_NEXT_LINE = re.compile(r"\n|data:")
_STRING = re.compile(r'"(content|reasoning_content)"\s*:\s*("(?:[^"\\]|\\.)*"?)', re.DOTALL)
_CUT_ESCAPE = re.compile(r"\\(?:u[0-9a-fA-F]{0,3})?$")
_MAX_MISSES = 200
"""A hostile text may begin a value on every line; each miss costs a parse."""


@dataclass(slots=True)
class Values:
    """What was found, in order: objects, and as texts what was left over."""

    pieces: list[JsonObject | str] = field(default_factory=list["JsonObject | str"])
    done: bool = False

    @property
    def objects(self) -> list[JsonObject]:
        """The objects alone."""
        return [piece for piece in self.pieces if not isinstance(piece, str)]


def split_values(text: str) -> Values:
    """Every JSON object in a text that holds several, with terminators and `data:` between them."""
    values, position, misses = Values(), 0, 0
    while position < len(text):
        if between := _BETWEEN.match(text, position):
            position = between.end()
        elif done := _DONE.match(text, position):
            values.done, position = True, done.end()
        elif text[position] in "{[" and (found := parse_json_at(text, position)):
            values.pieces += as_objects(found[0])
            position = found[1]
        elif (misses := misses + 1) > _MAX_MISSES:
            values.pieces.append(text[position:])
            break
        else:
            position = _skip(text, position, values)
    return values


def _skip(text: str, position: int, values: Values) -> int:
    """Past what is not JSON: a broken value to the next line, other text to the next brace."""
    end = (_NEXT_LINE if text[position] in "{[" else _BREAK).search(text, position + 1)
    stop = end.start() if end else len(text)
    values.pieces.append(text[position:stop])
    return stop


def text_of_fragment(fragment: str) -> str:
    """The content strings of a broken or cut event, as far as they go."""
    return "".join(_unquote(match[2]) for match in _STRING.finditer(fragment))


def _unquote(literal: str) -> str:
    """A JSON string literal that may lack its end; an escape cut in the middle is dropped."""
    body = literal[1:-1] if len(literal) > 1 and literal.endswith('"') else literal[1:]
    value: Json | ValueError = parse_json(f'"{body}"')
    if isinstance(value, ValueError):
        value = parse_json(f'"{_CUT_ESCAPE.sub("", body)}"')
    return "" if isinstance(value, ValueError) else as_text(value)
