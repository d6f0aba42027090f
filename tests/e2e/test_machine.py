"""A machine that changes under a run: its clock, its disk, its mounts, a file taken away by hand."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from reelsweep.prompts.errors import OutError
from reelsweep.tasks.gallery.write import write_gallery
from reelsweep.tasks.manifest.read import read_manifest

TABLE = pd.DataFrame({"prompt": ["one", "two", "three"], "seed": [1, 2, 3]})
MOUNTS = "36 35 98:0 / {} rw,noatime - nfs4 server:/export rw\n"


@pytest.fixture
def gateway(own_gateway: Any, respond: Callable[..., bytes], clip: bytes) -> Any:
    """Sells a clip for every POST; `on_post(number)` is called before the answer."""
    own_gateway.on_post = lambda _number: None

    def answer(asked: Any) -> bytes:
        if asked.method == "GET":
            return respond(clip, content_type="video/mp4")
        own_gateway.on_post(len(own_gateway.posts))
        text = f"[video]({own_gateway.origin}/clip.mp4)"
        event = {"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": "stop"}]}
        return respond(f"data: {json.dumps(event)}\n\ndata: [DONE]\n\n".encode())

    own_gateway.answer = answer
    return own_gateway


async def test_a_clock_that_jumps_costs_nothing(
    make: Callable[..., Any], gateway: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Set back a day, then three forward, in mid-run: nobody is taken for dead, no row is bought twice."""
    now = datetime(2026, 3, 8, 12, tzinfo=UTC)

    def jump(number: int) -> None:
        nonlocal now
        now += timedelta(days={1: -1, 2: 3}.get(number, 0))

    monkeypatch.setattr("reelsweep.tasks.ledger.ledger.utc_now", lambda: now)
    gateway.on_post = jump
    summary = await make(TABLE, gateway=gateway.base_url, concurrency=1, price="0.10", budget="0.30")
    again = await make(TABLE, gateway=gateway.base_url, price="0.10", budget="0.30")
    assert (summary.counts, summary.exit_code, summary.cost_usd) == ({"success": 3}, 0, 0.3)
    assert (again.posts, len(gateway.posts)) == (0, 3)
    attempts = pd.read_parquet(Path(summary.out) / "attempts.parquet")
    assert attempts["sent_at"].dt.day.tolist() == [8, 7, 10]


async def test_a_network_file_system_needs_a_ledger_elsewhere(
    make: Callable[..., Any], gateway: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Refused before anything is sent, naming --ledger; with one on this disk the run is as usual."""
    (tmp_path / "share").mkdir()
    mounts = MOUNTS.format(tmp_path / "share")
    monkeypatch.setattr("reelsweep.tasks.ledger.place._read_mounts", lambda: mounts)
    out = str(tmp_path / "share" / "out")
    with pytest.raises(OutError, match=r"network file system \(nfs4\).*--ledger"):
        await make(TABLE, gateway=gateway.base_url, out=out)
    assert gateway.asked == []
    ledger = f"sqlite:///{tmp_path / 'ledger.db'}"
    summary = await make(TABLE, gateway=gateway.base_url, out=out, ledger=ledger)
    assert (summary.counts, len(gateway.posts)) == ({"success": 3}, 3)


async def test_an_fsync_that_fails_loses_nothing(
    make: Callable[..., Any], gateway: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No more is bought than what can be kept; on a sound disk the paid clip comes without a POST."""
    fsync = os.fsync

    def fail(descriptor: int) -> None:
        if "/.part/" in os.readlink(f"/proc/self/fd/{descriptor}"):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", fail)
    broken = await make(TABLE, gateway=gateway.base_url, concurrency=1)
    assert (broken.exit_code, len(gateway.posts)) == (1, 1)
    assert "Input/output error. Mend the disk, then run the same command again." in broken.stopped
    assert "success" not in broken.counts
    monkeypatch.setattr(os, "fsync", fsync)
    mended = await make(TABLE, gateway=gateway.base_url, concurrency=1)
    assert (mended.counts, mended.exit_code, len(gateway.posts)) == ({"success": 3}, 0, 3)


async def test_a_manifest_deleted_by_hand_during_a_run_is_whole_at_its_end(
    make: Callable[..., Any], gateway: Any, tmp_path: Path
) -> None:
    """The ledger knows everything: the files are there again, and no row is missing."""
    out = tmp_path / "out"
    await make(TABLE[:1], gateway=gateway.base_url)

    def delete(_number: int) -> None:
        for path in out.glob("*.parquet"):
            path.unlink()

    gateway.on_post = delete
    summary = await make(TABLE, gateway=gateway.base_url)
    assert (summary.counts, len(gateway.posts)) == ({"success": 3}, 3)
    frame = read_manifest(out)
    assert sorted(frame["seed"]) == [1, 2, 3]
    assert all(Path(name).is_file() for name in frame["file_name"])
    assert {path.name for path in out.glob("*.parquet")} >= {"attempts.parquet", "plan.parquet"}


async def test_a_manifest_deleted_while_the_page_is_drawn_is_written_again(
    make: Callable[..., Any], gateway: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the writing of the tables and the page made from them, of a refresh and of the last one."""
    out, drawn = tmp_path / "out", list[bool]()

    def draw(*arguments: Any, running: bool, **options: Any) -> None:
        if running not in drawn:
            (out / "manifest.parquet").unlink()
        drawn.append(running)
        write_gallery(*arguments, running=running, **options)

    monkeypatch.setattr("reelsweep.flows.out.gallery.write_gallery", draw)
    summary = await make(TABLE, gateway=gateway.base_url)
    assert (summary.counts, summary.exit_code, len(gateway.posts)) == ({"success": 3}, 0, 3)
    assert drawn == [True, False, False]
    assert sorted(read_manifest(out)["seed"]) == [1, 2, 3]
    assert (out / "index.html").is_file()
