"""The outermost boxes of an MP4 of ours: how it is padded, and where it can be hurt."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator


def list_boxes(video: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Name, offset and size of each box."""
    offset = 0
    while offset < len(video):
        size = int.from_bytes(video[offset : offset + 4], "big")
        yield video[offset + 4 : offset + 8], offset, size
        offset += max(size, 8)


def pad_video(video: bytes, min_bytes: int, digest: str) -> bytes:
    """The file brought to `min_bytes` by a `uuid` box at its end, which players skip; the digest fills it."""
    missing = min_bytes - len(video)
    if missing <= 0:
        return video
    filler = hashlib.shake_128(digest.encode()).digest(max(16, missing - 8))
    return b"".join((video, (8 + len(filler)).to_bytes(4, "big"), b"uuid", filler))
