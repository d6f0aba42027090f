"""The options that `run` and `plan` share, as a person types them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Annotated, Literal

from cyclopts import Group, Parameter
from reelsweep.flows.options import (
    DEFAULT_KEY_ENV,
    Budget,
    OnDrift,
    RunOptions,
    parse_concurrency,
    parse_grid,
    parse_pairs,
    parse_seconds,
    parse_share,
    parse_sweep,
)
from reelsweep.prompts.pricing import Price
from reelsweep.prompts.request import Output
from reelsweep.tasks.artifacts.checklist import Checks

WHERE = Group.create_ordered("Where")
WHAT = Group.create_ordered("What")
HOW_MUCH = Group.create_ordered("How much")
AGAIN = Group.create_ordered("Again")
PATIENCE = Group.create_ordered("Patience")
SWITCH = ()


@dataclass(frozen=True, kw_only=True)
class RunFlags:
    """Options of `run` and `plan`."""

    out: Annotated[str | None, Parameter(group=WHERE)] = None
    """The output folder, or a URL such as s3://bucket/path (with --ledger); when not given runs/TABLE, for
    the sandbox runs/sandbox/TABLE."""
    gateway: Annotated[str | None, Parameter(group=WHERE)] = None
    """sandbox:, a base URL such as https://host/v1, a profile, or gateway-credentials/NAME (a Prefect block);
    REELSWEEP_GATEWAY, else sandbox:."""
    api_key_env: Annotated[str, Parameter(group=WHERE)] = DEFAULT_KEY_ENV
    """The environment variable that holds the key."""
    ledger: Annotated[str | None, Parameter(group=WHERE)] = None
    """sqlite:///PATH or postgresql://…, where several machines share a run; OUT/ledger.db when not given."""
    allow_host: Annotated[tuple[str, ...], Parameter(group=WHERE, negative=SWITCH)] = ()
    """A host (HOST or HOST:PORT) that may be fetched from though its address is not public; repeatable."""
    output: Annotated[Output, Parameter(group=WHAT)] = "video"
    """What a row must yield."""
    model: Annotated[str | None, Parameter(group=WHAT)] = None
    """The model of rows that name none."""
    set_: Annotated[tuple[str, ...], Parameter(name="--set", group=WHAT, negative=SWITCH)] = ()
    """COLUMN=VALUE for every row; repeatable."""
    seeds: Annotated[str | None, Parameter(group=WHAT)] = None
    """Seeds such as 0-9 or 1,2,3."""
    samples: Annotated[int | None, Parameter(group=WHAT)] = None
    """Results of one request."""
    grid: Annotated[tuple[str, ...], Parameter(group=WHAT, negative=SWITCH)] = ()
    """column=a,b crosses every row with the values; repeatable."""
    sweep: Annotated[str | None, Parameter(group=WHAT)] = None
    """A YAML file of axes, fragments, zips, exclusions and seeds; `example:` is the shipped one."""
    checks: Annotated[str, Parameter(group=WHAT, allow_leading_hyphen=True)] = "default"
    """Content checks of clips: default, none, NAME,NAME, or changes such as -fps,black=0.5,expect_audio."""
    accept: Annotated[int | None, Parameter(group=HOW_MUCH)] = None
    """Make fresh candidates for rejected ones, until N of each prompt and combination are accepted."""
    candidates: Annotated[int | None, Parameter(group=HOW_MUCH)] = None
    """With --accept: generations of each at most; twice as many when not given."""
    limit: Annotated[int | None, Parameter(group=HOW_MUCH)] = None
    """Only the first N rows still to make."""
    max_posts: Annotated[int | None, Parameter(group=HOW_MUCH)] = None
    """Send at most N POSTs in this run."""
    price: Annotated[str | None, Parameter(group=HOW_MUCH)] = None
    """US dollars a generation (0.80) or a second of video (0.10/s)."""
    budget: Annotated[str | None, Parameter(group=HOW_MUCH)] = None
    """US dollars for all this ledger ever settles and reserves (500), or per calendar day in UTC (50/day)."""
    max_failed: Annotated[str | None, Parameter(group=HOW_MUCH)] = None
    """Stop when more than this share of the rows made has failed, such as 5%."""
    concurrency: Annotated[str, Parameter(group=HOW_MUCH)] = "auto"
    """Generations in flight for each model, or auto."""
    rpm: Annotated[float | None, Parameter(group=HOW_MUCH)] = None
    """POSTs a minute at most."""
    canary: Annotated[int, Parameter(group=HOW_MUCH)] = 1
    """Purchases open until the first result; 0 switches it off."""
    rebuy: Annotated[bool, Parameter(group=AGAIN, negative=SWITCH)] = False
    """Buy rows whose prompt, model and seed are paid for under other parameters."""
    retry_failed: Annotated[bool, Parameter(group=AGAIN, negative=SWITCH)] = False
    """Also buy billed failures again."""
    on_unknown: Annotated[Literal["hold", "resubmit"], Parameter(group=AGAIN)] = "hold"
    """What to do with rows whose purchase has an unknown fate."""
    on_drift: Annotated[OnDrift, Parameter(group=AGAIN)] = "warn"
    """When the gateway becomes another one: say so; also pause until a person says so; or stop."""
    max_purchases: Annotated[int, Parameter(group=AGAIN)] = 2
    """Purchases of one row at most, ever."""
    max_attempts: Annotated[int, Parameter(group=AGAIN)] = 5
    """Attempts of a row that fails unbilled and needs minutes."""
    idle_timeout: Annotated[str | None, Parameter(group=PATIENCE)] = None
    """Silence after which a stream is cut, such as 15m; the profile's, else 15m."""
    stream_timeout: Annotated[str, Parameter(group=PATIENCE)] = "50m"
    """The longest stream."""
    download_timeout: Annotated[str, Parameter(group=PATIENCE)] = "30m"
    """The longest download."""
    drain_s: Annotated[float | None, Parameter(group=PATIENCE)] = None
    """Seconds for open generations after the first Ctrl-C or SIGTERM; unlimited at a terminal."""


