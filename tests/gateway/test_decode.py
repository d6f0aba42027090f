"""Bytes to events, whatever the bytes are."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reelsweep.tasks.gateway.decode import Decoder

OBJECTS = st.lists(
    st.dictionaries(st.text(max_size=5), st.one_of(st.integers(), st.text(max_size=20)), max_size=4)
)


def values_of(body: bytes, chunk: int = 7) -> list[dict[str, Any]]:
    """The objects of a body fed in chunks."""
    decoder = Decoder()
    events = [
        event for start in range(0, len(body), chunk) for event in decoder.feed(body[start : start + chunk])
    ]
    return [event.value for event in (*events, *decoder.end()) if event.kind == "object"]


@given(OBJECTS, st.sampled_from(["\n", "\r\n", "\r"]), st.integers(1, 50), st.booleans())
def test_every_object_arrives_once_and_in_order(
    objects: list[Any], end: str, chunk: int, ascii_only: bool
) -> None:
    """Whatever the line ends and the chunks, the objects sent are the objects read."""
    lines = [f"data: {json.dumps(value, ensure_ascii=ascii_only)}{end}{end}" for value in objects]
    assert values_of("".join(lines).encode("utf-8", "surrogatepass"), chunk) == objects


@given(OBJECTS, st.integers(0, 4))
def test_pretty_printed_events_are_whole(objects: list[Any], indent: int) -> None:
    """An event over many data lines is one object, nested objects and all."""
    wrapped = [{"choices": [value], "tail": 1} for value in objects]
    texts = [json.dumps(value, indent=indent or None) for value in wrapped]
    body = "".join("".join(f"data: {line}\n" for line in text.split("\n")) + "\n" for text in texts)
    assert values_of(body.encode()) == wrapped


@given(st.binary(max_size=400))
def test_no_bytes_raise(body: bytes) -> None:
    """Any byte sequence is read to its end."""
    values_of(body, 3)


@pytest.mark.parametrize(
    ("body", "count"),
    [
        ('data:{"a":1}\n\n', 1),
        ('\ufeffdata: {"a":1}\n\n', 1),
        ('data: {"a":1}\ndata: {"a":2,"choices":[]}\ndata: [DONE]\n', 2),
        ('data: {"a":1}{"a":2}\n\n', 2),
        ('data: {"a":1}data: {"a":2}\n\n', 2),
        ('data: data: {"a":1}\n\n', 1),
        ('{"a":1}data: [DONE]\n\n', 1),
        ('{"a":1}\n{"a":2}\n', 2),
        ('  data: {"a":1}\n\n', 1),
        ('[{"a":1},{"a":2}]', 2),
        ('{\n "a": 1,\n "b": {"c": 2}\n}', 1),
        ('event: x\nid: 3\nretry: 5\ndata: {"a":1}\n\n', 1),
        (': comment\n\ndata: {"a":"\u2028"}\n\n', 1),
        ('data: {"a":1\n\ndata: {"a":2}\n\n', 1),
        ('data: {"a":1]}\ndata: {"choices":[]}\n\n', 1),
        ('data: [DONE]{"a":1}\n\n', 1),
        ('data: {"a": NaN}\n\n', 1),
        ('data: {\n  "a": {\n    "b": 1\n  }\n}\n\ndata: {"c":1}\n\n', 2),
        ('data: {"a":1}{"b":1}\n{"choices":[]}\n', 3),
        ('data: {"a":"x\ty"}\n\n', 1),
    ],
)
def test_salvage_finds_what_is_there(body: str, count: int) -> None:
    """Glued, bare, pretty-printed and half-broken bodies give up each of their objects."""
    assert len(values_of(body.encode())) == count


def test_the_terminator_is_known_by_its_beginning() -> None:
    """A misspelt terminator is one, and nothing needs it."""
    for body in (b"data: [DONE]\\n\\n", b"data:[DONE]", b'{"a":1}data: [DONE]\n'):
        decoder = Decoder()
        decoder.feed(body)
        decoder.end()
        assert decoder.done


def test_an_object_is_an_event_before_its_blank_line() -> None:
    """A whole data line is an event at once: a task id must not wait for the next chunk."""
    decoder = Decoder()
    assert [event.value for event in decoder.feed(b'data: {"a":1}\n')] == [{"a": 1}]


def test_broken_events_are_counted_and_kept() -> None:
    """What cannot be read is counted, kept for another look, and leaves a mark in its place."""
    decoder = Decoder()
    events = [*decoder.feed(b'data: {"a":1}\n\ndata: {"b":]}\n\ndata: {"c":1}\n\n'), *decoder.end()]
    assert [event.kind for event in events] == ["object", "broken", "object"]
    assert decoder.num_malformed == 1
    assert decoder.fragments == ['{"b":]}']


def test_an_error_event_may_be_plain_text() -> None:
    """`event: error` with a sentence is an error with that message."""
    decoder = Decoder()
    events = decoder.feed(b"event: error\ndata: no accounts\n\n")
    assert [event.value for event in events] == [{"error": {"message": "no accounts"}}]


def test_deep_nesting_is_only_malformed() -> None:
    """A value nested too deep for the parser is counted, not raised."""
    decoder = Decoder()
    decoder.feed(b"data: " + b'{"a":' * 100_000 + b"\n\n")
    decoder.end()
    assert decoder.num_malformed == 1
