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
"""sent: reaches the gateway. planning: decides what is made. carried: goes to the manifest as `meta_<name>`."""

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

COLUMNS: tuple[PromptColumn, ...] = (
    PromptColumn(
        name="prompt_id",
        type="text",
        allowed="at most 200 characters",
        meaning="Names the prompt in the manifest; derived from the content when absent.",
        use="planning",
        read=_read_prompt_id,
    ),
    PromptColumn(
        name="prompt",
        type="text",
        allowed="any",
        meaning="The user message, sent byte for byte.",
        use="sent",
        wire="messages",
        read=_read_prompt,
    ),
    PromptColumn(
        name="prompt_template",
        type="template",
        allowed="`{{ name }}`, `{{ name | upper }}`; 1 MB",
        meaning="The user message, filled in from the row's other columns and the sweep's axes.",
        use="sent",
        wire="messages",
        read=_read_prompt,
    ),
    PromptColumn(
        name="messages",
        type="JSON list",
        allowed="objects with role and content",
        meaning="The whole conversation, in place of a prompt.",
        use="sent",
        wire="messages",
        read=read_messages,
    ),
    PromptColumn(
        name="system",
        type="text",
        allowed="any",
        meaning="A system message before the prompt.",
        use="sent",
        wire="messages",
        read=text(),
    ),
    PromptColumn(
        name="image",
        type="text or JSON list",
        allowed="a file below the table's folder, or http(s); 20 MB",
        meaning="Images that go with the prompt, sent as data URLs.",
        use="sent",
        wire="messages",
        read=read_images,
    ),
    PromptColumn(
        name="follows",
        type="text",
        allowed="a prompt_id",
        meaning="The row whose finished turn this one edits; seed and sample are the same.",
        use="planning",
        read=_read_prompt_id,
    ),
    PromptColumn(
        name="samples",
        type="whole number",
        allowed=f"1 to {MAX_SAMPLES}",
        meaning="How many results of the same request.",
        use="planning",
        read=whole(1, MAX_SAMPLES),
    ),
    PromptColumn(
        name="output",
        type="word",
        allowed="video or text",
        meaning="What the row must yield; video unless --output says text.",
        use="planning",
        read=word("video", "text"),
    ),
    PromptColumn(
        name="model",
        type="text",
        allowed="any",
        meaning="The model; else --model, else sora-2.",
        use="sent",
        wire="model",
        read=_read_prompt_id,
    ),
    PromptColumn(
        name="seed",
        type="whole number, list or range",
        allowed="64 bits; `7`, `1,2,3`, `0-9`",
        meaning="One generation per seed.",
        use="sent",
        wire="seed",
        read=_read_seed,
    ),
    PromptColumn(
        name="size",
        type="text",
        allowed="any, as `1280x720`",
        meaning="The size of the video; a gateway's profile says how it is sent.",
        use="sent",
        wire="size",
        read=text(100),
    ),
    PromptColumn(
        name="seconds",
        type="number",
        allowed="above 0, at most 3600",
        meaning="The length of the video; a gateway's profile says how it is sent.",
        use="sent",
        wire="seconds",
        read=number(None, 3600, above=0),
    ),
    PromptColumn(
        name="temperature",
        type="number",
        allowed="0 to 2",
        meaning="How freely the model chooses.",
        use="sent",
        wire="temperature",
        read=number(0, 2),
    ),
    PromptColumn(
        name="top_p",
        type="number",
        allowed="0 to 1",
        meaning="The share of probability the model chooses from.",
        use="sent",
        wire="top_p",
        read=number(0, 1),
    ),
    PromptColumn(
        name="n",
        type="whole number",
        allowed="from 1",
        meaning="Choices asked of one request; each is a row of the manifest.",
        use="sent",
        wire="n",
        read=whole(1),
    ),
    PromptColumn(
        name="stop",
        type="text or JSON list",
        allowed="at most 4 texts",
        meaning="Where the model stops writing.",
        use="sent",
        wire="stop",
        read=read_stop,
    ),
    PromptColumn(
        name="max_tokens",
        type="whole number",
        allowed="from 1",
        meaning="The most tokens of an answer.",
        use="sent",
        wire="max_tokens",
        read=whole(1),
    ),
    PromptColumn(
        name="presence_penalty",
        type="number",
        allowed="-2 to 2",
        meaning="Against tokens that have occurred.",
        use="sent",
        wire="presence_penalty",
        read=_PENALTY,
    ),
    PromptColumn(
        name="frequency_penalty",
        type="number",
        allowed="-2 to 2",
        meaning="Against tokens that have occurred often.",
        use="sent",
        wire="frequency_penalty",
        read=_PENALTY,
    ),
    PromptColumn(
        name="logit_bias",
        type="JSON object",
        allowed="token id to -100 … 100",
        meaning="For or against single tokens.",
        use="sent",
        wire="logit_bias",
        read=read_logit_bias,
    ),
    PromptColumn(
        name="user",
        type="text",
        allowed="any",
        meaning="The end user, for the gateway's abuse watch; not part of the fingerprint.",
        use="sent",
        wire="user",
        read=text(),
    ),
    PromptColumn(
        name="response_format",
        type="JSON object",
        allowed="type text, json_object or json_schema",
        meaning="The form of a text answer; with json_object the messages must mention JSON.",
        use="sent",
        wire="response_format",
        read=read_response_format,
    ),
    PromptColumn(
        name="tools",
        type="JSON list",
        allowed="at most 128 functions",
        meaning="Functions the model may call.",
        use="sent",
        wire="tools",
        read=read_tools,
    ),
    PromptColumn(
        name="tool_choice",
        type="word or JSON object",
        allowed="none, auto, or one function; needs tools",
        meaning="Which function the model calls.",
        use="sent",
        wire="tool_choice",
        read=read_tool_choice,
    ),
    PromptColumn(
        name="stream",
        type="word",
        allowed="true",
        meaning="Always true on the wire, whether the column is there or not.",
        use="sent",
        wire="stream",
        read=_read_stream,
    ),
)

BODY = PromptColumn(
    name="body.NAME",
    type="JSON, else text",
    allowed="any",
    meaning="Sent as body field NAME: `10` as a number, `true` as a boolean, other text as text.",
    use="sent",
    wire="NAME",
    read=read_body,
)
META = PromptColumn(
    name="meta_NAME",
    type="text",
    allowed="any",
    meaning="Carried to the manifest as meta_NAME.",
    use="carried",
    read=text(),
)
OTHER = PromptColumn(
    name="any other",
    type="text",
    allowed="any",
    meaning="A variable for prompt_template; carried to the manifest as meta_NAME.",
    use="carried",
    read=text(),
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
    lines += [
        f"| `{column.name}` | {column.type} | {column.allowed} | {column.meaning} |" for column in columns
    ]
    return "\n".join(lines) + "\n"
