"""Bodies in the making: pieces of a stream, and the stream of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

Stream = Callable[..., bytes]


def stream_of(*events: dict[str, Any] | str, done: bool = True) -> bytes:
    """A body of server-sent events; a text stands for a piece of content."""
    values = [piece(event) if isinstance(event, str) else event for event in events]
    lines = [f"data: {json.dumps(value, ensure_ascii=False)}\n\n" for value in values]
    return "".join([*lines, "data: [DONE]\n\n" if done else ""]).encode()


def piece(
    content: str | None = None, *, finish: str | None = None, index: int = 0, **delta: Any
) -> dict[str, Any]:
    """One chunk of one choice."""
    fields = delta if content is None else {"content": content, **delta}
    return {"id": "chatcmpl-1", "choices": [{"index": index, "delta": fields, "finish_reason": finish}]}


@pytest.fixture(name="stream")
def _stream() -> Stream:
    return stream_of


@pytest.fixture(name="piece")
def _piece() -> Callable[..., dict[str, Any]]:
    return piece
