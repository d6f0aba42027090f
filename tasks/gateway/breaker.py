"""The breaker and the canary: when a run has spent enough on finding out that it does not work.

Pure counting; the caller holds the lock and acts. Fed with the end of every purchase, in the order
the ends are known.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Literal

PurchaseEnd = Literal["result", "no_result", "refused", "unbilled"]
"""result: what the row asked for is stored. no_result: maybe billed, nothing usable came.
refused: moderation. unbilled: surely not paid for, says nothing."""

IN_A_ROW = 10
WINDOW = 20
REFUSALS_IN_A_ROW = 50


@dataclass(slots=True)
class Breaker:
    """Trips when purchases keep ending without a result."""

    _recent: deque[bool] = field(default_factory=lambda: deque[bool](maxlen=WINDOW))
    _in_a_row: int = 0
    _refusals: int = 0

    def record(self, end: PurchaseEnd) -> str | None:
        """Count one end; the reason to stop, or None."""
        match end:
            case "unbilled":
                return None
            case "refused":
                self._refusals += 1
            case "result":
                self._refusals = self._in_a_row = 0
                self._recent.append(False)
            case "no_result":
                self._in_a_row += 1
                self._recent.append(True)
        return self._verdict()

    def _verdict(self) -> str | None:
        if self._in_a_row >= IN_A_ROW:
            return f"{self._in_a_row} purchases in a row ended without a result"
        lost = sum(self._recent)
        if len(self._recent) == WINDOW and lost > WINDOW // 2:
            return f"{lost} of the last {WINDOW} purchases ended without a result"
        if self._refusals >= REFUSALS_IN_A_ROW:
            return f"{self._refusals} refusals in a row without one result"
        return None
