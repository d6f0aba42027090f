"""`output` text: the content is the result, and only fields and errors speak against it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from reelsweep.tasks.gateway.fold import read_body

Piece = Callable[..., dict[str, Any]]
Stream = Callable[..., bytes]
TRANSCRIPTS = Path(__file__).parents[1] / "contract" / "transcripts"


def test_a_normal_end_with_text_is_a_result(stream: Stream, piece: Piece) -> None:
    """Text and a finish reason are a success; the text is exactly what came."""
    outcome = read_body(stream("  Hel", "lo\n", piece(finish="stop")), output="text")
    assert (outcome.status, outcome.text, outcome.billed) == ("succeeded", "  Hello\n", "yes")


def test_a_cut_text_is_open(stream: Stream) -> None:
    """Half a text is no result."""
    assert read_body(stream("Hel", done=False), output="text").status == "incomplete"


def test_nothing_said_is_no_result(stream: Stream, piece: Piece) -> None:
    """A normal end without text or tool calls is a billed failure."""
    outcome = read_body(stream(piece(finish="stop")), output="text")
    assert (outcome.status, outcome.error_type) == ("no_video", "no_text")


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ('{"a": 1}', "succeeded"),
        ('```json\n{"a": 1}\n```', "succeeded"),
        ("<think>hm {</think>[1]", "succeeded"),
        ('{"a": ', "no_video"),
        ("sure!", "no_video"),
    ],
)
def test_json_must_parse_where_it_was_asked_for(stream: Stream, piece: Piece, text: str, status: str) -> None:
    """With response_format, what does not parse is no result; without it, any text is."""
    body = stream(text, piece(finish="stop"))
    assert read_body(body, output="text", expects_json=True).status == status
    assert read_body(body, output="text").status == "succeeded"


def test_streamed_tool_calls_are_put_together(stream: Stream, piece: Piece) -> None:
    """Pieces of tool calls are joined by index; they are a result without any text."""
    pieces = [
        piece(tool_calls=[{"index": 1, "id": "b", "function": {"name": "g", "arguments": ""}}]),
        piece(tool_calls=[{"index": 0, "id": "a", "function": {"name": "f", "arguments": '{"x"'}}]),
        piece(tool_calls=[{"index": 0, "function": {"arguments": ":1}"}}]),
        piece(finish="tool_calls"),
    ]
    outcome = read_body(stream(*pieces), output="text", expects_json=True)
    assert outcome.status == "succeeded"
    assert outcome.choices[0].tool_calls == (
        '[{"id": "a", "type": "function", "function": {"name": "f", "arguments": "{\\"x\\":1}"}}, '
        '{"id": "b", "type": "function", "function": {"name": "g", "arguments": ""}}]'
    )


def test_surrogates_split_over_pieces_are_joined() -> None:
    """A character that a gateway cut into two escapes is one character."""
    halves = [
        b'data: {"choices":[{"delta":{"content":"\\ud83d"}}]}\n\n',
        b'data: {"choices":[{"delta":{"content":"\\ude00"}}]}\n\n',
    ]
    assert read_body(b"".join(halves) + b"data: [DONE]\n\n", output="text").text == "😀"


@pytest.mark.parametrize("name", ["T_content_filter", "T_refusal_field"])
def test_a_refusal_by_the_protocol_refuses_either_output(name: str) -> None:
    """A filter's finish reason and the refusal field refuse a video and a text alike."""
    body = (TRANSCRIPTS / f"{name}.sse").read_bytes()
    assert {read_body(body, output=output).status for output in ("video", "text")} == {"refused"}


@pytest.mark.parametrize("name", ["A_guardrails", "J_input_moderation", "O_refused"])
def test_a_refusal_in_words_refuses_a_video_and_is_text_for_a_text(name: str) -> None:
    """The same body: no video came, so it was refused; a text came, so it is the text, with a note."""
    body = (TRANSCRIPTS / f"{name}.sse").read_bytes()
    video, text = read_body(body), read_body(body, output="text")
    assert (video.status, video.billed) == ("refused", "maybe")
    assert (text.status, text.notes) == ("succeeded", ("the text reads like a gateway's refusal",))


def test_an_error_event_is_a_failure_for_a_text_too(stream: Stream) -> None:
    """Text before an error is half a text."""
    outcome = read_body(stream("Hel", {"error": {"message": "disconnected"}}), output="text")
    assert (outcome.status, outcome.retry, outcome.billed) == ("failed", "resubmit_once", "maybe")


def test_numbers_in_a_text_are_no_progress(stream: Stream, piece: Piece) -> None:
    """A text about percentages and ids has neither."""
    outcome = read_body(stream("50% agree.\nID: abc-1\n", piece(finish="stop")), output="text")
    assert (outcome.progress, outcome.task_id) == ((), None)
