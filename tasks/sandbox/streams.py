"""What each fault of stage `stream` makes of a stream. Pure; see `faults.FAULTS` for what they mean."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from reelsweep.tasks.sandbox.dialects import Beat, Chunk, Mark
from reelsweep.tasks.sandbox.faults import Fault
from reelsweep.tasks.sandbox.wire import DONE, Step, Transmission, write_event, write_steps

SILENCE_S = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Telling:
    """A stream that is about to be told."""

    beats: Sequence[Beat]
    duration_s: float
    fault: Fault

    @property
    def steps(self) -> tuple[Step, ...]:
        """Its events."""
        return write_steps(self.beats, self.duration_s)

    @property
    def done(self) -> Step:
        """Its terminator."""
        return Step(self.duration_s, DONE)

    @property
    def middle(self) -> int:
        """How many events come before its middle: at least one, none of the closing ones."""
        before = sum(1 for beat in self.beats if beat.mark in ("start", "task", "progress"))
        return min(max(1, round(before * self.fault.at)), max(before, 1))

    def until(self, mark: Mark) -> int:
        """How many events come up to the last of a mark; one where there is none."""
        return max((idx + 1 for idx, beat in enumerate(self.beats) if beat.mark == mark), default=1)


def write_stream(beats: Sequence[Beat], duration_s: float, fault: Fault | None) -> Transmission:
    """The stream that tells the beats, with the fault in it where it is one of streams."""
    spoil = None if fault is None else _SPOILERS.get(fault.fault)
    if fault is None or spoil is None:
        return Transmission(steps=(*write_steps(beats, duration_s), Step(duration_s, DONE)))
    return spoil(Telling(beats=beats, duration_s=duration_s, fault=fault))


def _cut_first(_: Telling) -> Transmission:
    return Transmission(steps=(), close="close")


def _cut(telling: Telling) -> Transmission:
    steps, place = telling.steps, telling.middle
    torn = steps[min(place, len(steps) - 1)]
    half = Step(torn.at_s, torn.data[: len(torn.data) // 2])
    return Transmission(steps=(*steps[:place], half), close="close")


def _eof(telling: Telling) -> Transmission:
    return Transmission(steps=telling.steps[: telling.middle])


def _cut_task(telling: Telling) -> Transmission:
    return Transmission(steps=telling.steps[: telling.until("task")], close="close")


def _cut_url(telling: Telling) -> Transmission:
    return Transmission(steps=telling.steps[: telling.until("closing")], close="close")


def _no_done(telling: Telling) -> Transmission:
    return Transmission(steps=telling.steps)


def _no_finish(telling: Telling) -> Transmission:
    beats = [
        Beat(beat.at, beat.mark, _unfinished(beat.chunk)) for beat in telling.beats if beat.mark != "end"
    ]
    return Transmission(steps=write_steps(beats, telling.duration_s))


def _unfinished(chunk: Chunk | str) -> Chunk | str:
    if isinstance(chunk, str):
        return chunk
    return chunk | {"choices": [choice | {"finish_reason": None} for choice in chunk["choices"]]}


def _glued(telling: Telling) -> Transmission:
    *steps, last = telling.steps
    return Transmission(steps=(*steps, Step(last.at_s, last.data.rstrip() + DONE)))


def _done_typo(telling: Telling) -> Transmission:
    return Transmission(steps=(*telling.steps, Step(telling.duration_s, rb"data: [DONE]\n\n")))


def _broken_json(telling: Telling) -> Transmission:
    pairs = ((step, Step(step.at_s, _tear(step.data))) for step in telling.steps)
    return Transmission(steps=(*(step for pair in pairs for step in pair), telling.done))


def _tear(event: bytes) -> bytes:
    return event[: max(20, len(event) // 2)].rstrip() + b"\n\n"


def _silence(telling: Telling) -> Transmission:
    silence_s = SILENCE_S if telling.fault.s is None else telling.fault.s
    first, *rest = (*telling.steps, telling.done)
    return Transmission(steps=(first, *(Step(step.at_s + silence_s, step.data) for step in rest)))


def _error_after(telling: Telling) -> Transmission:
    steps = telling.steps[: telling.middle]
    error = Step(steps[-1].at_s, write_event(error_of(telling.fault)))
    return Transmission(steps=(*steps, error, Step(error.at_s, DONE)))


def _error_first(telling: Telling) -> Transmission:
    return Transmission(steps=(Step(0, write_event(error_of(telling.fault))), Step(0, DONE)))


def _bare_error(telling: Telling) -> Transmission:
    steps = telling.steps[: telling.middle]
    error = Step(steps[-1].at_s, orjson.dumps(error_of(telling.fault)) + DONE)
    return Transmission(steps=(*steps, error))


_SPOILERS: dict[str, Callable[[Telling], Transmission]] = {
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
    """The error object of a job that failed."""
    return {"error": {"message": _ERRORS[fault.fault], "type": "server_error", "param": None, "code": None}}
