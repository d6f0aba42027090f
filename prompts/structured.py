"""Cells that hold lists and objects of a Chat Completions request, checked as its documentation says.

Used by `columns`. Pure. Each reader returns the value exactly as it will be sent.
"""

from __future__ import annotations

import re

from reelsweep.prompts.cells import as_text, got, json_value
from reelsweep.prompts.request import IMAGE_TAG, TURN_TAG, Json

MAX_STOPS = 4
MAX_TOOLS = 128
MAX_IMAGES = 16

_ROLES = ("system", "developer", "user", "assistant", "tool", "function")
_FUNCTION_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)
_TOKEN_ID = re.compile(r"\d{1,19}", re.ASCII)
_LIST_OF_TEXT = re.compile(r'\s*\[\s*"')


def read_stop(cell: Json) -> Json:
    """One text, or up to four in a JSON list."""
    if isinstance(cell, str) and not _LIST_OF_TEXT.match(cell):
        return cell
    expected = f'a text, or a JSON list of 1 to {MAX_STOPS} texts as ["a", "b"]'
    stops = json_value(cell, expected)
    if (
        isinstance(stops, list)
        and 1 <= len(stops) <= MAX_STOPS
        and all(isinstance(s, str) and s for s in stops)
    ):
        return stops
    if isinstance(stops, int | float) and not isinstance(stops, bool):
        return as_text(stops)
    raise got(cell, expected)


def read_logit_bias(cell: Json) -> Json:
    """A JSON object from token ids to numbers from -100 to 100."""
    expected = 'a JSON object from token ids to numbers from -100 to 100, as {"50256": -100}'
    bias = json_value(cell, expected)
    if isinstance(bias, dict) and all(map(_TOKEN_ID.fullmatch, bias)) and all(map(_is_bias, bias.values())):
        return bias
    raise got(cell, expected)


def _is_bias(value: Json) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and -100 <= value <= 100


def read_response_format(cell: Json) -> Json:
    """`{"type": "text" | "json_object"}` or a JSON schema."""
    expected = 'a JSON object whose "type" is "text", "json_object" or "json_schema" (with "json_schema")'
    match json_value(cell, expected):
        case {"type": "text" | "json_object"} as form:
            return form
        case {"type": "json_schema", "json_schema": {"name": str()}} as form:
            return form
        case _:
            raise got(cell, expected)


def read_tools(cell: Json) -> Json:
    """A JSON list of functions the model may call."""
    expected = 'a JSON list of 1 to 128 tools as [{"type": "function", "function": {"name": "…"}}]'
    tools = json_value(cell, expected)
    if not isinstance(tools, list) or not 1 <= len(tools) <= MAX_TOOLS:
        raise got(cell, expected)
    names = [_function_name(tool, cell, expected) for tool in tools]
    if len(set(names)) < len(names):
        raise got(cell, "tools with different names")
    return tools


def _function_name(tool: Json, cell: Json, expected: str) -> str:
    match tool:
        case {"type": "function", "function": {"name": str(name)}} if _FUNCTION_NAME.fullmatch(name):
            return name
        case _:
            raise got(cell, expected)


def read_tool_choice(cell: Json) -> Json:
    """`none`, `auto`, or one function."""
    expected = 'none, auto, or {"type": "function", "function": {"name": "…"}}'
    if isinstance(cell, str) and cell.strip() in ("none", "auto"):
        return cell.strip()
    match json_value(cell, expected):
        case "none" | "auto" as choice:
            return choice
        case {"type": "function", "function": {"name": str()}} as choice:
            return choice
        case _:
            raise got(cell, expected)


def check_tool_choice(choice: Json, tools: Json) -> None:
    """Raises ValueError where a tool choice has no tools, or names one that is not among them."""
    if not isinstance(tools, list):
        raise ValueError("needs `tools`, and this row has none")
    match choice:
        case {"function": {"name": str(name)}}:
            names = [_function_name(tool, tools, "tools with names") for tool in tools]
            if name not in names:
                raise ValueError(f"got function {name!r}, expected one of `tools`: {', '.join(names)}")
        case _:
            pass


