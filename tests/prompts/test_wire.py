"""The bytes of a request follow from its payload alone."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reelsweep.prompts.request import payload_json, url_query, wire_body

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
).filter(lambda value: "\\ud" not in json.dumps(value))


@given(st.dictionaries(st.text(min_size=1), JSON, max_size=5))
def test_a_payload_survives_being_kept_as_text(payload):
    """What the ledger keeps gives the same bytes on the wire as the plan did."""
    kept = json.loads(payload_json(payload))
    assert wire_body(kept) == wire_body(payload)


def test_the_bytes_are_utf8_and_streamed():
    """Text is sent as it is, not escaped; `stream` is true."""
    assert wire_body({"model": "m", "messages": [{"role": "user", "content": "🦊\u2028"}]}) == (
        '{"model":"m","messages":[{"role":"user","content":"🦊\u2028"}],"stream":true}'.encode()
    )


def test_a_placeholder_without_its_content_is_never_sent():
    """A missing image or turn is an error before the POST, not a body with our placeholder in it."""
    image = {"type": "image_url", "image_url": {"url": "reelsweep-image:00", "detail": "high"}}
    with pytest.raises(KeyError):
        wire_body({"messages": [{"role": "user", "content": [image]}]})
    with pytest.raises(KeyError):
        wire_body({"messages": [{"role": "assistant", "content": "reelsweep-turn:00"}]})
    body = json.loads(
        wire_body({"messages": [{"role": "user", "content": [image]}]}, images={"00": "data:x"})
    )
    assert body["messages"][0]["content"][0]["image_url"] == {"url": "data:x", "detail": "high"}


def test_a_users_text_that_looks_like_a_placeholder_is_text():
    """Only our own places are filled in: an image's URL and an assistant's turn."""
    messages = [
        {"role": "user", "content": "reelsweep-turn:00"},
        {"role": "user", "content": "reelsweep-image:00"},
    ]
    assert json.loads(wire_body({"messages": messages}))["messages"] == messages


def test_the_urls_query_is_apart_from_the_body():
    """What a profile adds to the URL can be read from the payload and is not in the bytes."""
    payload = {"model": "m", "reelsweep-url-query": {"watermark": "true"}}
    assert url_query(payload) == {"watermark": "true"}
    assert url_query({"model": "m"}) == {}
    assert json.loads(wire_body(payload)) == {"model": "m", "stream": True}
