"""The jobs of text models, and how they speak: tokens one by one, tool calls in pieces, usage at the end."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from functools import partial

from reelsweep.tasks.sandbox.arrivals import (
    REFUSED_AT,
    Arrival,
    add_usage,
    choose_seed,
    draw_duration_s,
    explain_end,
    write_fingerprint,
    write_order,
)
from reelsweep.tasks.sandbox.dialects import REFUSALS, Beat, Delta, Envelope, count_usage
from reelsweep.tasks.sandbox.faults import Fault, at_stage
from reelsweep.tasks.sandbox.jobs import Job, draw_name
from reelsweep.tasks.sandbox.script import Script
from reelsweep.tasks.sandbox.text import TextAnswer, answer_text, count_tokens


def is_text_model(model: str) -> bool:
    """Whether a model answers with words."""
    return "text" in model or "gpt" in model


def take_text(arrival: Arrival, script: Script) -> Job:
    """The job for a request to a text model; raises RefusedRequestError for one that makes no sense."""
    request, name, now = arrival.request, draw_name(), time.time()
    fault = at_stage(arrival.faults, "stream")
    answers = _refuse(answer_text(request, choose_seed(request, script)), fault)
    envelope = Envelope(
        completion_id=f"chatcmpl-{name}",
        created=int(now),
        model=request.model,
        fingerprint=write_fingerprint(script, arrival.epoch),
        seed=request.seed if script.seed == "echoed" else None,
    )
    duration_s = draw_duration_s(arrival, script)
    usage = count_usage(count_tokens(request.prompt), sum(len(answer.tokens) for answer in answers))
    return Job(
        name=name,
        request_id=arrival.request_id,
        completion_id=envelope.completion_id,
        task_id=f"task_{name}",
        order=write_order(arrival, 0),
        created_at=now,
        ready_at=now + duration_s,
        duration_s=duration_s,
        ended="completed" if fault is None else fault.kind.ended,
        is_video=False,
        tickets=(),
        faults=arrival.faults,
        problem=explain_end(fault),
        tell=add_usage(request, partial(speak, envelope, answers, usage), envelope.usage_chunk(usage)),
    )


def _refuse(answers: tuple[TextAnswer, ...], fault: Fault | None) -> tuple[TextAnswer, ...]:
    """The answers, or in their place what a fault has the model say."""
    kind = "" if fault is None else fault.fault
    if kind == "content_filter":
        return tuple(TextAnswer(text="", finish_reason="content_filter") for _ in answers)
    if kind in REFUSED_AT:
        return tuple(TextAnswer(text=REFUSALS[REFUSED_AT[kind]], finish_reason="stop") for _ in answers)
    return answers


def speak(envelope: Envelope, answers: Sequence[TextAnswer], usage: Mapping[str, int]) -> tuple[Beat, ...]:
    """The events of a text answer, all its choices one after the other."""
    deltas = [(idx, delta) for idx, answer in enumerate(answers) for delta in _deltas(envelope, answer)]
    beats = [
        Beat(at / len(deltas), "progress", envelope.chunk(delta, idx=idx))
        for at, (idx, delta) in enumerate(deltas)
    ]
    for idx, answer in enumerate(answers):
        more: dict[str, object] = {"usage": usage} if idx == len(answers) - 1 else {}
        beats.append(Beat(1, "end", envelope.chunk({}, answer.finish_reason, idx, **more)))
    return tuple(beats)


def _deltas(envelope: Envelope, answer: TextAnswer) -> Iterator[Delta]:
    if answer.tool_name is None:
        yield {"role": "assistant", "content": ""}
        for token in answer.tokens:
            yield {"content": token}
        return
    call_id = f"call_{envelope.completion_id.rpartition('-')[2][:24]}"
    function = {"name": answer.tool_name, "arguments": ""}
    call = {"index": 0, "id": call_id, "type": "function", "function": function}
    yield {"role": "assistant", "content": None, "tool_calls": [call]}
    for token in answer.tokens:
        yield {"tool_calls": [{"index": 0, "function": {"arguments": token}}]}
