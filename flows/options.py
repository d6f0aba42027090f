"""The options of a run, by the same names on the command line, in `bulk` and in a deployment.

Strings as a person types them come in, checked values come out; a wrong one is a SettingsError that
says what was received and what was allowed. No secret is ever an option: keys travel by name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Any, Literal

from reelsweep.prompts.duration import parse_duration
from reelsweep.prompts.errors import SettingsError
from reelsweep.prompts.pricing import Price
from reelsweep.prompts.request import Output
from reelsweep.prompts.sweep import Sweep
from reelsweep.prompts.sweepfile import read_sweep
from reelsweep.tasks.artifacts.checklist import DEFAULT_CHECKS, Checks
from reelsweep.tasks.gateway.times import Times
from reelsweep.tasks.purchase.context import Policy

OnDrift = Literal["warn", "pause", "stop"]
"""What to do when a result comes from another stratum than the first of this OUT."""

DEFAULT_KEY_ENV = "REELSWEEP_API_KEY"
_LEAST = {
    "concurrency": 1,
    "max_attempts": 1,
    "accept": 1,
    "candidates": 1,
    "max_posts": 0,
    "max_purchases": 1,
    "limit": 0,
    "canary": 0,
    "drain_s": 0,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """Everything that decides a run but its table."""

    out: str | None = None
    gateway: str = "sandbox:"
    api_key_env: str = DEFAULT_KEY_ENV
    output: Output = "video"
    model: str | None = None
    set_: Mapping[str, str] = field(default_factory=dict[str, str])
    seeds: str | None = None
    samples: int | None = None
    grid: tuple[tuple[str, tuple[str, ...]], ...] = ()
    sweep: Sweep = field(default_factory=Sweep)
    checks: Checks = DEFAULT_CHECKS
    accept: int | None = None
    """Accepted generations that each row and combination shall have."""
    candidates: int | None = None
    """Generations at most for them; None is twice as many."""
    concurrency: int | None = None
    """None is `auto`."""
    rpm: float | None = None
    max_attempts: int = 5
    idle_timeout_s: float | None = None
    stream_timeout_s: float = 3000.0
    download_timeout_s: float = 1800.0
    price: Price | None = None
    budget: Budget | None = None
    max_posts: int | None = None
    limit: int | None = None
    retry_failed: bool = False
    on_unknown: Literal["hold", "resubmit"] = "hold"
    on_drift: OnDrift = "warn"
    max_purchases: int = 2
    max_failed: float | None = None
    """Share of made rows that may fail, 0 to 1."""
    canary: int = 1
    allow_hosts: tuple[str, ...] = ()
    drain_s: float | None = None
    """None: 20 s under a Prefect worker, unlimited elsewhere."""
    rebuy: bool = False
    keep_transcripts: bool = False
    """Keep every answer as it came: evidence of an experiment."""
    ledger: str | None = None

    def __post_init__(self) -> None:
        """Raises SettingsError for a number that no run can have."""
        for name, least in _LEAST.items():
            value: float | None = getattr(self, name)
            if value is not None and not least <= value < inf:
                option = name.replace("_", "-")
                raise SettingsError(f"--{option}: got {value!r}, expected a number from {least}.")
        if self.rpm is not None and not 0 < self.rpm < inf:
            raise SettingsError(f"--rpm: got {self.rpm!r}, expected a number over 0.")
        if self.candidates is not None and (self.accept is None or self.candidates < self.accept):
            expected = "--accept N beside it" if self.accept is None else f"at least --accept {self.accept}"
            raise SettingsError(f"--candidates: got {self.candidates}, expected {expected}.")

    @property
    def num_candidates(self) -> int:
        """Candidates that a row and combination has at least; 0 without `--accept`."""
        return self.candidates or 2 * (self.accept or 0)

    def policy(self, *, silence_s: float | None, long_backoff_s: float) -> Policy:
        """What one generation needs of them, with the profile's silence where the user named none."""
        idle_s = self.idle_timeout_s or silence_s or Times().idle_s
        return Policy(
            concurrency=self.concurrency,
            rpm=self.rpm,
            max_attempts=self.max_attempts,
            max_purchases=self.max_purchases,
            max_posts=self.max_posts,
            canary=self.canary,
            on_unknown=self.on_unknown,
            retry_failed=self.retry_failed,
            keep_transcripts=self.keep_transcripts,
            times=Times(idle_s=idle_s, stream_s=self.stream_timeout_s),
            download_timeout_s=self.download_timeout_s,
            long_backoff_s=long_backoff_s,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """A cap on everything the ledger has settled and reserved, ever or per calendar day (UTC)."""

    musd: int
    per_day: bool = False

    @classmethod
    def parse(cls, text: str) -> Budget:
        """`500` or `50/day`, in US dollars."""
        amount, slash, period = text.partition("/")
        found = re.fullmatch(r"\d+(?:\.\d{1,6})?", amount.strip())
        if not found or (slash and period.strip() != "day"):
            raise SettingsError(f"--budget: got {text!r}, expected dollars such as 500 or 50/day.")
        whole, _, fraction = amount.strip().partition(".")
        return cls(musd=int(whole) * 1_000_000 + int(fraction.ljust(6, "0") or 0), per_day=bool(slash))


def parse_seconds(name: str, text: str | float | None) -> float | None:
    """`90`, `90s`, `15m`, `1h` as seconds."""
    if text is None:
        return None
    try:
        return parse_duration(text)
    except ValueError as error:
        raise SettingsError(f"--{name}: {error}.") from None


def parse_concurrency(value: int | str | None) -> int | None:
    """A whole number from 1, or `auto` (None)."""
    if value is None or value == "auto":
        return None
    if not str(value).isdigit() or int(value) < 1:
        raise SettingsError(f"--concurrency: got {value!r}, expected auto or a whole number from 1.")
    return int(value)


def parse_share(name: str, text: str | float | None) -> float | None:
    """`5%` or `0.05` as 0.05."""
    if text is None:
        return None
    raw = str(text).strip()
    try:
        share = float(raw[:-1]) / 100 if raw.endswith("%") else float(raw)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise SettingsError(f"--{name}: got {text!r}, expected a share such as 5% or 0.05.")
    return share


def parse_pairs(name: str, items: Sequence[str] | Mapping[str, str] | None) -> dict[str, str]:
    """`COLUMN=VALUE` items as a mapping."""
    if items is None or isinstance(items, Mapping):
        return {column: str(value) for column, value in (items or {}).items()}
    pairs: dict[str, str] = {}
    for item in items:
        column, equals, value = item.partition("=")
        if not equals or not column.strip():
            raise SettingsError(f"--{name}: got {item!r}, expected COLUMN=VALUE.")
        pairs[column.strip()] = value
    return pairs


def parse_grid(
    items: Sequence[str] | Mapping[str, Sequence[str | int | float]] | None,
) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """`column=a,b` items, or a mapping to lists, as axes in the order given."""
    if isinstance(items, Mapping):
        return tuple((column, tuple(str(value) for value in values)) for column, values in items.items())
    pairs = parse_pairs("grid", items)
    return tuple((column, tuple(part.strip() for part in text.split(","))) for column, text in pairs.items())


def parse_sweep(source: str | Mapping[str, Any] | None) -> Sweep:
    """The sweep in a file or a mapping; one that varies nothing where there is none."""
    return Sweep() if source is None else read_sweep(source)
