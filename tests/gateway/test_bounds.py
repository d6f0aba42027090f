"""Memory and time are bounded, however long a line or a stream is."""

from __future__ import annotations

import importlib.util
import json
import sys
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from types import FrameType, ModuleType
from typing import TYPE_CHECKING

import pytest
from reelsweep.tasks.gateway.fold import Reader
from reelsweep.tasks.gateway.outcome import Outcome

if TYPE_CHECKING:
    from _typeshed import TraceFunction

MB = 1024 * 1024
LINE = json.dumps(
    {
        "id": "chatcmpl-89C77NMqv7oh6ajWBZful0xBNsJN1",
        "object": "chat.completion.chunk",
        "created": 1790000000,
        "model": "video-2",
        "choices": [{"index": 0, "delta": {"content": "TEXT"}, "finish_reason": None}],
    }
)


def event(text: str) -> bytes:
    """One event with this content."""
    return f"data: {LINE.replace('TEXT', text)}\n\n".encode()


def read_long(chunk: bytes, num_bytes: int, *, head: bytes = b"", tail: bytes = b"") -> tuple[Outcome, int]:
    """The Outcome of a body of that length and the most memory it took, in bytes."""
    tracemalloc.start()
    reader = Reader()
    reader.feed(head)
    for _ in range(num_bytes // len(chunk)):
        reader.feed(chunk)
    reader.feed(tail)
    outcome = reader.end()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return outcome, peak


@pytest.mark.parametrize("filling", ["a", "\U0001f600", "1%", "https://x.example/"])
def test_a_line_of_a_gigabyte_costs_little(filling: str) -> None:
    """The line is cut, the stream goes on, and what came after it counts."""
    chunk = filling.encode() * (65536 // len(filling.encode()))
    head = b'data: {"choices":[{"delta":{"content":"'
    outcome, peak = read_long(
        chunk, 1024 * MB, head=head, tail=b'"}}]}\n\n' + event("[Watch](https://c.example.com/v.mp4)")
    )
    assert peak < 32 * MB
    assert outcome.video_url == "https://c.example.com/v.mp4"
    assert outcome.notes == ("1 overlong lines were cut",)


def test_a_line_just_below_the_limit_is_read() -> None:
    """The longest line that is read costs less than the bound too, wide characters and all."""
    text = "\U0001f600" * (2 * MB // 4 - 500) + "[Watch](https://c.example.com/v.mp4)"
    outcome, peak = read_long(event(text), len(event(text)))
    assert outcome.video_url == "https://c.example.com/v.mp4"
    assert peak < 32 * MB


@pytest.mark.parametrize(
    ("chunk", "num_bytes"),
    [
        (event("生成中" * 300), 9 * MB),
        (event("word " * 200), 4 * MB),
        (b"junk " * 100 + b"\n", 4 * MB),
        (b'data: {"open": "' + b"x" * 1000 + b"\n", 6 * MB),
        (b'{"open": "' + b"x" * 1000 + b"\n", 6 * MB),
    ],
    ids=["wide text", "text", "junk", "unfinished events", "unfinished JSON"],
)
def test_a_long_stream_is_kept_by_its_ends(chunk: bytes, num_bytes: int) -> None:
    """Text, junk and unfinished events are bounded, and the video at the end is found."""
    tail = b"\n\n" + event("[Watch](https://c.example.com/v.mp4)") + b"data: [DONE]\n\n"
    outcome, peak = read_long(chunk, num_bytes, tail=tail)
    assert peak < 32 * MB
    assert outcome.video_url == "https://c.example.com/v.mp4"


def test_many_choices_are_bounded() -> None:
    """A stream that numbers its choices without end does not grow without end."""
    body = b"".join(event("x" * 100).replace(b'"index": 0', b'"index": %d' % index) for index in range(3000))
    outcome, peak = read_long(body, len(body))
    assert len(outcome.choices) == 128
    assert peak < 32 * MB


def num_steps(call: Callable[[], object]) -> int:
    """How many bytecode instructions the call takes: the same on a busy machine as on an idle one."""
    num = 0

    def count(frame: FrameType, what: str, _: object) -> TraceFunction:
        nonlocal num
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        num += what == "opcode"
        return count

    before = sys.gettrace()
    sys.settrace(count)
    try:
        call()
    finally:
        sys.settrace(before)
    return num


TEXTS = [
    "> progress 36..",
    "x",
    "\\n**Video Generation Progress**: 36.0% (running)\\n",
    "The quick brown fox. ",
]


@pytest.mark.parametrize("text", TEXTS)
def test_an_event_takes_as_few_steps_late_as_early(text: str) -> None:
    """Each of 20,000 events takes at most 3,000 instructions; a benchmark holds their time to 60 µs."""
    body, reader = event(text), Reader()

    def read(num: int) -> None:
        for _ in range(num):
            reader.feed(body)

    read(10)
    first = num_steps(lambda: read(40))
    read(19_900)
    last = num_steps(lambda: read(40))
    assert 40 * 500 < first < 40 * 3_000
    assert last < 1.25 * first


@pytest.mark.parametrize("text", TEXTS)
def test_an_event_costs_the_same_late_as_early(text: str) -> None:
    """The last of 20,000 events take the CPU of the first: nothing that grows is copied for each of them."""
    body = event(text)

    def read(reader: Reader) -> float:
        began = time.process_time()
        for _ in range(5_000):
            reader.feed(body)
        return time.process_time() - began

    readers = [Reader() for _ in range(5)]
    first, _, _, last = (min(read(reader) for reader in readers) for _ in range(4))
    assert last < 1.5 * first


def test_hostile_repetition_ends_in_time() -> None:
    """Texts that make careless patterns run for minutes are judged in seconds."""
    texts = (
        "<video ",
        "[",
        "](",
        "<think>",
        "```json ",
        '{"a":',
        "https://x.example/(",
        '"',
        "❌",
        "((((",
        "<source src=",
    )
    started = time.process_time()
    for text in texts:
        body = event(json.dumps(text * (200_000 // len(text)))[1:-1]) * 3
        reader = Reader()
        reader.feed(body + b"data: [DONE]\n\n")
        reader.end()
    assert time.process_time() - started < 20


def fuzzer() -> ModuleType:
    """The harness beside this file."""
    spec = importlib.util.spec_from_file_location("reader_fuzz", Path(__file__).with_name("fuzz.py"))
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_mutated_transcripts_are_read() -> None:
    """The short form of the fuzz run: no exception, no address made up, enough inputs that yield events."""
    tally = fuzzer().fuzz(3000, seed=20260101)
    assert tally.num_inputs == 3000
    assert tally.num_with_event > 0.3 * tally.num_inputs
    assert tally.num_urls > 100


def test_the_fuzzer_notices_an_address_that_is_not_there() -> None:
    """The harness itself can fail: an address that the body lacks is noticed."""
    module = fuzzer()
    assert module.contains(event("https://c.example.com/v.mp4"), "https://c.example.com/v.mp4")
    assert not module.contains(event("https://c.example.com/v.mp4"), "https://c.example.com/w.mp4")
