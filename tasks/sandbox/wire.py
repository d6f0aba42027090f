"""From what is told to what goes over the wire: steps of bytes with their instants, spoilt where a fault says so.

Pure: `app` sends the steps. A stream ends with "end" (the body is finished properly), "close" (the
connection closes in the middle of the body) or "reset".
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import orjson
from reelsweep.tasks.sandbox.dialects import Beat, Chunk
from reelsweep.tasks.sandbox.faults import Fault

DONE = b"data: [DONE]\n\n"
SILENCE_S = 3600.0

Close = Literal["end", "close", "reset"]


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


def write_stream(beats: Sequence[Beat], duration_s: float, fault: Fault | None) -> Transmission:
    """The stream that tells the beats, with the fault in it."""
    if fault is None:
        return Transmission(steps=(*_steps(beats, duration_s), Step(duration_s, DONE)))
    spoiler = _SPOILERS.get(fault.fault)
    if spoiler is not None:
        return spoiler(beats, duration_s, fault)
    return Transmission(steps=(*_steps(beats, duration_s), Step(duration_s, DONE)))


def _steps(beats: Iterable[Beat], duration_s: float) -> Iterator[Step]:
    for beat in beats:
        yield Step(beat.at * duration_s, write_event(beat.chunk))


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


def _middle(beats: Sequence[Beat], fault: Fault) -> int:
    """Where the middle is: after the first event, before the closing ones."""
    before = sum(1 for beat in beats if beat.mark in ("start", "task", "progress"))
    return min(max(1, round(before * fault.at)), max(before, 1))


def _after(beats: Sequence[Beat], mark: str) -> int:
    """The place after the last beat of a mark; after the first beat where there is none."""
    places = [idx for idx, beat in enumerate(beats) if beat.mark == mark]
    return places[-1] + 1 if places else 1


def _cut_first(_: Sequence[Beat], __: float, ___: Fault) -> Transmission:
    return Transmission(steps=(), close="close")


def _cut(beats: Sequence[Beat], duration_s: float, fault: Fault) -> Transmission:
    steps = list(_steps(beats, duration_s))
    place = _middle(beats, fault)
    torn = steps[min(place, len(steps) - 1)]
    half = Step(torn.at_s, torn.data[: len(torn.data) // 2])
    return Transmission(steps=(*steps[:place], half), close="close")


def _eof(beats: Sequence[Beat], duration_s: float, fault: Fault) -> Transmission:
    return Transmission(steps=tuple(_steps(beats[: _middle(beats, fault)], duration_s)))


def _cut_task(beats: Sequence[Beat], duration_s: float, _: Fault) -> Transmission:
    return Transmission(steps=tuple(_steps(beats[: _after(beats, "task")], duration_s)), close="close")


def _cut_url(beats: Sequence[Beat], duration_s: float, _: Fault) -> Transmission:
    return Transmission(steps=tuple(_steps(beats[: _after(beats, "closing")], duration_s)), close="close")


def _no_done(beats: Sequence[Beat], duration_s: float, _: Fault) -> Transmission:
    return Transmission(steps=tuple(_steps(beats, duration_s)))


def _no_finish(beats: Sequence[Beat], duration_s: float, _: Fault) -> Transmission:
    chunks = [Beat(beat.at, beat.mark, _unfinished(beat.chunk)) for beat in beats if beat.mark != "end"]
    return Transmission(steps=tuple(_steps(chunks, duration_s)))


def _unfinished(chunk: Chunk | str) -> Chunk | str:
    if isinstance(chunk, str):
        return chunk
    return chunk | {"choices": [choice | {"finish_reason": None} for choice in chunk["choices"]]}


def _glued(beats: Sequence[Beat], duration_s: float, _: Fault) -> Transmission:
    *steps, last = _steps(beats, duration_s)
    return Transmission(steps=(*steps, Step(last.at_s, last.data.rstrip() + DONE)))


def _done_typo(beats: Sequence[Beat], duration_s: float, _: Fault) -> Transmission:
    return Transmission(steps=(*_steps(beats, duration_s), Step(duration_s, rb"data: [DONE]\n\n")))


def _broken_json(beats: Sequence[Beat], duration_s: float, _: Fault) -> Transmission:
    steps = list[Step]()
    for step in _steps(beats, duration_s):
        steps += [step, Step(step.at_s, step.data[: max(20, len(step.data) // 2)].rstrip() + b"\n\n")]
    return Transmission(steps=(*steps, Step(duration_s, DONE)))


def _silence(beats: Sequence[Beat], duration_s: float, fault: Fault) -> Transmission:
    silence_s = SILENCE_S if fault.s is None else fault.s
    first, *rest = (*_steps(beats, duration_s), Step(duration_s, DONE))
    return Transmission(steps=(first, *(Step(step.at_s + silence_s, step.data) for step in rest)))


def _error_after(beats: Sequence[Beat], duration_s: float, fault: Fault) -> Transmission:
    steps = tuple(_steps(beats[: _middle(beats, fault)], duration_s))
    return Transmission(
        steps=(*steps, Step(steps[-1].at_s, write_event(error_of(fault))), Step(duration_s, DONE))
    )


def _error_first(_: Sequence[Beat], __: float, fault: Fault) -> Transmission:
    return Transmission(steps=(Step(0, write_event(error_of(fault))), Step(0, DONE)))


def _bare_error(beats: Sequence[Beat], duration_s: float, fault: Fault) -> Transmission:
    steps = tuple(_steps(beats[: _middle(beats, fault)], duration_s))
    return Transmission(steps=(*steps, Step(duration_s, json.dumps(error_of(fault)).encode() + DONE)))


_SPOILERS = {
    "cut_first": _cut_first,
    "cut": _cut,
    "eof": _eof,
    "cut_task": _cut_task,
    "cut_url": _cut_url,
    "no_done": _no_done,
    "no_finish": _no_finish,
    "glued": _glued,
    "done_typo": _done_typo,
    "broken_json": _broken_json,
    "silence": _silence,
    "heavy_load": _error_after,
    "gen_timeout": _error_after,
    "no_tokens": _error_first,
    "bare_error": _bare_error,
}

_ERRORS = {
    "heavy_load": "We're under heavy load, please try again later.",
    "gen_timeout": "Upstream API timeout: generation exceeded the limit of 3000 seconds",
    "no_tokens": "No available tokens for video generation. All of them are cooling down or used up.",
    "bare_error": "Generation failed: upstream error, please retry.",
    "task_failed": "Generation failed: upstream error, please retry.",
}


def error_of(fault: Fault) -> dict[str, Any]:
    """The error object of a fault inside a stream."""
    return {"error": {"message": _ERRORS[fault.fault], "type": "server_error", "param": None, "code": None}}


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
