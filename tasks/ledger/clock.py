"""The clocks a ledger is opened with by default, and ids that sort by time."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path


def utc_now() -> datetime:
    """The wall clock."""
    return datetime.now(UTC)


def uptime_s() -> float:
    """Seconds this machine has run, sleep included: no clock setting moves it, all processes share it."""
    if hasattr(time, "CLOCK_BOOTTIME"):
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.monotonic()


def read_boot_id() -> str:
    """Names the start of this machine that `uptime_s` counts from; empty where it has no name."""
    file = Path("/proc/sys/kernel/random/boot_id")
    return file.read_text(encoding="ascii").strip() if file.exists() else ""


class AttemptIds:
    """uuid7 (RFC 9562) as hex: sorts by time, and in the order given within one process."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._last = 0

    def next(self) -> str:
        """A new id."""
        with self._lock:
            stamp = int(self._clock().timestamp() * 1_000) << 12
            self._last = max(self._last + 1, stamp)
            tick = self._last
        milliseconds, sequence = tick >> 12, tick & 0xFFF
        tail = int.from_bytes(os.urandom(8), "big") & (2**62 - 1)
        number = (milliseconds & (2**48 - 1)) << 80 | 7 << 76 | sequence << 64 | 2 << 62 | tail
        return f"{number:032x}"