def read_messages(cell: Json) -> Json:
    """A JSON list of messages, the conversation as it will be sent."""
    expected = 'a JSON list of messages as [{"role": "user", "content": "…"}]'
    messages = json_value(cell, expected)
    if not isinstance(messages, list) or not messages:
        raise got(cell, expected)
    for number, message in enumerate(messages, 1):
        if reason := _message_fault(message):
            raise ValueError(f"message {number}: {reason}")
    if not any(isinstance(message, dict) and message["role"] == "user" for message in messages):
        raise ValueError("expected at least one message of role user")
    return messages


def _message_fault(message: Json) -> str | None:
    match message:
        case {"role": str(role)} if role in _ROLES:
            return _content_fault(message)
        case {"role": role}:
            return f"got role {as_text(role)!r}, expected one of {', '.join(_ROLES)}"
        case _:
            return "expected an object with a role"


def _content_fault(message: dict[str, Json]) -> str | None:
    match message.get("content"):
        case str(content):
            reserved = content.startswith((TURN_TAG, IMAGE_TAG))
            return f"content must not begin with {TURN_TAG!r} or {IMAGE_TAG!r}" if reserved else None
        case list(parts) if parts:
            return next(filter(None, map(_part_fault, parts)), None)
        case None if message["role"] == "assistant" and (
            "tool_calls" in message or "function_call" in message
        ):
            return None
        case _:
            return "expected content: a text or a list of parts"


def _part_fault(part: Json) -> str | None:
    match part:
        case {"type": "text", "text": str()}:
            return None
        case {"type": "text"}:
            return 'a part of type text needs a "text"'
        case {"type": "image_url", "image_url": {"url": str(url)}}:
            fits = url.startswith(("data:image/", "http://", "https://"))
            return (
                None if fits else "an image_url is a data URL or http(s); for a file use the column `image`"
            )
        case {"type": str(kind)} if kind != "image_url":
            return None
        case _:
            return 'expected parts as {"type": "text", "text": "…"}'


def read_images(cell: Json) -> Json:
    """References to images: one text, or a JSON list of them."""
    expected = "a file below the table's folder, an http(s) address, or a JSON list of these"
    is_list = not isinstance(cell, str) or _LIST_OF_TEXT.match(cell)
    references = json_value(cell, expected) if is_list else [cell]
    if not isinstance(references, list) or not 1 <= len(references) <= MAX_IMAGES:
        raise got(cell, expected)
    for reference in references:
        if not isinstance(reference, str) or not reference.strip():
            raise got(cell, expected)
        check_reference(reference)
    return references


def check_reference(reference: str) -> None:
    """Raises ValueError for a reference that leaves the table's folder or names another scheme.

    Links are resolved where the file is opened; this is what can be said without looking.
    """
    scheme, is_url, _ = reference.partition("://")
    if is_url and scheme.lower() in ("http", "https"):
        return
    if is_url or re.match(r"[A-Za-z][A-Za-z0-9+.-]*:", reference):
        raise ValueError(f"got {reference[:60]!r}, expected a file below the table's folder or http(s)")
    segments = reference.replace("\\", "/").split("/")
    if not segments[0] or segments[0] == "~" or ".." in segments:
        raise ValueError(f"got {reference[:60]!r}, expected a file below the table's folder")


def read_body(cell: Json) -> Json:
    """Any value: JSON where the text is JSON (`true`, `10`, `"10"`, `{…}`), else the text itself."""
    if not isinstance(cell, str):
        return json_value(cell, "a JSON value")
    try:
        return json_value(cell, "")
    except ValueError:
        if cell.lstrip()[:1] in ("{", "[") and cell.rstrip()[-1:] in ("}", "]"):
            json_value(cell, "JSON, as it begins and ends like it")
        return cell
