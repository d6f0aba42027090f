"""What the HTTP headers of an answer say about waiting, moving and names.

Used by `fold`. Pure: the time comes in as an argument.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from reelsweep.tasks.gateway.classify import MAX_WAIT_S
from reelsweep.tasks.gateway.evidence import Terms
from reelsweep.tasks.gateway.links import split_url

_REQUEST_IDS = ("x-request-id", "request-id", "x-oneapi-request-id", "x-trace-id", "cf-ray")


def terms_of(headers: Mapping[str, str], now: datetime | None) -> Terms:
    """The terms that headers set."""
    plain = {name.lower(): value for name, value in headers.items()}
    return Terms(
        retry_after_s=parse_retry_after(plain.get("retry-after", ""), now),
        location=_without_query(plain.get("location", "")),
        request_id=next((plain[name][:200] for name in _REQUEST_IDS if plain.get(name)), None),
    )


def parse_retry_after(value: str, now: datetime | None) -> float | None:
    """Seconds from `Retry-After`, given as seconds or as an HTTP date; None when it says neither."""
    value = value.strip()
    if value.isascii() and value.replace(".", "", 1).isdigit():
        return min(float(value), MAX_WAIT_S)
    try:
        until = parsedate_to_datetime(value)
    except (ValueError, TypeError, OverflowError):
        return None
    if now is None:
        return None
    until = until if until.tzinfo else until.replace(tzinfo=UTC)
    return min(max((until - now).total_seconds(), 0.0), MAX_WAIT_S)


def _without_query(location: str) -> str | None:
    parts = split_url(location)
    if not location or parts is None:
        return None
    return parts._replace(query="", fragment="", netloc=parts.netloc.rpartition("@")[2]).geturl()[:500]
