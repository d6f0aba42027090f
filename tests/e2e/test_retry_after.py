"""Waiting and giving up: what the gateway's word to wait, and a gateway nobody understands, cost."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pandas as pd
import pytest

ON_THE_WAY_S = 0.5
"""POSTs that had left when the answer came are not counted as too early."""
TEXT = (
    b'data: {"choices":[{"index":0,"delta":{"content":"Hello."},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
)


@pytest.mark.parametrize("form", ["seconds", "date"])
async def test_no_row_of_any_model_leaves_before_retry_after(
    form: str, make: Callable[..., Any], own_gateway: Any, respond: Callable[..., bytes]
) -> None:
    """After one 429 with `Retry-After: 3` the gateway hears nothing for 3 s, then gets every row."""

    def answer(_asked: Any) -> bytes:
        if len(own_gateway.posts) > 1:
            return respond(TEXT)
        until = datetime.now(UTC) + timedelta(seconds=4)
        wait = "3" if form == "seconds" else format_datetime(until.replace(tzinfo=UTC), usegmt=True)
        error = {"error": {"message": "Rate limit reached.", "code": "rate_limit_exceeded"}}
        return respond(
            json.dumps(error).encode(), status=429, content_type="application/json", Retry_After=wait
        )

    own_gateway.answer = answer
    table = pd.DataFrame(
        {"prompt": [f"text {idx}" for idx in range(12)], "model": ["first", "second", "third"] * 4}
    )
    summary = await make(table, gateway=own_gateway.base_url, output="text", canary=0)
    told_at = own_gateway.posts[0].at
    later = [asked.at - told_at for asked in own_gateway.posts[1:] if asked.at > told_at + ON_THE_WAY_S]
    assert summary.counts == {"success": 12}
    assert summary.posts == len(own_gateway.posts) == 13
    assert min(later) >= 3.0


UNKNOWN_DIALECTS = {
    "a sentence": TEXT,
    "other events": b'data: {"kind":"job","state":{"n":1}}\n\n',
    "no events": b"OK 17 QUEUED\n",
    "binary": bytes(range(256)) * 8,
}


@pytest.mark.parametrize("dialect", UNKNOWN_DIALECTS)
async def test_a_gateway_nobody_understands_is_paid_ten_times_at_most(
    dialect: str, make: Callable[..., Any], own_gateway: Any, respond: Callable[..., bytes]
) -> None:
    """Of 1,000 rows at most ten are sent; the run stops with exit 3 and names the transcripts."""
    own_gateway.answer = lambda _asked: respond(UNKNOWN_DIALECTS[dialect])
    table = pd.DataFrame({"prompt": [f"clip {idx}" for idx in range(1000)]})
    summary = await make(table, gateway=own_gateway.base_url)
    assert len(own_gateway.posts) == summary.posts <= 10
    assert summary.exit_code == 3
    assert "transcripts" in summary.stopped
    assert summary.counts["planned"] == 1000 - summary.posts
