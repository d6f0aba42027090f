"""Every parameter of the documentation is checked, and the error names it."""

from __future__ import annotations

import json
import pickle
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reelsweep.tasks.sandbox.request import RefusedRequestError, parse_request

TOOL = {"type": "function", "function": {"name": "cut", "parameters": {"type": "object"}}}


def body(**fields: Any) -> bytes:
    return json.dumps({"model": "m", "messages": [{"role": "user", "content": "json"}], **fields}).encode()


@pytest.mark.parametrize(
    ("param", "good", "bad"),
    [
        ("temperature", [0, 2, 0.5], [-0.1, 2.1, "1", True]),
        ("top_p", [0, 1, 0.5], [-0.1, 1.1, "1"]),
        ("n", [1, 16], [0, 17, 1.5, "2", True]),
        ("stream", [True, False], ["true", 1]),
        ("stop", ["x", ["a", "b", "c", "d"]], [["a"] * 5, 1, [1]]),
        ("max_tokens", [1, 10_000], [0, 1.5, "1"]),
        ("presence_penalty", [-2, 2, 0], [-2.1, 2.1, "0"]),
        ("frequency_penalty", [-2, 2, 0], [-2.1, 2.1, "0"]),
        ("logit_bias", [{"5": -100, "6": 100}, {}], [{"5": 101}, {"five": 1}, [1]]),
        ("user", ["u"], [1]),
        (
            "response_format",
            [{"type": "text"}, {"type": "json_object"}],
            [{"type": "xml"}, {"type": "json_schema"}],
        ),
        ("seed", [0, -(2**63), 2**63 - 1], [2**63, -(2**63) - 1, 1.5, "7", True]),
        (
            "tools",
            [[TOOL]],
            [[], [{"type": "web"}], [{"type": "function", "function": {"name": "no spaces"}}]],
        ),
        ("size", ["64x36", "1920x1080"], ["big", "64x37", 64]),
        ("seconds", [2, 0.5, "8", 60], [0, -1, 61, "long"]),
        (
            "messages",
            [[{"role": "system", "content": "json"}]],
            [[], None, "hello", [{"role": "king", "content": "x"}]],
        ),
        ("model", ["x"], ["", None, 1]),
    ],
)
def test_each_parameter_is_held_to_its_range(param: str, good: list[Any], bad: list[Any]) -> None:
    """Values of the documented range pass; others are refused with the parameter's name."""
    for value in good:
        parse_request(body(**{param: value}))
    for value in bad:
        with pytest.raises(RefusedRequestError) as caught:
            parse_request(body(**{param: value}))
        assert (caught.value.param or "").startswith(param)
        assert caught.value.status == 400


@pytest.mark.parametrize("param", ["temperature", "n", "stop", "seed", "tools", "logit_bias", "seconds"])
def test_null_is_as_if_absent(param: str) -> None:
    """An optional parameter may be null, as the documentation allows."""
    request, _ = parse_request(body(**{param: None}))
    assert getattr(request, param) is None


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"tool_choice": "auto"}, "tool_choice"),
        (
            {"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "other"}}},
            "tool_choice",
        ),
        (
            {"messages": [{"role": "user", "content": "x"}], "response_format": {"type": "json_object"}},
            "messages",
        ),
        ({"stream_options": {"include_usage": True}}, "stream_options"),
        ({"messages": [{"role": "user"}]}, "messages[0]"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "messages[0].content[0]"),
        (
            {"messages": [{"role": "user", "content": [{"type": "smell", "text": "x"}]}]},
            "messages[0].content[0].type",
        ),
    ],
)
def test_parameters_are_checked_together(fields: dict[str, Any], param: str) -> None:
    """What only makes sense together is refused alone, with a path to the place."""
    with pytest.raises(RefusedRequestError) as caught:
        parse_request(body(**fields))
    assert caught.value.param == param


@pytest.mark.parametrize(
    "choice", ["none", "auto", "required", {"type": "function", "function": {"name": "cut"}}]
)
def test_every_documented_tool_choice_passes(choice: Any) -> None:
    """With tools, each form of `tool_choice` is understood."""
    parse_request(body(tools=[TOOL], tool_choice=choice))


@pytest.mark.parametrize(
    "raw",
    [b"", b"{", b"[]", b"\xff", b'{"seed": NaN}', b"[" * 100_000, b'{"model": "\\ud800", "messages": 1}'],
)
def test_what_is_no_json_object_is_refused(raw: bytes) -> None:
    """A body that cannot be read is a 400, never a crash."""
    with pytest.raises(RefusedRequestError):
        parse_request(raw)


@settings(deadline=None)
@given(
    st.binary()
    | st.recursive(st.none() | st.text() | st.integers(), st.lists).map(lambda v: json.dumps(v).encode())
)
def test_no_body_crashes_the_reader(raw: bytes) -> None:
    """Any bytes are either a request or a refusal."""
    with pytest.raises(RefusedRequestError):
        parse_request(raw)


def test_the_hash_ignores_order_stream_and_user() -> None:
    """Two spellings of one request have one hash; another seed has another."""
    _, one = parse_request(b'{"model":"m","seed":1,"messages":[{"role":"user","content":"a"}]}')
    _, same = parse_request(
        b'{"stream":true, "user":"u", "messages":[{"content":"a","role":"user"}], "seed":1, "model":"m"}'
    )
    _, other = parse_request(b'{"model":"m","seed":2,"messages":[{"role":"user","content":"a"}]}')
    assert one == same != other


def test_the_prompt_of_one_user_message_is_literal_and_history_counts() -> None:
    """One message is its own text; earlier turns and images make another prompt."""
    single, _ = parse_request(body(messages=[{"role": "user", "content": " a\n"}]))
    turns = [
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": "b"},
        {"role": "user", "content": "c"},
    ]
    edit, _ = parse_request(body(messages=turns))
    image = [
        {"type": "text", "text": "c"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}},
    ]
    picture, _ = parse_request(body(messages=[{"role": "user", "content": image}]))
    assert single.prompt == " a\n"
    assert (edit.title, "b" in edit.prompt) == ("c", True)
    assert picture.prompt.startswith("c\nimage ")


def test_the_error_survives_pickling() -> None:
    """All facts of a refusal are its arguments."""
    error = RefusedRequestError("no", "seed", "code", 404)
    assert pickle.loads(pickle.dumps(error)).body() == error.body()
