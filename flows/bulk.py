"""The flow `bulk`: a prompt table in, videos and a Parquet manifest out.

    summary = await bulk("prompts.csv", gateway="sandbox:", seeds="0-3")
    summary.frame()

Run it again and it continues: what is paid for is never bought again.
"""

# Annotations are not postponed here: a served flow is pickled without the names that only they use.
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import pandas as pd
from pydantic import WithJsonSchema
from reelsweep.flows.execution.run import run_table
from reelsweep.flows.options import (
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
from reelsweep.flows.orchestration.tables import table_flow
from reelsweep.flows.results import RESULTS
from reelsweep.flows.summary import RunSummary
from reelsweep.prompts.pricing import Price
from reelsweep.prompts.request import Output
from reelsweep.tasks.artifacts.checklist import Checks


@table_flow(name="bulk", persist_result=True, result_serializer=RESULTS, log_prints=False)
async def bulk(
    table: Annotated[str | Path | pd.DataFrame, WithJsonSchema({"type": "string"})],
    *,
    out: str | None = None,
    gateway: str = "sandbox:",
    api_key_env: str = "REELSWEEP_API_KEY",
    output: Output = "video",
    model: str | None = None,
    set_: Mapping[str, str] | Sequence[str] | None = None,
    seeds: str | int | None = None,
    samples: int | None = None,
    grid: Mapping[str, Sequence[str | int | float]] | Sequence[str] | None = None,
    sweep: str | Mapping[str, Any] | None = None,
    concurrency: int | str = "auto",
    rpm: float | None = None,
    max_attempts: int = 5,
    idle_timeout: str | float | None = None,
    stream_timeout: str | float = 3000,
    download_timeout: str | float = 1800,
    price: str | float | None = None,
    budget: str | float | None = None,
    max_failed: str | float | None = None,
    max_posts: int | None = None,
    limit: int | None = None,
    rebuy: bool = False,
    retry_failed: bool = False,
    on_unknown: Literal["hold", "resubmit"] = "hold",
    on_drift: OnDrift = "warn",
    max_purchases: int = 2,
    canary: int = 1,
    allow_host: Sequence[str] = (),
    drain_s: float | None = None,
    ledger: str | None = None,
    checks: str = "default",
    accept: int | None = None,
    candidates: int | None = None,
) -> RunSummary:
    """Generate every row of a prompt table that is not yet paid for, and write the manifest.

    Args:
        table: path or URL of a CSV, TSV, JSONL or Parquet table, a folder or pattern of them, `example:`,
            or a DataFrame.
        out: the output folder, or a URL such as `s3://bucket/path` (with `ledger`); else `runs/<table stem>`.
        gateway: `sandbox:`, the base URL of a Chat Completions gateway, a profile's name or path, or
            `gateway-credentials/NAME`, a block.
        api_key_env: name of the environment variable that holds the key; never the key.
        output: what a row must yield, `video` or `text`.
        model: model of rows without one.
        set_: `column=value` for every row.
        seeds: seeds for every row without one, such as `0-9` or `1,2,3`.
        samples: results of one request.
        grid: axes to cross, such as `{"size": ["320x180", "640x360"]}`.
        sweep: a sweep file (axes, fragments, zips, exclusions, seeds), or a mapping that says the same.
        concurrency: generations in flight for each model, or `auto`.
        rpm: most POSTs a minute.
        max_attempts: attempts of a row that fails unbilled for minutes.
        idle_timeout: silence after which a stream is cut, seconds or `15m`.
        stream_timeout: longest stream, seconds or `50m`.
        download_timeout: longest download, seconds or `30m`.
        price: US dollars per generation (`0.80`) or per second of video (`0.10/s`).
        budget: US dollars for all the ledger ever settles and reserves (`500`), or per day (`50/day`).
        max_failed: share of the rows made that may fail, such as `5%`.
        max_posts: most POSTs of this run.
        limit: only the first rows still to make.
        rebuy: buy rows whose prompt, model and seed are paid for under other parameters.
        retry_failed: also buy billed failures again.
        on_unknown: `resubmit` buys rows again whose first purchase has an unknown fate.
        on_drift: when the gateway's configuration changes, `warn`, `pause` until a person says so, or `stop`.
        max_purchases: most purchases of one row, ever.
        canary: purchases open until the first result; 0 switches it off.
        allow_host: hosts that may be reached though their address is not public.
        drain_s: seconds for open generations after SIGTERM.
        ledger: `sqlite:///path` or `postgresql://…`; OUT/ledger.db when absent.
        accept: accepted generations of each prompt and combination, rejected ones made up by fresh ones.
        candidates: most generations of each with `accept`; twice as many when absent.
        checks: content checks, such as `none`, `black,frozen` or `-fps,near_duplicate=0.1`.

    Returns a RunSummary. Raises UsageError when nothing can be sent, RunStopped when the run was stopped.
    """
    options = RunOptions(
        out=out,
        gateway=gateway,
        api_key_env=api_key_env,
        output=output,
        model=model,
        set_=parse_pairs("set", set_),
        seeds=None if seeds is None else str(seeds),
        samples=samples,
        grid=parse_grid(grid),
        sweep=parse_sweep(sweep),
        concurrency=parse_concurrency(concurrency),
        rpm=rpm,
        max_attempts=max_attempts,
        idle_timeout_s=parse_seconds("idle-timeout", idle_timeout),
        stream_timeout_s=parse_seconds("stream-timeout", stream_timeout) or 3000.0,
        download_timeout_s=parse_seconds("download-timeout", download_timeout) or 1800.0,
        price=None if price is None else Price.parse(str(price)),
        budget=None if budget is None else Budget.parse(str(budget)),
        max_failed=parse_share("max-failed", max_failed),
        max_posts=max_posts,
        limit=limit,
        retry_failed=retry_failed,
        on_unknown=on_unknown,
        on_drift=on_drift,
        max_purchases=max_purchases,
        canary=canary,
        allow_hosts=tuple(allow_host),
        drain_s=drain_s,
        ledger=ledger,
        rebuy=rebuy,
        checks=Checks.parse(checks),
        accept=accept,
        candidates=candidates,
    )
    return await run_table(table, options)
