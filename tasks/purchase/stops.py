"""Why a run sends nothing more, and how its process ends.

A Stop is a value; the context carries the first one, and every waiter hears of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

StopReason = Literal[
    "authentication",
    "quota",
    "budget",
    "max_posts",
    "max_failed",
    "breaker",
    "unreachable",
    "lease_lost",
    "trouble",
    "drift",
    "interrupted",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """The reason nothing more is sent: one line for people, and what to do about it."""

    reason: StopReason
    message: str
    remedy: str = ""
    meanwhile: str = ""
    """What holds until the run has ended; said at once, and not in its summary."""

    @property
    def exit_code(self) -> int:
        """3 for money, keys and the breaker; 1 for too many failures or a failing machine; 130 for Ctrl-C."""
        match self.reason:
            case "interrupted":
                return 130
            case "max_failed" | "lease_lost" | "trouble":
                return 1
            case _:
                return 3

    @property
    def notice(self) -> str:
        """The line that is said at once."""
        return " ".join(filter(None, (self.message, self.meanwhile, self.remedy)))

    def __str__(self) -> str:
        return f"{self.message} {self.remedy}".strip()
