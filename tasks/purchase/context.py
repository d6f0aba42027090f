"""What every generation of one run shares: ledger, gateway, limiter, breaker, store and the stop sign.

It belongs to the process, not to an event loop: a lock guards what is counted, HTTP clients are kept
per loop. `generate` finds it by run id (`CONTEXTS`), so that task arguments stay small.
"""

from __future__ import annotations

import asyncio
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

import httpx
from reelsweep.prompts.errors import TroubleError
from reelsweep.prompts.pricing import Price, PriceList
from reelsweep.prompts.request import GenerationSpec
from reelsweep.tasks.artifacts.door import Door
from reelsweep.tasks.artifacts.download import DownloadClient
from reelsweep.tasks.artifacts.probe import Prober
from reelsweep.tasks.artifacts.store import Store
from reelsweep.tasks.gateway.breaker import Breaker, PurchaseEnd
from reelsweep.tasks.gateway.client import generation_client
from reelsweep.tasks.gateway.hide import hide
from reelsweep.tasks.gateway.limiter import Limiter
from reelsweep.tasks.gateway.outcome import Outcome
from reelsweep.tasks.gateway.profiles import Profile
from reelsweep.tasks.gateway.strata import Change, Strata, Stratum
from reelsweep.tasks.gateway.times import Times
from reelsweep.tasks.ledger.budget import Day
from reelsweep.tasks.ledger.ledger import Ledger
from reelsweep.tasks.ledger.records import Standing
from reelsweep.tasks.purchase.ends import RowEnd
from reelsweep.tasks.purchase.flights import Flights
from reelsweep.tasks.purchase.stops import Stop

UNREACHABLE_S = 60.0
"""How long DNS failures and refused connections are borne before the first answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """The run's options that decide how one generation is bought."""

    concurrency: int | None = None
    """Sends in flight; None is `auto`."""
    rpm: float | None = None
    max_attempts: int = 5
    max_purchases: int = 2
    max_posts: int | None = None
    canary: int = 1
    on_unknown: Literal["hold", "resubmit"] = "hold"
    retry_failed: bool = False
    keep_transcripts: bool = False
    """Those of successes too."""
    times: Times = field(default_factory=Times)
    download_timeout_s: float = 1800.0
    long_backoff_s: float = 60.0
    """First wait of a failure that needs minutes; doubles up to 16 times it."""
    give_up_s: float = 7200.0
    insist_s: float = 60.0
    """How long an answer that the ledger cannot take is held and handed over again."""
    poll_s: float = 10.0
    """Longest pause between two questions about a job."""
    lost_s: float = 120.0
    """How long a job is asked for that no address knows, or whose address cannot be reached."""


@dataclass(slots=True)
class Clients:
    """The two clients of one event loop."""

    generations: httpx.AsyncClient
    downloads: DownloadClient


