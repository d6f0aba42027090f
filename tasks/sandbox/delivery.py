"""One GET of a clip answered as HTTP has it: whole, a range of it, or 416. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from reelsweep.tasks.sandbox.clip import Clip


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetch:
    """One GET of a file, as far as the answer depends on it."""

    path: str
    range: str | None = None
    if_range: str | None = None
    earlier: int = 0
    """GETs of this file before."""
    age_s: float = 0.0
    """Since the clip was ready."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """What is sent for it. `stop_at`: so many bytes of the body leave, then the connection closes."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    stop_at: int | None = None
    takes_s: float = 0.0


def deliver(video: bytes, clip: Clip, fetch: Fetch) -> Delivery:
    """The file, or the part of it that was asked for and has not changed since."""
    etag = write_etag(clip)
    headers = {"etag": etag, "accept-ranges": "bytes"}
    span = None if fetch.range is None else parse_range(fetch.range, len(video))
    if span is None or fetch.if_range not in (None, etag):
        return Delivery(status=200, body=video, headers=headers)
    if not span:
        return Delivery(status=416, body=b"", headers={**headers, "content-range": f"bytes */{len(video)}"})
    headers["content-range"] = f"bytes {span.start}-{span.stop - 1}/{len(video)}"
    return Delivery(status=206, body=video[span.start : span.stop], headers=headers)


def write_etag(clip: Clip) -> str:
    """A strong validator: equal clips have equal bytes."""
    return f'"{clip.digest}-{clip.epoch}"'


def parse_range(header: str, size: int) -> range | None:
    """The bytes of a single range (RFC 9110); empty when it cannot be met, None when it is to be ignored."""
    match = re.fullmatch(r"\s*bytes\s*=\s*(\d{0,18})-(\d{0,18})\s*", header, re.IGNORECASE)
    if match is None or not (match[1] or match[2]):
        return None
    if not match[1]:
        return range(max(0, size - int(match[2])), size)
    start, stop = int(match[1]), int(match[2]) + 1 if match[2] else size
    if stop <= start and match[2]:
        return None
    return range(start, min(size, stop)) if start < size else range(0)
