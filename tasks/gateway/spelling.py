"""How a gateway wants size and duration to be said: a body field, a piece of the model's name, words.

Used by `profiles` on the canonical request, after the fingerprint: another spelling buys nothing again. Pure.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from string import Formatter
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator
from reelsweep.prompts.request import Json

FIELDS = ("value", "size", "width", "height", "orientation", "ratio", "seconds")
"""What a template may use: `value` is the cell as `values` maps it, the others are worked out of it."""


class _Spelling(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    values: Mapping[str, str] = {}
    """Replacements by the asked value, as `1280x720: large`; others stay as they are."""

    def said(self, value: Json) -> str:
        """The value as the gateway knows it."""
        plain = _plain(value)
        return self.values.get(plain, plain)


class BodyField(_Spelling):
    """A field of the request's body, as a string or a number."""

    way: Literal["body"] = Field(default="body", alias="as")
    field: str | None = None
    """Its name; the column's own by default."""
    type: Literal["as_is", "string", "number"] = "as_is"


class _Template(_Spelling):
    template: str

    @field_validator("template")
    @classmethod
    def _known_fields(cls, template: str) -> str:
        for _, name, spec, conversion in Formatter().parse(template):
            if name is not None and (name not in FIELDS or spec or conversion):
                raise ValueError(f"got {{{name}}}, expected one of {', '.join(FIELDS)}")
        return template


class ModelSuffix(_Template):
    """A piece appended to the model's name, as `-{orientation}` or `-{seconds}s`."""

    way: Literal["model"] = Field(default="model", alias="as")


class PromptWords(_Template):
    """Words appended to the last user message, as `, aspect ratio {ratio}`."""

    way: Literal["prompt"] = Field(default="prompt", alias="as")


Spelling = Annotated[BodyField | ModelSuffix | PromptWords, Field(discriminator="way")]


def respell(
    payload: Mapping[str, Json], column: str, spelling: BodyField | ModelSuffix | PromptWords
) -> dict[str, Json]:
    """The payload with one column said the gateway's way; without the column, unchanged."""
    changed = dict(payload)
    value = changed.pop(column, None)
    if value is None:
        return changed
    if isinstance(spelling, BodyField):
        changed[spelling.field or column] = _typed(spelling, value)
        return changed
    words = spelling.template.format(**_fields(column, value, spelling.said(value)))
    if isinstance(spelling, ModelSuffix):
        changed["model"] = f"{changed.get('model', '')}{words}"
    else:
        changed["messages"] = _with_words(changed.get("messages"), words)
    return changed


def _typed(spelling: BodyField, value: Json) -> Json:
    said = spelling.said(value)
    if spelling.type == "as_is":
        return said if _plain(value) in spelling.values else value
    if spelling.type == "string":
        return said
    try:
        number = float(said)
    except ValueError:
        return said
    return int(number) if number.is_integer() else number


def _fields(column: str, value: Json, said: str) -> dict[str, str]:
    """Every template field; what a value does not say is empty."""
    width, _, height = _plain(value).lower().partition("x") if column == "size" else ("", "", "")
    sizes = (int(width), int(height)) if width.isdigit() and height.isdigit() else (0, 0)
    divisor = math.gcd(*sizes) or 1
    return {
        "value": said,
        "size": said if column == "size" else "",
        "seconds": said if column == "seconds" else "",
        "width": width,
        "height": height,
        "orientation": "" if not all(sizes) else _orientation(*sizes),
        "ratio": "" if not all(sizes) else f"{sizes[0] // divisor}:{sizes[1] // divisor}",
    }


def _orientation(width: int, height: int) -> str:
    return "square" if width == height else "landscape" if width > height else "portrait"


def _with_words(messages: Json, words: str) -> Json:
    """The messages with words after the text of the last user message."""
    if not isinstance(messages, list):
        return messages
    changed = list(messages)
    for index in range(len(changed) - 1, -1, -1):
        message = changed[index]
        if isinstance(message, dict) and message.get("role") == "user":
            changed[index] = {**message, "content": _content_with_words(message.get("content"), words)}
            break
    return changed


def _content_with_words(content: Json, words: str) -> Json:
    if isinstance(content, str):
        return content + words
    if not isinstance(content, list):
        return content
    texts = [
        index for index, part in enumerate(content) if isinstance(part, dict) and part.get("type") == "text"
    ]
    parts = list(content)
    if not texts:
        return [*parts, {"type": "text", "text": words.strip(" ,，")}]
    last = parts[texts[-1]]
    if isinstance(last, dict):
        parts[texts[-1]] = {**last, "text": f"{last.get('text', '')}{words}"}
    return parts


def _plain(value: Json) -> str:
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)
