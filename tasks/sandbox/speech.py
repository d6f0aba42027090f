"""How text models speak: tokens one by one, tool calls in pieces, the usage at the end. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from reelsweep.tasks.sandbox.dialects import Beat, Delta, Envelope, count_usage
from reelsweep.tasks.sandbox.text import TextAnswer


def speak(envelope: Envelope, answers: Sequence[TextAnswer], prompt_tokens: int) -> tuple[Beat, ...]:
    """The events of a text answer, all its choices one after the other."""
    spoken = sum(len(answer.tokens) for answer in answers)
    usage = count_usage(prompt_tokens, spoken)
    deltas = [(idx, delta) for idx, answer in enumerate(answers) for delta in _deltas(envelope, answer)]
    beats = [
        Beat(at / len(deltas), "progress", envelope.chunk(delta, idx=idx))
        for at, (idx, delta) in enumerate(deltas)
    ]
    for idx, answer in enumerate(answers):
        more = {"usage": usage} if idx == len(answers) - 1 else {}
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
    yield {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"index": 0, "id": call_id, "type": "function", "function": function}],
    }
    for token in answer.tokens:
        yield {"tool_calls": [{"index": 0, "function": {"arguments": token}}]}
