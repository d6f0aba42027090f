"""From what is told to what goes over the wire: bytes and their instants. Pure; `answers` sends them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import orjson
from reelsweep.tasks.sandbox.dialects import Beat, Chunk

DONE = b"data: [DONE]\n\n"

Close = Literal["end", "close"]
"""The body ends properly, or the connection closes in the middle of it."""


@dataclass(frozen=True, slots=True)
class Step:
    """Bytes to be sent `at_s` seconds after the stream began."""

    at_s: float
    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Transmission:
    """A whole response body: what is sent when, and how it ends."""

    steps: tuple[Step, ...]
    close: Close = "end"


def write_steps(beats: Iterable[Beat], duration_s: float) -> tuple[Step, ...]:
    """One step per beat."""
    return tuple(Step(beat.at * duration_s, write_event(beat.chunk)) for beat in beats)


def write_event(chunk: Chunk | str) -> bytes:
    """One server-sent event, or a comment."""
    return f": {chunk}\n\n".encode() if isinstance(chunk, str) else b"data: %b\n\n" % orjson.dumps(chunk)


def add_comments(steps: Iterable[Step], every_s: float) -> tuple[Step, ...]:
    """The steps with a keep-alive comment wherever `every_s` seconds have passed."""
    mixed, due = list[Step](), every_s
    for step in steps:
        while due < step.at_s:
            mixed.append(Step(due, b": PING\n\n"))
            due += every_s
        mixed.append(step)
    return tuple(mixed)


def fold_completion(beats: Sequence[Beat]) -> dict[str, Any]:
    """The plain answer that says what the beats say: one message per choice."""
    chunks = [beat.chunk for beat in beats if not isinstance(beat.chunk, str)]
    choices = dict[int, dict[str, Any]]()
    for chunk in chunks:
        for part in chunk["choices"]:
            blank = {
                "index": part["index"],
                "message": {"role": "assistant", "content": ""},
                "finish_reason": None,
            }
            choice = choices.setdefault(part["index"], blank)
            _fold_delta(choice["message"], part["delta"])
            choice["finish_reason"] = part["finish_reason"] or choice["finish_reason"]
    head = {name: value for name, value in chunks[-1].items() if name != "choices"}
    return head | {"object": "chat.completion", "choices": [choices[idx] for idx in sorted(choices)]}


def _fold_delta(message: dict[str, Any], delta: dict[str, Any]) -> None:
    for name in ("content", "reasoning_content"):
        if delta.get(name):
            message[name] = (message.get(name) or "") + delta[name]
    for call in delta.get("tool_calls") or ():
        message["content"] = None
        calls = message.setdefault("tool_calls", [])
        if call["index"] == len(calls):
            calls.append({name: value for name, value in call.items() if name != "index"})
        else:
            calls[call["index"]]["function"]["arguments"] += call["function"]["arguments"]
