"""How the sandbox behaves, as data: frozen, JSON-able, and the same for the same seed.

Pure: the server asks `choose_faults` and obeys.
"""

from __future__ import annotations

import hashlib
from typing import Literal, get_args

from pydantic import BaseModel, ConfigDict, Field
from reelsweep.tasks.sandbox.clip import MAX_SECONDS
from reelsweep.tasks.sandbox.faults import Fault, parse_directives

Dialect = Literal["standard", "reasoning", "quoted", "task", "ack", "chars", "videos", "keepalive"]
"""How a video model speaks (see `dialects`)."""

DIALECTS: tuple[Dialect, ...] = get_args(Dialect)


class FaultRate(Fault):
    """A fault that befalls a share of all calls, chosen by the script's seed."""

    rate: float = Field(ge=0, le=1)


class Script(BaseModel):
    """How the sandbox behaves. The defaults are a gateway that does everything right, and fast."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    dialect: Dialect = "standard"
    """For models whose name does not end in `-<dialect>`."""
    seed: Literal["honoured", "ignored", "echoed"] = "honoured"
    """`echoed`: said back in every chunk and ignored all the same."""
    fingerprint: Literal["fixed", "drifting", "absent"] = "fixed"
    drift_every: int = Field(default=20, ge=1)
    """Accepted jobs between two drifts of `system_fingerprint`."""
    drift_changes_clips: bool = False
    """Whether a drift also shifts the picture a little: near, not identical."""

    duration_s: float = Field(default=0.2, ge=0)
    """How long a video stream takes."""
    jitter: float = Field(default=0.0, ge=0, le=1)
    """Share of the duration by which single streams differ."""
    events: int = Field(default=4, ge=0)
    """Progress events of a video stream."""
    keepalive_s: float | None = Field(default=None, gt=0)
    """Distance of keep-alive comments; None for none."""

    size: str = "320x180"
    seconds: float = Field(default=2.0, gt=0, le=MAX_SECONDS)
    """Of a clip whose request does not say."""
    clip_bytes: int = Field(default=0, ge=0, le=50_000_000)
    """Clips are padded to at least this size, each with bytes of its own."""
    clip_variants: int = Field(default=0, ge=0)
    """Draw at most so many different pictures (load tests); 0 for no limit."""

    idempotency: Literal["honour", "ignore"] = "honour"
    max_running: int | None = Field(default=None, ge=0)
    """More jobs at a time are answered with 429."""
    models: tuple[str, ...] = ("sora-2", "sora-2-pro", "sandbox-video", "sandbox-text")
    """For `GET /v1/models`."""
    unknown_models: Literal["accept", "refuse"] = "accept"
    """Whether a model that is not listed is 404."""

    price_musd: int = Field(default=100_000, ge=0)
    """Of one video, in micro-dollars; text is free."""
    bill_refusals: bool = False
    bill_failures: bool = False

    directives: bool = True
    """Whether a prompt may ask for faults."""
    sequence: tuple[Fault | None, ...] = ()
    """The faults of the first calls, in order of arrival."""
    rates: tuple[FaultRate, ...] = ()
    fault_seed: int = 0


def choose_dialect(script: Script, model: str) -> Dialect:
    """The dialect a model speaks: by the end of its name, else the script's."""
    for dialect in DIALECTS:
        if model.endswith(f"-{dialect}"):
            return dialect
    return script.dialect


def choose_faults(
    script: Script, *, prompt: str, body_sha256: str, earlier: int, arrival: int
) -> tuple[Fault, ...]:
    """What shall go wrong with one call: directives first, then the ordered list, then the rates.

    `earlier` counts POSTs of the same body before this one, `arrival` all POSTs before it.
    Raises ValueError for a directive that cannot be read.
    """
    asked = parse_directives(prompt) if script.directives else ()
    listed = script.sequence[arrival] if arrival < len(script.sequence) else None
    drawn = (
        Fault.model_validate(rate.model_dump(exclude={"rate"}))
        for idx, rate in enumerate(script.rates)
        if draw_share(script.fault_seed, idx, body_sha256, _draw(rate, earlier)) < rate.rate
    )
    faults = (*asked, *((listed,) if listed else ()), *drawn)
    return tuple(
        fault for fault in faults if fault.kind.stage in ("status", "download") or fault.applies(earlier)
    )


def _draw(rate: FaultRate, earlier: int) -> int:
    """Which draw counts: a clip shows the same whenever it is asked for, all else may change by call."""
    return 0 if rate.kind.stage == "clip" else earlier


def draw_share(*of: object) -> float:
    """A number in [0, 1) that depends on nothing but its arguments."""
    digest = hashlib.sha256(":".join(map(str, of)).encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64
