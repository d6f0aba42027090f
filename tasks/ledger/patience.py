"""How long a database that is away is waited for: a server that is started anew is back in seconds.

For `Writer` and `Reader`, which ask again on a new connection. Nothing is waited for twice: once it has been
away for so long, every question is told at once, until one is answered.
"""

from __future__ import annotations

import time
from collections.abc import Callable

AWAY_S = 20.0
PAUSE_S = 0.25


class Patience:
    """Of one user of a database, in one thread."""

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._clock = clock
        self._sleep = sleep
        self._away_since_s: float | None = None

    def answered(self) -> None:
        """The database is there."""
        self._away_since_s = None

    def has_time(self, num_failed: int) -> bool:
        """Whether to ask again after so many failures of one question: at once, then after a pause."""
        now_s = self._clock()
        if self._away_since_s is None:
            self._away_since_s = now_s
        if num_failed == 1:
            return True
        if now_s - self._away_since_s >= AWAY_S:
            return False
        self._sleep(PAUSE_S)
        return True
