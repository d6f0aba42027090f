"""What reading one event costs, beside parsing its JSON and nothing else."""

from __future__ import annotations

import json
import time
from collections.abc import Callable

import pytest
from reelsweep.tasks.gateway.fold import Reader

NUM_EVENTS = 20_000
TEXTS = {
    "a percentage in reasoning": ("reasoning_content", "\n**Video Generation Progress**: 36.0% (running)\n"),
    "bare numbers in one line": ("content", "44.."),
    "one character": ("content", "x"),
    "an address in one line": ("content", "see https://cdn.example.com/a/b?x=%20%33 "),
}
LIMIT_S = 60e-6


def event(field: str, text: str) -> bytes:
    """One event as most gateways send it."""
    choice = {"index": 0, "delta": {field: text}, "finish_reason": None}
    value = {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1790000000,
        "choices": [choice],
    }
    return f"data: {json.dumps(value)}\n\n".encode()


def cpu_s(work: Callable[[], object]) -> float:
    """CPU seconds per event, the best of three."""
    times: list[float] = []
    for _ in range(3):
        started = time.process_time()
        work()
        times.append(time.process_time() - started)
    return min(times) / NUM_EVENTS


@pytest.mark.bench
@pytest.mark.parametrize("name", TEXTS)
def test_an_event_costs_at_most_60_microseconds(name: str) -> None:
    """Decoding, folding and watching one event of a long stream stays below the budget."""
    body = event(*TEXTS[name])

    def read() -> None:
        reader = Reader()
        for _ in range(NUM_EVENTS):
            reader.feed(body)

    def parse() -> None:
        for _ in range(NUM_EVENTS):
            json.loads(body[6:])

    reading, parsing = cpu_s(read), cpu_s(parse)
    print(f"{name}: {reading * 1e6:.1f} µs an event, json.loads alone {parsing * 1e6:.1f} µs")
    assert reading < LIMIT_S
