"""Tables and results in a bucket of a real S3 server: the same promises as on a disk of one's own."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from reelsweep.flows.commands.reconcile import reconcile
from reelsweep.flows.commands.show import show
from reelsweep.flows.commands.status import status_of
from reelsweep.flows.server import ServerInUse
from reelsweep.prompts.errors import OutError, SettingsError
from reelsweep.tasks.manifest.read import read_attempts, read_manifest
from reelsweep.tasks.sandbox.script import Script
from reelsweep.tasks.sandbox.server import SandboxServer

ROWS = [{"prompt": f"prompt {number}", "seed": number} for number in range(4)]
CSV = "".join(["prompt,seed\n", *(f"{row['prompt']},{row['seed']}\n" for row in ROWS)]).encode()


@pytest.fixture
def ledger(tmp_path: Path) -> str:
    """A ledger on this machine's disk."""
    return f"sqlite:///{tmp_path / 'ledger.db'}"


@pytest.fixture
def start(
    prefect: ServerInUse, sandbox: SandboxServer, bucket: Any, tmp_path: Path
) -> Callable[..., subprocess.Popen[bytes]]:
    """Starts `run` on the bucket's table as a process of its own, with what the test adds."""

    def command(*more: str, home: str = "home") -> subprocess.Popen[bytes]:
        words = ["run", bucket.put("table.csv", CSV), "--out", f"{bucket.url}/out", "--yes", "--canary", "0"]
        return subprocess.Popen(
            [sys.executable, "-m", "reelsweep.flows.cli", *words, "--gateway", sandbox.base_url, *more],
            cwd=tmp_path,
            env={**os.environ, "REELSWEEP_HOME": str(tmp_path / home)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    return command


def is_clip(call: Any, method: str) -> bool:
    """Whether a request is about a clip."""
    return call.method == method and "/videos/" in f"/{call.name}"


def files_in(folder: Path) -> list[str]:
    """Files below a folder, those kept for the next run apart."""
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def named_clips(bucket: Any) -> list[str]:
    """Clips that the manifest in the bucket names, if there is one."""
    content = bucket.objects("out/manifest.parquet").get("out/manifest.parquet")
    names = [] if content is None else pq.read_table(pa.BufferReader(content))["file_name"].to_pylist()
    return [name for name in names if name]


def let_in(_call: Any) -> None:
    """No request is refused any more."""


def assert_whole(bucket: Any, num_clips: int) -> None:
    """Each success names a clip that is there, and each clip has the bytes of its name and its row."""
    clips = bucket.objects("out/videos/")
    frame = read_manifest(f"{bucket.url}/out")
    made = frame[frame["status"] == "success"]
    assert len(made) == len(clips) == num_clips
    for row in made.itertuples():
        content = clips[row.file_name.removeprefix(f"{bucket.url}/")]
        assert (hashlib.sha256(content).hexdigest(), len(content)) == (row.sha256, row.size_bytes)


async def test_a_killed_run_goes_on_here_and_elsewhere_and_buys_nothing_twice(
    make: Callable[..., Any],
    start: Callable[..., Any],
    bucket: Any,
    sandbox: SandboxServer,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    ledger: str,
) -> None:
    """SIGKILL while two clips are being uploaded and two are there and not noted; then two machines go on."""
    held, open_again = threading.Semaphore(0), threading.Event()
    uploads: list[str] = []

    def hold(call: Any) -> int | None:
        """The first two uploads wait before a byte is kept; the others' confirmation waits."""
        if is_clip(call, "PUT"):
            uploads.append(call.name)
        if (is_clip(call, "PUT") and len(uploads) <= 2) or is_clip(call, "HEAD"):
            held.release()
            open_again.wait(60)
            return 503
        return None

    before, out = len(sandbox.bill()), f"{bucket.url}/out"
    bucket.server.answer = hold
    run = start("--ledger", ledger)
    for _ in ROWS:
        assert await asyncio.to_thread(held.acquire, True, 60)
    run.kill()
    run.wait()
    bucket.server.answer = let_in
    open_again.set()
    assert len(bucket.objects("out/videos/")) == 2
    assert not named_clips(bucket), "no manifest names a clip before its row is a success"
    bucket.server.calls.clear()
    with monkeypatch.context() as elsewhere:
        elsewhere.setenv("REELSWEEP_HOME", str(tmp_path / "elsewhere"))
        first = await make(f"{bucket.url}/table.csv", out=out, ledger=ledger, limit=2)
    second = await make(f"{bucket.url}/table.csv", out=out, ledger=ledger)
    assert (first.posts, second.posts, second.counts) == (0, 0, {"success": 4})
    assert len(sandbox.bill()) - before == 4
    assert sum(is_clip(call, "PUT") for call in bucket.server.calls) == 2, "what was there is not sent again"
    assert_whole(bucket, 4)
    assert not [name for name in files_in(tmp_path / "home") if name.endswith(".mp4")]


async def test_a_bucket_that_is_slow_or_down_for_a_while_costs_time_and_nothing_else(
    make: Callable[..., Any], bucket: Any, ledger: str, sandbox: SandboxServer
) -> None:
    """The only slot is free while a clip is on its way; what is refused is tried again."""
    before, refused = len(sandbox.bill()), 0

    def refuse(call: Any) -> int | None:
        """The first upload ends when the next row is bought; then some are refused."""
        nonlocal refused
        until = time.monotonic() + 30
        while len(sandbox.bill()) - before < 2 and is_clip(call, "PUT") and time.monotonic() < until:
            time.sleep(0.02)
        refused += is_clip(call, "PUT") and len(sandbox.bill()) - before >= 2
        return 503 if is_clip(call, "PUT") and refused <= 4 else None

    bucket.server.answer = refuse
    table, began = bucket.put("table.csv", CSV), time.monotonic()
    summary = await make(table, out=f"{bucket.url}/out", ledger=ledger, concurrency=1, canary=0)
    assert time.monotonic() - began < 30, "the slot was held by an upload"
    assert refused > 4
    assert (summary.counts, len(sandbox.bill()) - before) == ({"success": 4}, 4)
    assert_whole(bucket, 4)


async def test_access_lost_in_a_run_stops_it_and_the_next_one_stores_what_was_paid_for(
    make: Callable[..., Any], bucket: Any, ledger: str, sandbox: SandboxServer, tmp_path: Path
) -> None:
    """No more is bought than was under way; clips wait on the desk and go up without a POST."""
    before = len(sandbox.bill())
    bucket.server.answer = lambda call: 403 if is_clip(call, "PUT") else None
    summary = await make(
        bucket.put("table.csv", CSV), out=f"{bucket.url}/out", ledger=ledger, concurrency=1, canary=0
    )
    bought = len(sandbox.bill()) - before
    assert summary.exit_code == 1
    assert "access is denied" in summary.stopped
    assert 1 <= bought < 4
    assert "never-to-be-seen" not in summary.model_dump_json()
    assert sum(name.endswith(".mp4") for name in files_in(tmp_path / "home")) == bought
    bucket.server.answer = let_in
    summary = await make(f"{bucket.url}/table.csv", out=f"{bucket.url}/out", ledger=ledger)
    assert (summary.counts, summary.posts, len(sandbox.bill()) - before) == ({"success": 4}, 4 - bought, 4)
    assert_whole(bucket, 4)


async def test_what_is_wrong_with_a_bucket_is_said_before_anything_is_sent(
    make: Callable[..., Any],
    bucket: Any,
    ledger: str,
    sandbox: SandboxServer,
    monkeypatch: pytest.MonkeyPatch,
    write_table: Callable[..., Path],
) -> None:
    """No ledger, no bucket, no right to write, no credentials: each one line with a remedy, and no POST."""
    before, table = len(sandbox.bill()), bucket.put("table.csv", CSV)
    with pytest.raises(SettingsError, match="cannot hold its ledger") as wrong:
        await make(table, out=f"{bucket.url}/out")
    assert "--ledger" in wrong.value.remedy
    with pytest.raises(OutError, match="no such bucket"):
        await make(table, out="s3://no-such-bucket/out", ledger=ledger)
    bucket.server.answer = lambda call: 403 if call.method == "PUT" else None
    with pytest.raises(OutError, match="access is denied"):
        await make(table, out=f"{bucket.url}/out", ledger=ledger)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    with pytest.raises(OutError, match="no credentials"):
        await make(write_table(ROWS), out=f"{bucket.url}/out", ledger=ledger)
    assert len(sandbox.bill()) == before


async def test_two_machines_share_the_work_through_one_database(
    make: Callable[..., Any],
    start: Callable[..., Any],
    bucket: Any,
    sandbox: SandboxServer,
    postgres: Callable[[], str],
) -> None:
    """Each has a desk of its own; every row is bought once, and the manifest has what both made."""
    before, ledger = len(sandbox.bill()), postgres()
    sandbox.control(Script(duration_s=3))  # on a busy machine the second comes seconds later
    other = start("--ledger", ledger, "--concurrency", "1", home="elsewhere")
    deadline = time.monotonic() + 60
    while len(sandbox.bill()) == before and time.monotonic() < deadline:
        await asyncio.sleep(0.05)
    summary = await make(
        f"{bucket.url}/table.csv", out=f"{bucket.url}/out", ledger=ledger, concurrency=1, canary=0
    )
    assert await asyncio.to_thread(other.wait, 60) == 0
    assert (summary.counts, len(sandbox.bill()) - before) == ({"success": 4}, 4)
    assert 0 < summary.posts < 4
    assert_whole(bucket, 4)


async def test_evidence_and_commands_follow_the_results_into_the_bucket(
    make: Callable[..., Any],
    bucket: Any,
    ledger: str,
    write_table: Callable[..., Path],
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A transcript is uploaded and found there; status, show and a ledger made anew work on the URL."""
    table, out = write_table([{"prompt": "[[fault=cut]]", "prompt_id": "lost"}]), f"{bucket.url}/out"
    summary = await make(table, out=out, ledger=ledger)
    assert summary.counts == {"unknown": 1}
    transcript = read_attempts(out)["transcript"][0]
    assert transcript.startswith(f"{out}/transcripts/")
    assert bucket.objects()[transcript.removeprefix(f"{bucket.url}/")]
    assert (await asyncio.to_thread(status_of, out, ledger))["counts"] == {"unknown": 1}
    with pytest.raises(SettingsError, match="cannot hold its ledger"):
        await asyncio.to_thread(status_of, out)
    anew = f"{ledger}.new"
    capsys.readouterr()
    assert await asyncio.to_thread(partial(reconcile, out, ledger=anew, rebuild=True, json=True)) == 1
    rebuilt = json.loads(capsys.readouterr().out)
    assert (rebuilt["rows"], rebuilt["attempts"], rebuilt["unknown"]) == (1, 1, 1)
    with pytest.raises(OutError, match="belongs to another ledger"):
        await asyncio.to_thread(status_of, out, ledger)
    await asyncio.to_thread(partial(show, out, "lost", ledger=anew, json=True))
    assert json.loads(capsys.readouterr().out)["rows"][0]["transcripts"] == [transcript]
