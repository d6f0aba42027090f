"""The limiter: how many generations may be in flight, and when the next may leave.

One per (gateway, key, model) in a process, shared by every event loop and thread in it. It counts
sends in flight, not rates: a job lasts minutes. `Pace` is the pure part (no clock, no lock);
`Limiter` adds the lock, the clock and the waiting. Every wait of a generation is here, while nothing
is claimed or reserved.

Rules: `auto` starts at 4 and stops at 64. While every slot is taken, a send that ends well adds one
slot before the first throttling, 1/limit after it. A throttled send cuts the limit once per episode
(sends that left before the cut do not cut again) and starts a cool-down that holds all sends.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import Future
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

AUTO_START = 4
AUTO_CEILING = 64
CUT = 0.6
COOL_DOWN_START_S = 5.0
COOL_DOWN_MAX_S = 120.0
_RECHECK_S = 5.0


@dataclass(slots=True, kw_only=True)
class Pace:
    """The pure part: slots, cool-down and token bucket as functions of `now` (monotonic seconds)."""

    limit: float
    ceiling: float
    adaptive: bool
    rpm: float | None = None
    in_flight: int = 0
    cool_until: float = 0.0
    cut_at: float = field(default=float("-inf"))
    episodes: int = 0
    proven: bool = False
    """True once throttling has been met: from then on the limit grows slowly."""
    _tokens: float = 1.0
    _refilled_at: float | None = None

    def delay_s(self, now: float) -> float | None:
        """Seconds until a send may be tried; 0 is now, None is "when one in flight ends"."""
        if now < self.cool_until:
            return self.cool_until - now
        if self.in_flight + 1 > self.limit:
            return None
        return self._token_delay_s(now)

    def take(self) -> None:
        """One send leaves."""
        self.in_flight += 1
        self._tokens -= 1.0

    def give(self) -> None:
        """One send has ended, however it ended."""
        self.in_flight -= 1

    def succeeded(self) -> None:
        """A send ended without throttling: room for more, if all room was used."""
        self.episodes = 0
        if self.adaptive and self.in_flight + 1 > self.limit:
            self.limit = min(self.ceiling, self.limit + (1 / self.limit if self.proven else 1))

    def throttled(self, now: float, *, sent_at: float, retry_after_s: float | None) -> None:
        """A send was told to slow down."""
        if sent_at >= self.cut_at:
            self.cut_at, self.proven, self.episodes = now, True, self.episodes + 1
            if self.adaptive:
                self.limit = max(1.0, min(self.limit, float(self.in_flight)) * CUT)
        backoff_s = min(COOL_DOWN_MAX_S, COOL_DOWN_START_S * 2 ** (self.episodes - 1))
        self.cool_until = max(self.cool_until, now + (backoff_s if retry_after_s is None else retry_after_s))

    def _token_delay_s(self, now: float) -> float:
        if self.rpm is None:
            return 0.0
        elapsed = 0.0 if self._refilled_at is None else now - self._refilled_at
        self._tokens = min(1.0, self._tokens + elapsed * self.rpm / 60)
        self._refilled_at = now
        return max(0.0, (1.0 - self._tokens) * 60 / self.rpm)


class LimiterClosed(Exception):  # noqa: N818 - it names what happened to the limiter
    """The run sends nothing more; raised in every waiter."""


class Limiter:
    """Slots for one (gateway, key, model), usable from any loop and thread of the process."""

    def __init__(
        self,
        concurrency: int | None,
        *,
        clock: Callable[[], float],
        rpm: float | None = None,
        start: int | None = None,
    ) -> None:
        """`concurrency` None is `auto`, beginning at `start`; `clock` is monotonic seconds."""
        start = min(AUTO_CEILING, start or AUTO_START) if concurrency is None else concurrency
        ceiling = AUTO_CEILING if concurrency is None else concurrency
        self.pace = Pace(limit=float(start), ceiling=float(ceiling), adaptive=concurrency is None, rpm=rpm)
        self._clock = clock
        self._lock = threading.Lock()
        self._waiters: deque[Future[None]] = deque()
        self._closed = False

    @property
    def ceiling(self) -> int:
        """The most sends that may ever be in flight."""
        return int(self.pace.ceiling)

    def cooling_s(self) -> float:
        """Seconds of cool-down left, for the display."""
        return max(0.0, self.pace.cool_until - self._clock())

    @asynccontextmanager
    async def slot(self) -> AsyncGenerator[float]:
        """Wait for a slot and hold it; yields the instant it was given (this limiter's clock).

        Raises LimiterClosed when the run stops sending.
        """
        sent_at = await self._acquire()
        try:
            yield sent_at
        finally:
            with self._lock:
                self.pace.give()
            self._wake()

    def succeeded(self) -> None:
        """Call inside the slot: the gateway took the send."""
        with self._lock:
            self.pace.succeeded()
        self._wake(2)

    def throttled(self, sent_at: float, retry_after_s: float | None) -> None:
        """Call inside the slot: the gateway said to slow down; every send waits."""
        with self._lock:
            self.pace.throttled(self._clock(), sent_at=sent_at, retry_after_s=retry_after_s)

    def hold(self, wait_s: float) -> None:
        """Let no one leave for so long; the limit stays, for the reason lies elsewhere."""
        with self._lock:
            self.pace.cool_until = max(self.pace.cool_until, self._clock() + wait_s)

    def lift(self) -> None:
        """Take the limit away: everyone who waits may go."""
        with self._lock:
            self.pace.limit = self.pace.ceiling = float("inf")
        self._wake(len(self._waiters))

    def close(self) -> None:
        """Let no one in any more; every waiter gets LimiterClosed."""
        with self._lock:
            self._closed = True
        self._wake(len(self._waiters))

    async def _acquire(self) -> float:
        while True:
            with self._lock:
                if self._closed:
                    raise LimiterClosed
                now = self._clock()
                delay_s = self.pace.delay_s(now)
                if delay_s == 0:
                    self.pace.take()
                    return now
                waiter: Future[None] = Future()
                self._waiters.append(waiter)
            await self._wait(waiter, _RECHECK_S if delay_s is None else min(delay_s, _RECHECK_S))

    async def _wait(self, waiter: Future[None], timeout_s: float) -> None:
        try:
            with suppress(TimeoutError):
                await asyncio.wait_for(asyncio.wrap_future(waiter), timeout_s)
        except asyncio.CancelledError:
            self._wake()  # the call that was for us is passed on
            raise
        finally:
            with self._lock, suppress(ValueError):
                self._waiters.remove(waiter)

    def _wake(self, most: int = 1) -> None:
        """Call up to `most` waiters to look again."""
        called: list[Future[None]] = []
        with self._lock:
            while self._waiters and len(called) < most:
                called.append(self._waiters.popleft())
        for waiter in called:
            if waiter.set_running_or_notify_cancel():
                waiter.set_result(None)
