"""The columns of a prompt table, declared once: name, type, range, meaning, and where each goes.

Used by `rows` (readers), `plan` (what is sent) and the README (its table is generated from here). Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, cast

from reelsweep.prompts.cells import CellReader, got, number, text, whole, word
from reelsweep.prompts.request import Json
from reelsweep.prompts.seeds import parse_seeds
from reelsweep.prompts.structured import (
    read_body,
    read_images,
    read_logit_bias,
    read_messages,
    read_response_format,
    read_stop,
    read_tool_choice,
    read_tools,
)

Use = Literal["sent", "planning", "carried"]
"""sent: reaches the gateway. planning: decides what is made. carried: to the manifest as `meta_<name>`."""

BODY_PREFIX = "body."
META_PREFIX = "meta_"
MAX_SAMPLES = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptColumn:
    """One column of a prompt table."""

    name: str
    type: str
    allowed: str
    """The range, as the documentation and the errors say it."""
    meaning: str
    use: Use
    wire: str | None = None
    """The field of the request it becomes, or is a part of."""
    read: CellReader


def _read_seed(cell: Json) -> Json:
    return cast(Json, parse_seeds(cell))


def _read_stream(cell: Json) -> Json:
    if cell is True or (isinstance(cell, str | int) and str(cell).strip().lower() in ("true", "1")):
        return True
    raise got(cell, "true: every generation is streamed")


def _read_prompt(cell: Json) -> Json:
    value = text()(cell)
    if isinstance(value, str) and not value.strip():
        raise ValueError("got only white space, expected a prompt")
    return value


def _read_prompt_id(cell: Json) -> Json:
    value = text(200)(cell)
    if isinstance(value, str) and (value != value.strip() or not value.isprintable()):
        raise got(cell, "one line of printable characters, without white space around it")
    return value


_PENALTY = number(-2, 2)


def _sent(
    name: str, type_: str, allowed: str, read: CellReader, meaning: str, *, wire: str | None = None
) -> PromptColumn:
    return PromptColumn(
        name=name, type=type_, allowed=allowed, read=read, meaning=meaning, use="sent", wire=wire or name
    )


def _planning(name: str, type_: str, allowed: str, read: CellReader, meaning: str) -> PromptColumn:
    return PromptColumn(name=name, type=type_, allowed=allowed, read=read, meaning=meaning, use="planning")


COLUMNS: tuple[PromptColumn, ...] = (
    _planning(
        "prompt_id",
        "text",
        "at most 200 characters",
        _read_prompt_id,
        "Names the prompt in the manifest; derived from the content when absent.",
    ),
    _sent("prompt", "text", "any", _read_prompt, "The user message, sent byte for byte.", wire="messages"),
    _sent(
        "prompt_template",
        "template",
        "`{{ name }}`, `{{ name | upper }}`; 1 MB",
        _read_prompt,
        "The user message, filled in from the row's other columns and the sweep's axes.",
        wire="messages",
    ),
    _sent(
        "messages",
        "JSON list",
        "objects with role and content",
        read_messages,
        "The whole conversation, in place of a prompt.",
    ),
    _sent("system", "text", "any", text(), "A system message before the prompt.", wire="messages"),
    _sent(
        "image",
        "text or JSON list",
        "a file below the table's folder, or http(s); 20 MB",
        read_images,
        "Images that go with the prompt, sent as data URLs.",
        wire="messages",
    ),
    _planning(
        "follows",
        "text",
        "a prompt_id",
        _read_prompt_id,
        "The row whose finished turn this one edits; seed and sample are the same.",
    ),
    _planning(
        "samples",
        "whole number",
        f"1 to {MAX_SAMPLES}",
        whole(1, MAX_SAMPLES),
        "How many results of the same request.",
    ),
    _planning(
        "output",
        "word",
        "video or text",
        word("video", "text"),
        "What the row must yield; video unless --output says text.",
    ),
    _sent("model", "text", "any", _read_prompt_id, "The model; else --model, else sora-2."),
    _sent(
        "seed",
        "whole number, list or range",
        "64 bits; `7`, `1,2,3`, `0-9`",
        _read_seed,
        "One generation per seed.",
    ),
    _sent(
        "size",
        "text",
        "any, as `1280x720`",
        text(100),
        "The size of the video; a gateway's profile says how it is sent.",
    ),
    _sent(
        "seconds",
        "number",
        "above 0, at most 3600",
        number(None, 3600, above=0),
        "The length of the video; a gateway's profile says how it is sent.",
    ),
    _sent("temperature", "number", "0 to 2", number(0, 2), "How freely the model chooses."),
    _sent("top_p", "number", "0 to 1", number(0, 1), "The share of probability the model chooses from."),
    _sent(
        "n",
        "whole number",
        "from 1",
        whole(1),
        "Choices asked of one request; each is a row of the manifest.",
    ),
    _sent("stop", "text or JSON list", "at most 4 texts", read_stop, "Where the model stops writing."),
    _sent("max_tokens", "whole number", "from 1", whole(1), "The most tokens of an answer."),
    _sent("presence_penalty", "number", "-2 to 2", _PENALTY, "Against tokens that have occurred."),
    _sent("frequency_penalty", "number", "-2 to 2", _PENALTY, "Against tokens that have occurred often."),
    _sent(
        "logit_bias",
        "JSON object",
        "token id to -100 … 100",
        read_logit_bias,
        "For or against single tokens.",
    ),
    _sent(
        "user",
        "text",
        "any",
        text(),
        "The end user, for the gateway's abuse watch; not part of the fingerprint.",
    ),
    _sent(
        "response_format",
        "JSON object",
        "type text, json_object or json_schema",
        read_response_format,
        "The form of a text answer; with json_object the messages must mention JSON.",
    ),
    _sent("tools", "JSON list", "at most 128 functions", read_tools, "Functions the model may call."),
    _sent(
        "tool_choice",
        "word or JSON object",
        "none, auto, or one function; needs tools",
        read_tool_choice,
        "Which function the model calls.",
    ),
    _sent(
        "stream", "word", "true", _read_stream, "Always true on the wire, whether the column is there or not."
    ),
)

BODY = _sent(
    "body.NAME",
    "JSON, else text",
    "any",
    read_body,
    "Sent as body field NAME: `10` as a number, `true` as a boolean, other text as text.",
    wire="NAME",
)
META = PromptColumn(
    name="meta_NAME",
    type="text",
    allowed="any",
    read=text(),
    meaning="Carried to the manifest as meta_NAME.",
    use="carried",
)
OTHER = PromptColumn(
    name="any other",
    type="text",
    allowed="any",
    read=text(),
    meaning="A variable for prompt_template; carried to the manifest as meta_NAME.",
    use="carried",
)

BY_NAME = {column.name: column for column in COLUMNS}
PROMPTS = ("prompt", "prompt_template", "messages")
"""A row has one of these."""


def find_column(name: str) -> PromptColumn | None:
    """What a table's column is, None where it is only carried. Raises ValueError for `body.` misused."""
    if not name.startswith(BODY_PREFIX):
        return BY_NAME.get(name)
    field = name.removeprefix(BODY_PREFIX)
    if not field or field in BY_NAME:
        wanted = f"use the column `{field}`" if field else "a name after `body.` is missing"
        raise ValueError(f"'{name}' cannot be sent as it is: {wanted}.")
    return BODY


def markdown_table(columns: Sequence[PromptColumn] = (*COLUMNS, BODY, META, OTHER)) -> str:
    """The columns as the README's table."""
    lines = ["| column | type | allowed | what it does |", "|---|---|---|---|"]
    for column in columns:
        cells = (f"`{column.name}`", column.type, column.allowed, column.meaning)
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"
