"""Links say in their query when they die; what does not say it is no error."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reelsweep.tasks.artifacts.expiry import expires_at

NOON = datetime(2025, 6, 1, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    "query",
    [
        "Expires=1748779200&Signature=abc&Key-Pair-Id=k",
        "AWSAccessKeyId=k&Signature=abc&Expires=1748779200",
        "X-Amz-Date=20250601T110000Z&X-Amz-Expires=3600&X-Amz-Signature=abc",
        "X-Goog-Date=20250601T110000Z&X-Goog-Expires=3600",
        "x-oss-date=20250601T110000Z&x-oss-expires=3600",
        "sv=2024-11-04&se=2025-06-01T12%3A00%3A00Z&sr=b&sig=abc",
        "exp=1748779200",
        "exp=1748779200000",
        "hdnts=st=1748770000~exp=1748779200~acl=/*~hmac=abc",
        "se=2025-06-01T14%3A00%3A00%2B02%3A00",
        "Expires=1748779200&exp=1748799200",
    ],
)
def test_a_signed_link_says_when_it_dies(query: str) -> None:
    """Of several instants the soonest counts."""
    assert expires_at(f"https://files.example.com/a.mp4?{query}") == NOON


@pytest.mark.parametrize(
    "url",
    [
        "https://files.example.com/a.mp4",
        "https://files.example.com/a.mp4?exp=3600",
        "https://files.example.com/a.mp4?X-Amz-Date=20250601T110000Z",
        "https://files.example.com/a.mp4?X-Amz-Date=junk&X-Amz-Expires=3600",
        "https://files.example.com/a.mp4?se=Sverige",
        "https://[files.example.com/a.mp4?exp=1748779200",
    ],
)
def test_a_link_that_does_not_say_has_no_end(url: str) -> None:
    """Numbers that are no instants, and addresses that are none, say nothing."""
    assert expires_at(url) is None


@given(st.sampled_from(["exp", "Expires", "se", "X-Amz-Date", "hdnts"]), st.text(max_size=30))
def test_no_link_is_too_strange(name: str, value: str) -> None:
    """Whatever stands there, an instant in UTC or None comes back."""
    found = expires_at(f"https://files.example.com/a.mp4?{name}={value}&X-Amz-Expires=9999999")
    assert found is None or found.tzinfo is UTC
