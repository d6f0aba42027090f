"""What a generation costs beside what the wire alone costs: CPU, slots left idle, memory."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
import pytest
from reelsweep.flows.server import ServerInUse
from reelsweep.tasks.sandbox.script import Script
from reelsweep.tasks.sandbox.server import SandboxServer

MB = 1 << 20
EVENTS = 20
CLIP = {"events": EVENTS, "clip_bytes": 100_000, "clip_variants": 2, "directives": False}
PLAIN = Path(__file__).with_name("plain_loop.py")

WriteTable = Callable[[str, Sequence[int]], Path]


def options(base_url: str, out: Path, concurrency: int) -> tuple[str, ...]:
    """A run against a sandbox that has a process of its own."""
    return (
        *("--out", str(out), "--gateway", base_url, "--yes"),
        *("--concurrency", str(concurrency), "--canary", "0"),
    )


def plain(base_url: str, folder: Path, number: int, concurrency: int) -> dict[str, Any]:
    """The plain loop's CPU and how busy its slots were."""
    folder.mkdir()
    arguments = (f"{base_url}/", str(folder), str(number), str(concurrency))
    done = subprocess.run([sys.executable, str(PLAIN), *arguments], check=True, stdout=subprocess.PIPE)
    return json.loads(done.stdout)


def slots_busy(out: Path, concurrency: int) -> float:
    """Share of the slots' time in which a stream was open, from the first POST to the last end."""
    attempts = pd.read_parquet(out / "attempts.parquet")
    span_s = (attempts["completed_at"].max() - attempts["sent_at"].min()).total_seconds()
    return (attempts["completed_at"] - attempts["sent_at"]).dt.total_seconds().sum() / (span_s * concurrency)


def highest(memory: Sequence[tuple[float, int]], begin: float, end: float) -> float:
    """The highest memory, in MB, between two shares of the time."""
    last = memory[-1][0]
    return max(size for at, size in memory if begin * last <= at <= end * last) / MB


@pytest.mark.bench
@pytest.mark.timeout(900)
def test_a_generation_costs_at_most_three_and_a_half_times_the_wire(
    prefect: ServerInUse, use: Callable[..., Any], write_table: WriteTable, tmp_path: Path, report: Any
) -> None:
    """CPU of one more generation, decoding and the Prefect server apart, beside that of the plain loop."""
    few, many, concurrency = 100, 500, 20
    assert prefect.process is not None
    server = psutil.Process(prefect.process.pid)
    usage, bare, recording = {}, {}, {}
    with SandboxServer(Script(duration_s=0.6, **CLIP)) as sandbox:
        for number in (few, many):
            table, before = write_table(f"{number}.csv", range(number)), sum(server.cpu_times()[:2])
            out = tmp_path / f"out-{number}"
            usage[number] = use("run", str(table), *options(sandbox.base_url, out, concurrency))
            recording[number] = sum(server.cpu_times()[:2]) - before
            bare[number] = plain(sandbox.base_url, tmp_path / f"plain-{number}", number, concurrency)
            assert usage[number].summary["counts"] == {"success": number}
    more = many - few
    ours_ms = (usage[many].own_cpu_s - usage[few].own_cpu_s) / more * 1000
    plain_ms = (bare[many]["cpu_s"] - bare[few]["cpu_s"]) / more * 1000
    decoding_ms = (usage[many].children_cpu_s - usage[few].children_cpu_s) / more * 1000
    server_ms = (recording[many] - recording[few]) / more * 1000
    report(
        f"CPU per generation: {ours_ms:.1f} ms, plain loop {plain_ms:.1f} ms, ratio {ours_ms / plain_ms:.2f};"
        f" decoding {decoding_ms:.1f} ms, Prefect server {server_ms:.1f} ms"
    )
    assert ours_ms <= 3.5 * plain_ms


@pytest.mark.bench
@pytest.mark.timeout(1800)
def test_memory_does_not_grow_with_the_plan(
    prefect: ServerInUse, use: Callable[..., Any], write_table: WriteTable, tmp_path: Path, report: Any
) -> None:
    """1,000 generations, 200 at a time, streams of 5 s: the last quarter needs no more than the second."""
    number, concurrency = 1000, 200
    table, out = write_table("table.csv", range(number)), tmp_path / "out"
    with SandboxServer(Script(duration_s=5.0, **CLIP)) as sandbox:
        usage = use("run", str(table), *options(sandbox.base_url, out, concurrency))
    assert usage.summary["counts"] == {"success": number}
    second, last = highest(usage.memory, 0.25, 0.5), highest(usage.memory, 0.75, 1.0)
    report(
        f"memory of the tree: {second:.0f} MB in the second quarter, {last:.0f} MB in the last"
        f" ({last - second:+.0f} MB); {usage.summary['elapsed_s']:.0f} s"
    )
    assert last <= second + 20


@pytest.mark.bench
@pytest.mark.timeout(1800)
def test_slots_are_as_busy_as_the_plain_loops(
    prefect: ServerInUse, use: Callable[..., Any], write_table: WriteTable, tmp_path: Path, report: Any
) -> None:
    """Recording, decoding and storing leave no slot idle that the plain loop would use."""
    number, concurrency = 200, 40
    table, out = write_table("table.csv", range(number)), tmp_path / "out"
    with SandboxServer(Script(duration_s=5.0, **CLIP)) as sandbox:
        usage = use("run", str(table), *options(sandbox.base_url, out, concurrency))
        bare = plain(sandbox.base_url, tmp_path / "plain", number, concurrency)
    assert usage.summary["counts"] == {"success": number}
    busy = slots_busy(out, concurrency)
    report(f"slots busy {busy:.1%}, plain loop {bare['slots_busy']:.1%}")
    assert busy >= bare["slots_busy"] - 0.03


@pytest.mark.bench
@pytest.mark.timeout(1800)
def test_a_thousand_open_streams_take_less_than_400_mb(
    prefect: ServerInUse, use: Callable[..., Any], write_table: WriteTable, tmp_path: Path, report: Any
) -> None:
    """1,000 streams open in one process at a time: the process stays below 400 MB."""
    number = 1000
    table, out = write_table("table.csv", range(number)), tmp_path / "out"
    with SandboxServer(Script(duration_s=30.0, **CLIP)) as sandbox:
        usage = use("run", str(table), *options(sandbox.base_url, out, number))
    assert usage.summary["counts"] == {"success": number}
    attempts = pd.read_parquet(out / "attempts.parquet")
    assert attempts["sent_at"].max() < attempts["completed_at"].min(), "not all were open at a time"
    most = highest(usage.own_memory, 0.0, 1.0)
    report(
        f"1,000 streams open: {most:.0f} MB in the process, {highest(usage.memory, 0, 1):.0f} MB in its tree"
    )
    assert most < 400
