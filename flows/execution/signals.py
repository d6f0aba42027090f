"""Ctrl-C, SIGTERM and a terminal that goes away: the first drains, the second aborts.

The handlers are installed inside the flow, over Prefect's, and taken away after it.
"""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field

WORKER_DRAIN_S = 20.0
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def default_drain_s() -> float | None:
    """20 s under a Prefect worker (its runner kills after 30), unlimited elsewhere."""
    return WORKER_DRAIN_S if "PREFECT__FLOW_RUN_ID" in os.environ else None


@dataclass(slots=True)
class Drain:
    """What the signals do to one run."""

    stop: Callable[[], None]
    """Send nothing new; called once."""
    cut: Callable[[], None]
    """Cut off what is open."""
    drain_s: float | None
    _signals: int = field(default=0)

    def on_signal(self, loop: asyncio.AbstractEventLoop) -> None:
        """First: stop sending, and cut after `drain_s`. Second: cut."""
        self._signals += 1
        if self._signals > 1:
            self.cut()
            return
        self.stop()
        if self.drain_s is not None:
            loop.call_later(self.drain_s, self.cut)


@contextmanager
def draining(drain: Drain) -> Generator[None]:
    """Handle what asks a run to end while the block runs; outside the main thread nothing is installed."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    if before[signal.SIGHUP] is signal.SIG_IGN:  # `nohup`: the run goes on without its terminal
        del before[signal.SIGHUP]
    for number in before:
        loop.add_signal_handler(number, drain.on_signal, loop)
    try:
        yield
    finally:
        for number, handler in before.items():
            loop.remove_signal_handler(number)
            signal.signal(number, handler)
