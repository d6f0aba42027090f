"""Text that arrives in pieces, kept whole up to a bound and by its two ends beyond it.

Used by `fold` for every choice. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from io import StringIO

from reelsweep.tasks.gateway.values import BREAK, whole_text

ALLOWANCE_CHARS = 2 * 1024 * 1024
"""What all texts of one body may keep together."""
TAIL_CHARS = 8 * 1024
"""What each keeps of its end beyond that: results come last."""
_MAX_BREAKS = 10_000


@dataclass(slots=True)
class Allowance:
    """Characters that may still be kept, shared by the texts of one body."""

    left: int = ALLOWANCE_CHARS

    def take(self, wanted: int) -> int:
        """How many of the wanted characters may be kept."""
        granted = min(wanted, self.left)
        self.left -= granted
        return granted


class Text:
    """Pieces in, one text out. Appending costs the length of the piece, however long the text is."""

    __slots__ = ("_allowance", "_breaks", "_head", "_older", "_tail", "num_chars", "num_dropped")

    def __init__(self, allowance: Allowance) -> None:
        self.num_chars = 0
        self.num_dropped = 0
        self._allowance = allowance
        self._head = StringIO(newline="")
        self._tail: StringIO | None = None
        self._older = ""
        self._breaks: list[int] = []

    def append(self, piece: str) -> None:
        """Add a piece."""
        self.num_chars += len(piece)
        if self._tail is None:
            granted = self._allowance.take(len(piece))
            self._head.write(piece[:granted])
            if granted == len(piece):
                return
            self._tail, piece = StringIO(newline=""), piece[granted:]
        self._tail.write(piece[-TAIL_CHARS:])
        self.num_dropped += max(0, len(piece) - TAIL_CHARS)
        if self._tail.tell() >= TAIL_CHARS:
            self.num_dropped += len(self._older)
            self._older, self._tail = self._tail.getvalue(), StringIO(newline="")

    def add_break(self) -> None:
        """Something is missing here: what stands before and after is not put together in `marked`."""
        if self.num_chars and len(self._breaks) < _MAX_BREAKS:
            self._breaks.append(self.num_chars)

    @property
    def marked_length(self) -> int:
        """The length of `marked`, where all of the text is kept."""
        return self.num_chars + len(self._breaks)

    def marked(self) -> str:
        """The text with a BREAK wherever something is missing."""
        head, position, parts = self._head.getvalue(), 0, list[str]()
        for at in self._breaks:
            parts += [head[position:at], BREAK]
            position = at
        return whole_text("".join([*parts, head[position:], self._end()]))

    def __str__(self) -> str:
        return whole_text(self._head.getvalue() + self._end())

    def _end(self) -> str:
        tail = "" if self._tail is None else self._older + self._tail.getvalue()
        return BREAK + tail if self.num_dropped else tail
