"""Every fault of the sandbox, from the table to the exit code: status, POSTs, bill and what is on disk."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from reelsweep.tasks.sandbox.faults import FAULTS
from reelsweep.tasks.sandbox.script import Script
from reelsweep.tasks.sandbox.server import SandboxServer

LONG_BACKOFF_S = 0.2


@dataclass(frozen=True, kw_only=True)
class Case:
    """A fault with its settings, and what a run of one row that meets it comes to."""

    status: str
    posts: int = 1
    exit_code: int = 0
    settings: str = ""
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])


GOOD = Case(status="success")
TWICE = Case(status="success", posts=2, settings="times=1 retry_after=1")
NEVER = Case(status="failed")
STOP = Case(status="planned", exit_code=3)
HOLD = Case(status="unknown", exit_code=1)
LATER = Case(status="failed", posts=2, exit_code=1, options={"max_attempts": 2})
REFUSED = Case(status="refused")
INVALID = Case(status="invalid_output")
MISSING = Case(status="failed_to_download", exit_code=1, options={"download_timeout": 2})

CASES: dict[str, Case] = {
    "429": TWICE,
    "429_saturated": Case(status="success", posts=2, settings="times=1"),
    **dict.fromkeys(("quota", "quota_403", "401", "402", "403", "403_model"), STOP),
    **dict.fromkeys(("400", "404", "400_in_500", "503_model", "redirect"), NEVER),
    **dict.fromkeys(("500_known", "503", "no_tokens"), LATER),
    **dict.fromkeys(("500", "502", "504", "reset", "reset_accepted", "html", "empty"), HOLD),
    **dict.fromkeys(("cut_first", "cut", "eof"), HOLD),
    "silence": Case(status="unknown", exit_code=1, settings="s=60", options={"idle_timeout": 1}),
    **dict.fromkeys(("heavy_load", "gen_timeout", "bare_error", "task_failed"), HOLD),
    "task_404": Case(status="unknown", exit_code=1, options={"stream_timeout": "2s"}),
    **dict.fromkeys(("slow_headers", "task_slow", "video_slow"), Case(status="success", settings="s=0.5")),
    **dict.fromkeys(("plain", "no_done", "no_finish", "glued", "done_typo", "broken_json"), GOOD),
    **dict.fromkeys(("cut_task", "cut_url", "ack"), GOOD),
    "task_error": Case(status="success", settings="times=1"),
    **dict.fromkeys(("refused_400", "refused_input", "refused_output"), REFUSED),
    **dict.fromkeys(("refused_likeness", "content_filter"), REFUSED),
    "no_video": NEVER,
    **dict.fromkeys(("video_500", "video_cut", "video_no_range", "video_changed", "video_bad_range"), GOOD),
    **dict.fromkeys(("video_404", "video_expired", "video_short", "video_empty"), MISSING),
    **dict.fromkeys(("video_bomb", "video_loop", "video_elsewhere", "private_url"), MISSING),
    **dict.fromkeys(("video_corrupt", "video_truncated", "video_no_moov", "video_html"), INVALID),
    **dict.fromkeys(("video_ffconcat", "video_sdp", "video_hls"), INVALID),
    **dict.fromkeys(("clip_black", "clip_frozen", "clip_silent", "clip_size"), GOOD),
    **dict.fromkeys(("clip_short", "clip_fps", "clip_twin"), GOOD),
}
"""By DESIGN's table of outcomes; a fault without a line here fails its test."""


@pytest.mark.parametrize("name", FAULTS)
async def test_a_fault_ends_as_the_table_says(
    name: str,
    make: Callable[..., Any],
    sandbox: SandboxServer,
    write_profile: Callable[..., str],
    loopback_only: list[str],
    tmp_path: Path,
) -> None:
    """Status, POSTs and exit code follow from the fault; the bill holds what the gateway took, once."""
    case, before = CASES[name], len(sandbox.bill())
    profile = write_profile(base_url=sandbox.base_url, long_backoff_s=LONG_BACKOFF_S)
    table = pd.DataFrame({"prompt": [f"a red kite [[fault={name} {case.settings}]]"]})
    summary = await make(table, gateway=profile, **case.options)
    row = summary.frame().iloc[0]
    assert (row["status"], summary.posts, summary.exit_code) == (case.status, case.posts, case.exit_code)
    refunded = case.posts - 1 if case.status == "success" else 0
    taken = case.posts - refunded if FAULTS[name].accepted or case.status == "success" else 0
    assert len(sandbox.bill()) - before == taken
    assert loopback_only == []
    assert _has_clip(tmp_path / "out") == (case.status == "success")
    assert pd.notna(row["error_type"]) == (case.status != "success")


