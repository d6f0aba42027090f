"""Displays for logs: plain lines, or one JSON object per line."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TextIO

from reelsweep.flows.reporting.display import Level, Progress, escape_terminal
from reelsweep.flows.reporting.wording import describe_line, describe_summary, list_remedies

if TYPE_CHECKING:
    from reelsweep.flows.summary import RunSummary

PAUSE_S = 10.0
"""The shortest time between two lines of progress."""


class Throttle:
    """Lets a progress through when it differs from the last one shown and enough time has passed."""

    def __init__(self, pause_s: float, clock: Callable[[], float]) -> None:
        self._pause_s = pause_s
        self._clock = clock
        self._next_at = float("-inf")
        self._shown: Progress | None = None

    def lets_through(self, progress: Progress) -> bool:
        """Whether to show it now. The end of a run is always shown, once."""
        if self._shown is not None and standing(progress) == standing(self._shown):
            return False
        is_end = progress.is_last or (progress.ended >= progress.planned and not progress.in_flight)
        now = self._clock()
        if now < self._next_at and not is_end:
            return False
        self._shown, self._next_at = progress, now + self._pause_s
        return True


def standing(progress: Progress) -> tuple[object, ...]:
    """What has to change for a new line: rates and times alone are no news."""
    return (
        progress.planned,
        progress.done,
        progress.failed,
        progress.refused,
        progress.unknown,
        progress.in_flight,
        progress.waiting is None,
    )


class LineDisplay:
    """Plain lines on a stream that is no terminal."""

    def __init__(
        self, stream: TextIO, *, pause_s: float = PAUSE_S, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._stream = stream
        self._throttle = Throttle(pause_s, clock)
        self._lock = threading.Lock()

    def update(self, progress: Progress) -> None:
        """One line when something has changed, at most every `pause_s`."""
        with self._lock:
            if self._throttle.lets_through(progress):
                self._write(describe_line(progress))

    def note(self, text: str, level: Level = "info") -> None:
        """One line; a warning or an error says so."""
        with self._lock:
            self._write(text if level == "info" else f"{level}: {text}")

    def summary(self, summary: RunSummary) -> None:
        """A line each for counts, cost, places and remedies."""
        with self._lock:
            for name, value in describe_summary(summary):
                self._write(f"{name}: {value}")
            for remedy in list_remedies(summary):
                self._write(remedy)

    def _write(self, text: str) -> None:
        self._stream.write(escape_terminal(text) + "\n")
        self._stream.flush()


class JsonDisplay:
    """One JSON object per line: `at`, `event` (progress, note, summary) and its facts."""

    def __init__(
        self, stream: TextIO, *, pause_s: float = PAUSE_S, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._stream = stream
        self._throttle = Throttle(pause_s, clock)
        self._lock = threading.Lock()

    def update(self, progress: Progress) -> None:
        """The progress when something has changed, at most every `pause_s`."""
        with self._lock:
            if self._throttle.lets_through(progress):
                self._write("progress", asdict(progress))

    def note(self, text: str, level: Level = "info") -> None:
        """`level` and `message`."""
        with self._lock:
            self._write("note", {"level": level, "message": text})

    def summary(self, summary: RunSummary) -> None:
        """The summary's fields, and the remedies."""
        with self._lock:
            self._write("summary", {**summary.model_dump(mode="json"), "remedies": list_remedies(summary)})

    def _write(self, event: str, facts: Mapping[str, Any]) -> None:
        document = {"at": datetime.now(UTC).isoformat(timespec="milliseconds"), "event": event, **facts}
        # ASCII: no reader of logs has to cope with U+2028, surrogates or direction characters
        self._stream.write(json.dumps(document, ensure_ascii=True, default=str) + "\n")
        self._stream.flush()
