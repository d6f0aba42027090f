"""The outer elements of Matroska and WebM: the DocType, and whether every element is inside the file (pure).

RFC 8794 (EBML) and RFC 9559 (Matroska). A live stream's Segment and Clusters may have unknown sizes; the
walk ends there, since only a decoder can go on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import BinaryIO

from reelsweep.tasks.artifacts.facts import InvalidVideo

EBML = 0x1A45DFA3
DOC_TYPE = 0x4282
SEGMENT = 0x18538067
MAX_ELEMENTS = 200_000


@dataclass(frozen=True, slots=True)
class Element:
    """An element's id, where its content starts and ends (None: unknown)."""

    ident: int
    start: int
    end: int | None


def doc_type(head: bytes) -> bytes | None:
    """The DocType of the EBML header that `head` starts with, None if it does not."""
    header = _element(head, 0)
    if header is None or header.ident != EBML or header.end is None:
        return None
    at = header.start
    while at < min(header.end, len(head)):
        element = _element(head, at)
        if element is None or element.end is None:
            return None
        if element.ident == DOC_TYPE:
            return head[element.start : element.end].rstrip(b"\0")
        at = element.end
    return None


def check_elements(file: BinaryIO, size_bytes: int) -> None:
    """Raise InvalidVideo unless the Segment and every element directly in it end inside the file."""
    at, end, seen = 0, size_bytes, 0
    while at < end:
        file.seek(at)
        element = _element(file.read(12), 0)
        seen += 1
        if element is None or seen > MAX_ELEMENTS:
            raise InvalidVideo(f"the file is no Matroska at byte {at}")
        if element.end is not None and at + element.end > end:
            raise InvalidVideo(f"the file ends at byte {size_bytes}, inside an element to {at + element.end}")
        if element.ident == SEGMENT:
            at, end = at + element.start, end if element.end is None else at + element.end
        elif element.end is None:
            return
        else:
            at += element.end


def _element(head: bytes, at: int) -> Element | None:
    ident = _vint(head, at, keep_marker=True, longest=4)
    if ident is None:
        return None
    length = _vint(head, at + ident[1], keep_marker=False, longest=8)
    if length is None:
        return None
    start = at + ident[1] + length[1]
    unknown = length[0] == (1 << 7 * length[1]) - 1
    return Element(ident[0], start, None if unknown else start + length[0])


def _vint(head: bytes, at: int, *, keep_marker: bool, longest: int) -> tuple[int, int] | None:
    """A variable-length integer at `at`: its value and its width in bytes."""
    if at >= len(head) or not head[at]:
        return None
    width = 9 - head[at].bit_length()
    if width > longest or at + width > len(head):
        return None
    value = int.from_bytes(head[at : at + width], "big")
    return (value if keep_marker else value & ((1 << 7 * width) - 1)), width