def options_of(flags: RunFlags) -> RunOptions:
    """The checked options; SettingsError for a value that does not fit."""
    gateway = flags.gateway or os.environ.get("REELSWEEP_GATEWAY", "").strip() or "sandbox:"
    return RunOptions(
        out=flags.out,
        gateway=gateway,
        api_key_env=flags.api_key_env,
        output=flags.output,
        model=flags.model,
        set_=parse_pairs("set", flags.set_),
        seeds=flags.seeds,
        samples=flags.samples,
        grid=parse_grid(flags.grid),
        checks=Checks.parse(flags.checks),
        accept=flags.accept,
        candidates=flags.candidates,
        sweep=parse_sweep(flags.sweep),
        concurrency=parse_concurrency(flags.concurrency),
        rpm=flags.rpm,
        max_attempts=flags.max_attempts,
        idle_timeout_s=parse_seconds("idle-timeout", flags.idle_timeout),
        stream_timeout_s=parse_seconds("stream-timeout", flags.stream_timeout) or 3000.0,
        download_timeout_s=parse_seconds("download-timeout", flags.download_timeout) or 1800.0,
        ledger=flags.ledger,
        budget=None if flags.budget is None else Budget.parse(flags.budget),
        max_failed=parse_share("max-failed", flags.max_failed),
        rebuy=flags.rebuy,
        price=None if flags.price is None else Price.parse(flags.price),
        max_posts=flags.max_posts,
        limit=flags.limit,
        retry_failed=flags.retry_failed,
        on_unknown=flags.on_unknown,
        on_drift=flags.on_drift,
        max_purchases=flags.max_purchases,
        canary=flags.canary,
        allow_hosts=flags.allow_host,
        drain_s=flags.drain_s,
    )
