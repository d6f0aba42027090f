"""Bodies fit to be kept: no secret, bounded, still readable."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reelsweep.tasks.gateway.fold import read_body
from reelsweep.tasks.gateway.transcript import scrub, scrub_text

TRANSCRIPTS = sorted((Path(__file__).parents[1] / "contract" / "transcripts").glob("*.sse"))
KEY = "gw/Key+with 'odd\" chars=9"


@given(st.binary(max_size=200), st.binary(max_size=200))
def test_the_key_is_in_no_scrubbed_body(head: bytes, tail: bytes) -> None:
    """Whatever stands around it, as bytes or inside a JSON string."""
    for spelling in (KEY, json.dumps(KEY)[1:-1]):
        assert spelling.encode() not in scrub(head + spelling.encode() + tail, [KEY])


@pytest.mark.parametrize(
    "text",
    [
        "Authorization: Bearer SECRETSECRET",
        "key sk-SECRETSECRETSECRET is wrong",
        "https://cdn.example.com/v.mp4?id=7&sig=SECRET&se=2030",
        "https://cdn.example.com/v.mp4?X-Amz-Signature=SECRET",
        "https:\\/\\/cdn.example.com\\/v.mp4?a=1\\u0026token=SECRET",
        "https://cdn.example.com/v.mp4?a=1&amp;Signature=SECRET'",
        "https://user:SECRET@cdn.example.com/v.mp4",
        "eyJhbGciOiJI.SECRETSECRET.abc",
    ],
)
def test_what_signs_an_address_is_removed(text: str) -> None:
    """Tokens, keys and signatures go; the rest of the address stays, and a second pass changes nothing."""
    cleaned = scrub_text(text)
    assert "SECRET" not in cleaned
    assert scrub_text(cleaned) == cleaned


def test_a_secret_in_pieces_is_found() -> None:
    """One character per piece hides nothing: such an answer is joined before it is kept."""
    text = f"[Watch](https://cdn.example.com/v.mp4?sig=SECRETSECRET) {KEY}"
    pieces = [{"choices": [{"index": 0, "delta": {"content": char}, "finish_reason": None}]} for char in text]
    body = "".join(f"data: {json.dumps(piece)}\n\n" for piece in pieces).encode() + b"data: [DONE]\n\n"
    kept = scrub(body, [KEY])
    assert b"SECRET" not in kept
    outcome = read_body(kept)
    assert (outcome.status, outcome.video_url) == ("succeeded", "https://cdn.example.com/v.mp4?sig=REMOVED")
    assert outcome.num_events == len(text)
    assert KEY not in (outcome.text or "")


@pytest.mark.parametrize("path", TRANSCRIPTS, ids=lambda path: path.stem)
def test_a_scrubbed_body_is_read_the_same(path: Path) -> None:
    """Scrubbing changes no verdict, and scrubbing again changes nothing."""
    body = path.read_bytes()
    kept = scrub(body, ["no-such-key"])
    before, after = read_body(body), read_body(kept)
    assert (after.status, after.retry, after.task_id, after.progress) == (
        before.status,
        before.retry,
        before.task_id,
        before.progress,
    )
    assert scrub(kept, ["no-such-key"]) == kept


def test_a_long_body_loses_its_middle() -> None:
    """Beyond the limit the head and the tail are kept, at line ends, and what is missing is said."""
    lines = [f'data: {{"n": {number}}}\n\n'.encode() for number in range(20_000)]
    kept = scrub(b"".join(lines), limit_bytes=10_000)
    assert len(kept) < 10_100
    assert kept.startswith(lines[0]) and kept.endswith(lines[-1])
    assert b"bytes left out" in kept
