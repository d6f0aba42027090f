"""When to publish during a run: often enough to watch, never so often that it costs.

Between the run's loop and `write.py`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from reelsweep.tasks.ledger.records import AttemptRecord, Line
from reelsweep.tasks.manifest.beside import in_trouble
from reelsweep.tasks.manifest.rows import SeedHonoured
from reelsweep.tasks.manifest.settle import settle
from reelsweep.tasks.manifest.write import PARQUET, Published, publish
from reelsweep.tasks.storage.out import Out, as_out

Lines = Callable[[], Iterable[Line]]
Draw = Callable[[Out, Lines, bool], None]
"""Draws what a person looks at from the files just published; True while the run goes on."""

PAGE = "index.html"
"""What is drawn speaks of the tables, and is handed over last."""
MIN_PAUSE_S = 2.0
PAUSE_FACTOR = 50
"""A refresh comes no sooner than so many times its last duration: at most 2 % of one core."""


class Publisher:
    """Publishes one OUT, one publication at a time; `clock` is monotonic seconds.

    What `draw` takes counts, and what it draws is handed over with the tables, the page last.
    Safe to call from several threads: `due` by the loop, `publish` in a thread of its own.
    """

    def __init__(self, out: Path | Out, clock: Callable[[], float], draw: Draw | None = None) -> None:
        self.storage = as_out(out)
        self._draw = draw
        self.last_s: float | None = None
        """How long the last publication took."""
        self._clock = clock
        self._not_before = float("-inf")
        self._lock = threading.Lock()

    def due(self, now: float) -> bool:
        """Whether a refresh may begin: none is going on and the pause since the last is over."""
        return now >= self._not_before and not self._lock.locked()

    def refresh(
        self,
        lines: Lines,
        attempts: Callable[[], Iterable[AttemptRecord]],
        facts: Mapping[str, str],
        seed_honoured: SeedHonoured | None = None,
        *,
        running: bool = True,
    ) -> Published:
        """Publish during the run, due or not.

        The ledger is read after a publication under way has ended, so what is published never gets older.
        """
        with self._lock:
            begun = self._clock()
            try:
                self.storage.bring(PARQUET)
                published = publish(
                    self.storage, lines(), attempts(), facts, seed_honoured=seed_honoured, settle_s=None
                )
                if self._draw is None:
                    self.storage.publish(PARQUET)
                else:
                    self._draw(self.storage, lines, running)
                    self.storage.publish((*PARQUET, PAGE))
                return published
            finally:
                ended = self._clock()
                self.last_s = ended - begun
                self._not_before = ended + max(MIN_PAUSE_S, PAUSE_FACTOR * self.last_s)

    def publish(
        self,
        lines: Lines,
        attempts: Callable[[], Iterable[AttemptRecord]],
        facts: Mapping[str, str],
        seed_honoured: SeedHonoured | None = None,
    ) -> Published:
        """Publish at the end of the run: as `refresh`, then bring the files to rest."""
        published = self.refresh(lines, attempts, facts, seed_honoured=seed_honoured, running=False)
        desk = self.storage.desk
        with self._lock, in_trouble(desk):
            settle([desk / name for name in PARQUET], replaced=self.storage.hand_over)
            self.storage.clear()
        return published