@dataclass(slots=True, kw_only=True)
class RunContext:
    """One run in this process."""

    run_id: str
    out_id: str
    gateway: str
    profile: Profile
    key: str | None = field(repr=False)
    ledger: Ledger
    store: Store
    prober: Prober
    door: Door
    policy: Policy
    price: Price | PriceList | None = None
    clock: Callable[[], float] = time.monotonic
    stopped: Stop | None = None
    posts: int = 0
    answered: bool = False
    """True once the gateway has answered anything in this run."""
    on_note: Callable[[str], None] = lambda _text: None
    on_wait: Callable[[int], None] = lambda _change: None
    """Told 1 when a row begins to wait for another run's result, -1 when that is over."""
    strata: Strata = field(default_factory=Strata)
    """Which configurations of the gateway made this OUT's results."""
    on_change: Callable[[Change], None] = lambda _change: None
    """Told of a result from another stratum than the first."""
    paused: str | None = None
    """What a person is asked before anything more is sent."""
    standings: Mapping[str, Standing] = field(default_factory=dict[str, Standing])
    """Where rows stood when the run began; absent means never sent."""
    ends: dict[str, RowEnd] = field(default_factory=dict[str, RowEnd])
    """How each generation of this run ended, until the window takes it."""
    flights: Flights = field(default_factory=Flights)
    _unreachable_since: float | None = None
    _hold_until: float = float("-inf")
    _declined: tuple[Day, int] | None = None
    """The least price that did not fit, and the budget's day it was: another day may hold it."""
    _proven: set[str] = field(default_factory=set[str])
    _limiters: dict[str, Limiter] = field(default_factory=dict[str, Limiter])
    _canaries: dict[str, Limiter] = field(default_factory=dict[str, Limiter])
    _model_stops: dict[str, Stop] = field(default_factory=dict[str, Stop])
    _clients: dict[int, Clients] = field(default_factory=dict[int, Clients])
    _breaker: Breaker = field(default_factory=Breaker)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _tls: ssl.SSLContext | None = None

    def limiter(self, model: str) -> Limiter:
        """The limiter of this gateway, key and model."""
        with self._lock:
            return self._limiter(self._limiters, model, self.policy.concurrency, self.policy.rpm)

    def canary(self, model: str) -> Limiter | None:
        """The canary's limiter while this model has no result yet, else None."""
        with self._lock:
            if not self.policy.canary or model in self._proven:
                return None
            return self._limiter(self._canaries, model, self.policy.canary, None)

    @property
    def asks_again(self) -> bool:
        """Whether a row of unknown fate may be sent again: by the user's word, or the gateway's."""
        return self.policy.on_unknown == "resubmit" or self.profile.key_ttl_s is not None

    def stop_of(self, model: str) -> Stop | None:
        """Why this model gets nothing more, or None."""
        return self.stopped or self._model_stops.get(model)

    def stop(self, stop: Stop) -> None:
        """Send nothing more in this run; the first reason stays."""
        with self._lock:
            if self.stopped is not None:
                return
            self.stopped = stop
            limiters = [*self._limiters.values(), *self._canaries.values()]
        self.on_note(f"stopping: {stop.notice}")
        for limiter in limiters:
            limiter.close()

    def trouble(self, error: TroubleError) -> None:
        """The machine fails: nothing more is bought that could not be kept."""
        error = self.ledger.about(error, str(self.store.storage))
        self.stop(Stop(reason="trouble", message=error.message, remedy=error.remedy))

    def hold_on(self, error: TroubleError) -> None:
        """As `trouble`, where what was answered is still to be written down: said once."""
        is_news = self.stopped is None
        self.trouble(error)
        if is_news:
            self.on_note("answers that come are held, and written down when the ledger can take them")

    def stop_model(self, model: str, stop: Stop) -> None:
        """Send nothing more to this model."""
        with self._lock:
            if model in self._model_stops:
                return
            self._model_stops[model] = stop
            limiters = [kind[model] for kind in (self._limiters, self._canaries) if model in kind]
        self.on_note(str(stop))
        for limiter in limiters:
            limiter.close()

    @property
    def model_stops(self) -> Mapping[str, Stop]:
        """Models that get nothing more."""
        return dict(self._model_stops)

    def limiters(self) -> tuple[Limiter, ...]:
        """Every model's limiter: what concerns the gateway concerns them all."""
        with self._lock:
            return tuple(self._limiters.values())

    async def stopped_within(self, wait_s: float) -> bool:
        """Wait; True at once when the run stops sending meanwhile."""
        until = self.clock() + wait_s
        while (left_s := until - self.clock()) > 0 and self.stopped is None:  # noqa: ASYNC110 - loops share it
            await asyncio.sleep(min(0.5, left_s))
        return self.stopped is not None

    def decline(self, price_musd: int, asked_at: datetime) -> None:
        """The budget does not hold a POST of this price any more, on the day that it was asked."""
        today = self.ledger.day(asked_at)
        with self._lock:
            least = self._least_declined_musd(today)
            self._declined = (today, price_musd if least is None else min(least, price_musd))

    def is_too_dear(self, spec: GenerationSpec) -> bool:
        """Whether a generation is as dear as one that the budget has declined today."""
        if self._declined is None or self.price is None:
            return False
        least = self._least_declined_musd(self.ledger.day(self.ledger.now()))
        return least is not None and self.price.max_musd(spec) >= least

    def _least_declined_musd(self, today: Day) -> int | None:
        return self._declined[1] if self._declined is not None and self._declined[0] == today else None

    def count_post(self) -> bool:
        """Take one POST of `max_posts`; False when none is left."""
        with self._lock:
            if self.policy.max_posts is not None and self.posts >= self.policy.max_posts:
                return False
            self.posts += 1
            return True

    def uncount_post(self) -> None:
        """The POST was not sent after all."""
        with self._lock:
            self.posts -= 1

    def throttled(self, model: str, sent_at: float, retry_after_s: float | None) -> None:
        """The gateway said to slow down; where it said for how long, no row of any model leaves before."""
        self.limiter(model).throttled(sent_at, retry_after_s)
        if retry_after_s is None:
            return
        with self._lock:
            self._hold_until = max(self._hold_until, self.clock() + retry_after_s)
        for limiter in self.limiters():
            limiter.hold(retry_after_s)

    def made_by(self, model: str, outcome: Outcome) -> None:
        """Note which configuration of the gateway a result came from, if it is one."""
        if outcome.status != "succeeded":
            return
        said = hide(outcome, self.key)
        with self._lock:
            change = self.strata.record(model, Stratum(said.served_model, said.system_fingerprint))
        if change is not None:
            self.on_change(change)

    async def may_send(self) -> bool:
        """Wait while a person is asked; False when the run stops sending meanwhile."""
        while self.paused is not None and self.stopped is None:  # noqa: ASYNC110 - loops share it
            await asyncio.sleep(0.2)
        return self.stopped is None

    def waiting(self) -> str | None:
        """What holds every send now, for the display."""
        if self.paused is not None:
            return self.paused
        cooling_s = max((limiter.cooling_s() for limiter in self.limiters()), default=0.0)
        return f"cool-down {cooling_s:.0f} s" if cooling_s >= 1 else None

    def heard(self) -> None:
        """The gateway answered: it exists."""
        self.answered, self._unreachable_since = True, None

    def unreachable(self) -> bool:
        """Note a connection that never stood; True when it is time to give up on a gateway never heard of."""
        if self.answered:
            return False
        now = self.clock()
        self._unreachable_since = now if self._unreachable_since is None else self._unreachable_since
        return now - self._unreachable_since >= UNREACHABLE_S

    def purchase_ended(self, model: str, end: PurchaseEnd) -> None:
        """Feed the canary and the breaker."""
        with self._lock:
            trip = self._breaker.record(end)
            canary = self._canaries.get(model) if end == "result" else None
            if end == "result":
                self._proven.add(model)
        if canary is not None:
            canary.lift()
        if trip is not None:
            remedy = f"Nothing more is sent. Read the transcripts in {self.store.storage}/transcripts."
            self.stop(Stop(reason="breaker", message=f"{trip}.", remedy=remedy))

    def clients(self) -> Clients:
        """The clients of the running event loop."""
        key = id(asyncio.get_running_loop())
        with self._lock:
            if key not in self._clients:
                self._tls = self._tls or httpx.create_ssl_context(trust_env=False)
                self._clients[key] = Clients(
                    generation_client(self.policy.times, self._tls), DownloadClient(self.door)
                )
            return self._clients[key]

    async def aclose(self) -> None:
        """Close the clients of the running loop."""
        with self._lock:
            clients = self._clients.pop(id(asyncio.get_running_loop()), None)
        if clients is not None:
            await clients.generations.aclose()
            await clients.downloads.aclose()

    def _limiter(
        self, kind: dict[str, Limiter], model: str, concurrency: int | None, rpm: float | None
    ) -> Limiter:
        if model not in kind:
            start = self.profile.concurrency if kind is self._limiters else None
            kind[model] = Limiter(concurrency, clock=self.clock, rpm=rpm, start=start)
            kind[model].hold(self._hold_until - self.clock())
            if self.stopped or model in self._model_stops:
                kind[model].close()
        return kind[model]


CONTEXTS: dict[str, RunContext] = {}
"""Runs open in this process, by run id."""
