"""What a person sees of a run while it goes: a bar on a terminal, else plain lines or JSON lines on stderr.

Beside the flow: progress comes in as values, nothing comes back.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from reelsweep.flows.summary import RunSummary

Level = Literal["info", "warning", "error"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """A run at one instant. Rows are counted in this run; money in this OUT's ledger."""

    planned: int
    """Rows this run set out to make."""
    done: int = 0
    failed: int = 0
    refused: int = 0
    unknown: int = 0
    in_flight: int = 0
    """Sent and not ended; who waits for a slot, a cool-down or a person is not."""
    rate_per_min: float = 0.0
    eta_s: float | None = None
    spent_usd: float | None = None
    """None where no price is known."""
    reserved_usd: float | None = None
    waiting: str | None = None
    """What holds all sends, such as `cool-down 12 s`."""
    is_last: bool = False
    """Nothing of this run is to come: it is shown however short ago another one was."""

    @property
    def ended(self) -> int:
        """Rows that came to an end, good or bad."""
        return self.done + self.failed + self.refused + self.unknown


class Display(Protocol):
    """Where progress and messages go. Every method may be called often and from any thread."""

    def update(self, progress: Progress) -> None:
        """Show how it stands; throttled by the display."""
        ...

    def note(self, text: str, level: Level = "info") -> None:
        """Say one line, above the bar where there is one."""
        ...

    def summary(self, summary: RunSummary) -> None:
        """Show what the run came to."""
        ...


class SilentDisplay:
    """Shows nothing: for runs from Python and under a worker."""

    def update(self, progress: Progress) -> None:
        """Nothing."""

    def note(self, text: str, level: Level = "info") -> None:
        """Nothing."""

    def summary(self, summary: RunSummary) -> None:
        """Nothing."""


ESCAPE_SEQUENCE = re.compile(
    r"(?:\x1b[\]P^_X]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c|$)"  # OSC, DCS, PM, APC, SOS
    r"|(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]?"  # CSI
    r"|\x1b[ -/]*[0-~]?"  # the other escapes
)
BREAK = re.compile(r"[\t\n\v\f\r\x85\u2028\u2029]+")
UNSEEN = re.compile(
    "[\x00-\x1f\x7f-\x9f"  # control characters
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # direction: they make text read other than it is
    "\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]"  # byte-order mark, annotations, tags
)
SURROGATE = re.compile("[\ud800-\udfff]")


def escape_terminal(text: str) -> str:
    """Text from a table or a gateway as one harmless line.

    Escape sequences, control and direction characters are taken out, line breaks and tabs become a space,
    lone surrogates (which no stream can encode) the replacement character.
    """
    text = BREAK.sub(" ", ESCAPE_SEQUENCE.sub("", text))
    return SURROGATE.sub("\ufffd", UNSEEN.sub("", text))
