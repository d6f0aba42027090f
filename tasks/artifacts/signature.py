"""What a file is by its first bytes, never by its name or its Content-Type (pure).

ISO BMFF: ISO/IEC 14496-12, `ftyp` first. Matroska and WebM: RFC 9559 and RFC 8794, an EBML header with a
DocType. Images: the magic numbers of their formats.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from reelsweep.tasks.artifacts.ebml import doc_type

HEAD_BYTES = 4096
"""How much of a file `signature` needs to see."""
IMAGE_BRANDS = frozenset({b"avif", b"avis", b"heic", b"heix", b"hevc", b"hevx", b"mif1", b"msf1"})
"""`ftyp` brands of still images, which libav would open as a clip of one frame."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """A video container: how it is called, stored, announced and opened."""

    name: Literal["mp4", "mov", "webm", "matroska"]
    suffix: str
    mime_type: str
    demuxer: Literal["mov", "matroska"]
    """The only libav demuxer that may open it."""


MP4 = Container(name="mp4", suffix=".mp4", mime_type="video/mp4", demuxer="mov")
MOV = Container(name="mov", suffix=".mov", mime_type="video/quicktime", demuxer="mov")
WEBM = Container(name="webm", suffix=".webm", mime_type="video/webm", demuxer="matroska")
MATROSKA = Container(name="matroska", suffix=".mkv", mime_type="video/x-matroska", demuxer="matroska")

SUFFIXES = {container.mime_type: container.suffix for container in (MP4, MOV, WEBM, MATROSKA)}
"""The suffix of a stored clip, by the MIME type of its signature."""


def signature(head: bytes) -> Container | None:
    """The video container that starts with `head`, None for anything else."""
    if head[4:8] == b"ftyp" and len(head) >= 12:
        brand = head[8:12]
        if brand in IMAGE_BRANDS:
            return None
        return MOV if brand == b"qt  " else MP4
    match doc_type(head):
        case b"webm":
            return WEBM
        case b"matroska":
            return MATROSKA
        case _:
            return None


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageFormat:
    """An image format a prompt table may name."""

    suffix: str
    mime_type: str


PNG = ImageFormat(suffix=".png", mime_type="image/png")
JPEG = ImageFormat(suffix=".jpg", mime_type="image/jpeg")
GIF = ImageFormat(suffix=".gif", mime_type="image/gif")
WEBP = ImageFormat(suffix=".webp", mime_type="image/webp")


def image_format(head: bytes) -> ImageFormat | None:
    """The image format that starts with `head`: PNG, JPEG, GIF or WebP, else None."""
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return PNG
    if head.startswith(b"\xff\xd8\xff"):
        return JPEG
    if head.startswith((b"GIF87a", b"GIF89a")):
        return GIF
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return WEBP
    return None
