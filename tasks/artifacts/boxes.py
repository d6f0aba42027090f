"""The boxes of an MP4 or QuickTime file: all inside the file, and pointing inside it (pure).

ISO/IEC 14496-12, section 4.2. libav plays cut files as far as they go; this is how a cut is noticed.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import BinaryIO

from reelsweep.tasks.artifacts.facts import InvalidVideo

FOLDERS = frozenset({b"moov", b"trak", b"mdia", b"minf", b"stbl", b"mvex", b"moof", b"traf", b"edts"})
"""Boxes that hold nothing but boxes."""
MAX_BOXES = 200_000
MAX_DEPTH = 8
MAX_TABLE_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class Box:
    """One box: its type, where its content starts and where it ends, in bytes of the file."""

    kind: bytes
    start: int
    end: int
    depth: int


def check_boxes(file: BinaryIO, size_bytes: int) -> tuple[Box, ...]:
    """Every box of the file, in order; InvalidVideo unless it is whole.

    Whole means: each box ends inside the box or file around it, there is a `moov` and media data, and no
    table of samples points behind the end of the file.
    """
    boxes = tuple(islice(_walk(file, 0, size_bytes, 0), MAX_BOXES + 1))
    if len(boxes) > MAX_BOXES:
        raise InvalidVideo("the file has more boxes than a video has")
    kinds = {box.kind for box in boxes if box.depth == 0}
    if b"moov" not in kinds:
        raise InvalidVideo("the file has no moov box: it is cut, or no video")
    if b"mdat" not in kinds:
        raise InvalidVideo("the file has no mdat box: there are no pictures in it")
    for box in boxes:
        if box.kind in (b"stco", b"co64"):
            _check_offsets(file, box, size_bytes)
        elif box.kind == b"stsz":
            _check_sizes(file, box, size_bytes)
    return boxes


def _walk(file: BinaryIO, start: int, end: int, depth: int) -> Iterator[Box]:
    at = start
    while at < end:
        box = _box_at(file, at, end, depth)
        if box is None:
            return
        if depth > MAX_DEPTH:
            raise InvalidVideo("the file has boxes inside boxes without end")
        yield box
        if box.kind in FOLDERS:
            yield from _walk(file, box.start, box.end, depth + 1)
        at = box.end


def _box_at(file: BinaryIO, at: int, end: int, depth: int) -> Box | None:
    """The box at `at`; None where only padding is left before `end`."""
    file.seek(at)
    head = file.read(min(16, end - at))
    if not any(head) and _is_padding(file, end):
        return None
    if len(head) < 8:
        raise InvalidVideo(f"the file is cut at byte {end}, inside the head of a box")
    size, kind = struct.unpack(">I4s", head[:8])
    header = 8
    if size == 1:
        if len(head) < 16:
            raise InvalidVideo(f"the file is cut at byte {end}, inside the head of a box")
        size, header = struct.unpack(">Q", head[8:])[0], 16
    elif size == 0 and depth == 0:
        size = end - at
    if size < header:
        raise InvalidVideo(f"the box at byte {at} has an impossible size")
    if at + size > end:
        raise InvalidVideo(f"the box at byte {at} needs {at + size} bytes, the file has {end}")
    return Box(kind, at + header, at + size, depth)


def _is_padding(file: BinaryIO, end: int) -> bool:
    while (left := end - file.tell()) > 0:
        block = file.read(min(left, 1 << 16))
        if not block or any(block):
            return False
    return True


def _check_offsets(file: BinaryIO, box: Box, size_bytes: int) -> None:
    """Chunk offsets (ISO/IEC 14496-12, section 8.7.5) lie inside the file."""
    table = _content(file, box)
    offsets = _integers(table, 4, 4 if box.kind == b"stco" else 8)
    if offsets and max(offsets) >= size_bytes:
        raise InvalidVideo(f"pictures start at byte {max(offsets)}, the file has {size_bytes}")


def _check_sizes(file: BinaryIO, box: Box, size_bytes: int) -> None:
    """The samples (section 8.7.3) need no more bytes than the file has."""
    table = _content(file, box)
    each, count = struct.unpack(">II", table[4:12]) if len(table) >= 12 else (0, 0)
    needed = each * count if each else sum(_integers(table, 8, 4))
    if needed > size_bytes:
        raise InvalidVideo(f"the pictures need {needed} bytes, the file has {size_bytes}")


def _content(file: BinaryIO, box: Box) -> bytes:
    if box.end - box.start > MAX_TABLE_BYTES:
        raise InvalidVideo("a table of samples has an impossible size")
    file.seek(box.start)
    return file.read(box.end - box.start)


def _integers(table: bytes, count_at: int, width: int) -> tuple[int, ...]:
    """The counted integers of a table, `width` bytes each."""
    start = count_at + 4
    count = int.from_bytes(table[count_at:start], "big")
    if len(table) < start or count * width > len(table) - start:
        raise InvalidVideo("a table of samples is longer than its box")
    return struct.unpack(f">{count}{'I' if width == 4 else 'Q'}", table[start : start + count * width])