def _has_clip(out: Path) -> bool:
    return any((out / "videos").rglob("*.mp4"))


def test_every_fault_has_its_case() -> None:
    """No fault is left out, and the sandbox's own words on a file agree with what is expected of it."""
    assert set(CASES) == set(FAULTS)
    said = {name: kind.ends for name, kind in FAULTS.items() if kind.stage == "download"}
    assert said == {name: CASES[name].status for name in said}


async def test_a_refunded_row_is_sent_again_by_the_next_run(
    make: Callable[..., Any], sandbox: SandboxServer, write_profile: Callable[..., str]
) -> None:
    """What failed unbilled is bought by the same command later; what was refused or is unknown is not."""
    profile = write_profile(base_url=sandbox.base_url, long_backoff_s=LONG_BACKOFF_S)
    faults = ["503 times=2", "refused_input", "cut", "400"]
    table = pd.DataFrame({"prompt": [f"a kite [[fault={fault}]]" for fault in faults]})
    first = await make(table, gateway=profile, max_attempts=2, canary=0)
    assert first.frame()["status"].tolist() == ["failed", "refused", "unknown", "failed"]
    second = await make(table, gateway=profile, max_attempts=5, canary=0)
    assert second.frame()["status"].tolist() == ["success", "refused", "unknown", "failed"]
    assert (first.posts, second.posts) == (5, 1)


async def test_a_missing_file_is_fetched_by_the_next_run_without_a_post(
    make: Callable[..., Any], sandbox: SandboxServer
) -> None:
    """A clip that could not be fetched stays paid for: the next run fetches it and buys nothing."""
    table = pd.DataFrame({"prompt": ["a kite [[fault=video_500 times=3]]"]})
    first = await make(table, download_timeout=2)
    second = await make(table)
    assert [*first.counts, *second.counts] == ["failed_to_download", "success"]
    assert (first.posts, second.posts, second.exit_code) == (1, 0, 0)


@pytest.mark.parametrize(
    ("idempotency", "counts", "num_billed"), [("honour", {"success": 2}, 2), ("ignore", {"unknown": 2}, 4)]
)
async def test_a_held_row_is_bought_again_only_when_asked(
    make: Callable[..., Any],
    sandbox: SandboxServer,
    idempotency: Any,
    counts: dict[str, int],
    num_billed: int,
) -> None:
    """`--on-unknown resubmit` sends a cut row once more under its key, which gives the first job back where
    the gateway honours it; a third time nothing is sent."""
    sandbox.control(Script(idempotency=idempotency))
    before = len(sandbox.bill())
    table = pd.DataFrame({"prompt": ["a kite [[fault=cut]]", "another [[fault=eof]]"]})
    held = await make(table, canary=0)
    again = await make(table, canary=0, on_unknown="resubmit")
    third = await make(table, canary=0, on_unknown="resubmit")
    assert (held.counts, again.counts) == ({"unknown": 2}, counts)
    assert (held.posts, again.posts, third.posts) == (2, 2, 0)
    assert len(sandbox.bill()) - before == num_billed
    attempts = pd.read_parquet(Path(held.out) / "attempts.parquet")
    assert attempts.groupby("request_fingerprint")["idempotency_key"].nunique().tolist() == [1, 1]


async def test_transcripts_of_what_did_not_succeed_are_kept(make: Callable[..., Any]) -> None:
    """The raw body of a cut stream and of a refusal is named in attempts.parquet and is there."""
    faults = ["cut", "refused_input"]
    table = pd.DataFrame({"prompt": [f"a kite [[fault={fault}]]" for fault in faults]})
    summary = await make(table, canary=0)
    attempts = pd.read_parquet(Path(summary.out) / "attempts.parquet")
    kept = [Path(summary.out) / "transcripts" / name for name in attempts["transcript"]]
    assert [_num_bytes(path) > 0 for path in kept] == [True, True]


def _num_bytes(path: Path) -> int:
    return path.stat().st_size
