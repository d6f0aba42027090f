"""Bytes to lines, however they are cut into chunks and however long a line is.

The first step of reading a body. Lines end at LF, CRLF or CR and nowhere else (U+2028 is text). Pure.
"""

from __future__ import annotations

from dataclasses import dataclass

LINE_LIMIT_BYTES = 2 * 1024 * 1024
"""A longer line is cut: it is kept to this length and marked."""
_STEP_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Line:
    """One line without its end. `cut` says that its rest was dropped."""

    data: bytes
    cut: bool = False


class LineSplitter:
    """Feed chunks, get lines; memory is bounded by one line of `LINE_LIMIT_BYTES`."""

    def __init__(self) -> None:
        self._part = bytearray()
        self._cut = False
        self._after_cr = False

    def feed(self, chunk: bytes) -> list[Line]:
        """The lines that this chunk ends."""
        if len(chunk) <= _STEP_BYTES:
            return self._take(chunk)
        steps = range(0, len(chunk), _STEP_BYTES)
        return [line for step in steps for line in self._take(chunk[step : step + _STEP_BYTES])]

    def end(self) -> list[Line]:
        """The line that the end of the body ends."""
        return [self._close()] if self._part or self._cut else []

    def _take(self, chunk: bytes) -> list[Line]:
        if self._after_cr and chunk.startswith(b"\n"):
            chunk = chunk[1:]
        elif not chunk:
            return []
        self._after_cr = chunk.endswith(b"\r")
        if b"\r" in chunk:
            chunk = chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        first, *others = chunk.split(b"\n")
        self._extend(first)
        if not others:
            return []
        lines = [self._close(), *map(Line, others[:-1])]
        self._extend(others[-1])
        return lines

    def _extend(self, piece: bytes) -> None:
        room = LINE_LIMIT_BYTES - len(self._part)
        self._cut = self._cut or len(piece) > room
        self._part += piece[:room]

    def _close(self) -> Line:
        line = Line(bytes(self._part), self._cut)
        self._part, self._cut = bytearray(), False
        return line
