"""The headers that decide whether and when a cut download goes on (pure).

RFC 9110, sections 8.8.3 (ETag), 10.2.3 (Retry-After) and 14.4 (Content-Range).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime

ETAG = re.compile(r'"[\x21\x23-\x7e]{1,256}"')
CONTENT_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18}|\*)")


@dataclass(frozen=True, slots=True)
class ContentRange:
    """First and last byte of a partial answer, and the size of the whole where it is known."""

    first: int
    last: int
    size_bytes: int | None


def strong_etag(headers: Mapping[str, str]) -> str | None:
    """The entity tag if it promises equal bytes: quoted, and not weak."""
    tag = headers.get("etag", "").strip()
    return tag if ETAG.fullmatch(tag) else None


def content_range(headers: Mapping[str, str]) -> ContentRange | None:
    """The `Content-Range` of a 206, None if there is none that makes sense."""
    match = CONTENT_RANGE.fullmatch(headers.get("content-range", "").strip())
    if not match:
        return None
    first, last = int(match[1]), int(match[2])
    size_bytes = None if match[3] == "*" else int(match[3])
    sane = first <= last and (size_bytes is None or last < size_bytes)
    return ContentRange(first, last, size_bytes) if sane else None


def content_length(headers: Mapping[str, str]) -> int | None:
    """The announced length of a body, None where it is not announced."""
    text = headers.get("content-length", "").strip()
    return int(text) if text.isascii() and text.isdigit() else None


def retry_after_s(headers: Mapping[str, str], now: datetime) -> float | None:
    """Seconds to wait from either form of `Retry-After`, None without one."""
    text = headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        return max(0.0, (parsedate_to_datetime(text) - now).total_seconds())
    except (ValueError, TypeError):
        return None
