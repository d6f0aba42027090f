"""`--accept`: fresh candidates for what the content checks reject, the same ones however the run goes."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from reelsweep.prompts.errors import SettingsError
from reelsweep.tasks.sandbox.script import FaultRate, Script
from reelsweep.tasks.sandbox.server import SandboxServer

CLI = (sys.executable, "-m", "reelsweep.flows.cli")
SPOILT = Script(
    rates=(FaultRate(fault="clip_black", rate=0.5),),
    fault_seed=3,
    size="64x64",
    seconds=0.5,
    jitter=1,
)
"""Which clips are spoilt depends on the request alone, so any run must come to the same set."""
TABLE = pd.DataFrame({"prompt": ["a red kite", "a paper boat"], "seed": ["1,2"] * 2})
WANTED = {"accept": 3, "candidates": 14, "canary": 0}


def made(frame: pd.DataFrame) -> list[tuple[Any, ...]]:
    """Which candidates were made of which prompt, and what was thought of them."""
    told = frame[["prompt", "candidate_idx", "seed", "status", "accepted", "reject_reason", "file_name"]]
    names = told["file_name"].map(lambda name: name if pd.isna(name) else Path(name).name)
    return list(told.assign(file_name=names).astype("string").fillna("").itertuples(index=False, name=None))


async def test_rejected_rows_are_made_up_by_fresh_ones_whatever_the_concurrency(
    make: Callable[..., Any], sandbox: SandboxServer, tmp_path: Path
) -> None:
    """The first three of each prompt that pass, in their order: never the three that were fastest."""
    sandbox.control(SPOILT)
    one = await make(TABLE, **WANTED, out=str(tmp_path / "one"), concurrency=1)
    many = await make(TABLE, **WANTED, out=str(tmp_path / "many"), concurrency=16)
    frame = many.frame()
    assert frame.groupby("prompt")["accepted"].sum().tolist() == [3, 3]
    assert frame.groupby("prompt")["accepted"].last().tolist() == [True, True]
    assert (many.num_short, many.accepted, many.exit_code) == (0, 6, 0)
    assert many.posts == len(frame) > 6
    assert made(frame) == made(one.frame())


async def test_a_run_that_was_stopped_goes_on_to_the_same_set_and_then_buys_nothing(
    make: Callable[..., Any], sandbox: SandboxServer, tmp_path: Path
) -> None:
    """Cut into pieces, by POSTs and by rows, it ends where one run ends, and then sends nothing more."""
    sandbox.control(SPOILT)
    whole = await make(TABLE, **WANTED, out=str(tmp_path / "whole"))
    pieces = [await make(TABLE, **WANTED, max_posts=4), await make(TABLE, **WANTED, limit=3)]
    pieces += [await make(TABLE, **WANTED) for _ in range(2)]
    assert sum(piece.posts for piece in pieces) == whole.posts
    assert [piece.posts for piece in pieces][:2] == [4, 3]
    assert pieces[-1].posts == 0
    assert made(pieces[-1].frame()) == made(whole.frame())


async def test_a_killed_run_goes_on_to_the_same_set(
    make: Callable[..., Any], sandbox: SandboxServer, tmp_path: Path
) -> None:
    """SIGKILL in the middle, then the same options: what is accepted is what one run would have accepted."""
    sandbox.control(SPOILT)
    whole = await make(TABLE, **WANTED, out=str(tmp_path / "whole"))
    TABLE.to_csv(tmp_path / "table.csv", index=False)
    before = len(sandbox.bill())
    options = ["--accept", "3", "--candidates", "14", "--canary", "0", "--concurrency", "2", "--yes"]
    run = subprocess.Popen(
        [*CLI, "run", "table.csv", "--out", "cut", "--gateway", sandbox.base_url, *options],
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while len(sandbox.bill()) < before + 4 and run.poll() is None:
        await asyncio.sleep(0.02)
    run.send_signal(signal.SIGKILL)
    assert run.wait() == -signal.SIGKILL
    continued = await make(TABLE, **WANTED, out=str(tmp_path / "cut"), on_unknown="resubmit")
    assert 0 < continued.posts < whole.posts
    assert made(continued.frame()) == made(whole.frame())


async def test_rejects_stay_and_no_more_than_the_candidates_are_made(make: Callable[..., Any]) -> None:
    """Where too little is accepted the run ends, says who is short, and keeps rejects with their reasons."""
    table = pd.DataFrame({"prompt": ["a fox [[fault=clip_twin]]", "a kite"]})
    summary = await make(table, accept=2)
    frame = summary.frame().sort_values(["prompt", "candidate_idx"])
    assert frame["accepted"].tolist() == [True, False, False, False, True, True]
    assert frame["candidate_idx"].tolist() == [0, 1, 2, 3, 0, 1]
    assert (summary.num_short, summary.rejected, summary.exit_code) == (1, {"near_duplicate": 3}, 0)
    assert list(summary.acceptance.values()) == [(1, 4)]
    assert frame["near_duplicate_of"].dropna().unique().tolist() == [frame["request_fingerprint"].iloc[0]]


@pytest.mark.parametrize("fault", ["refused_input", "400"])
async def test_a_request_that_is_wrong_itself_is_not_asked_again(
    make: Callable[..., Any], fault: str
) -> None:
    """A fresh seed would be refused as well: nothing is made beyond what was open already."""
    summary = await make(pd.DataFrame({"prompt": [f"a kite [[fault={fault}]]"]}), accept=2, candidates=9)
    assert (summary.posts, summary.num_short) == (2, 1)


async def test_the_budget_holds_for_fresh_candidates_too(
    make: Callable[..., Any], sandbox: SandboxServer
) -> None:
    """Top-ups are bought within the budget, and a later run with more money goes on with them."""
    sandbox.control(Script(rates=(FaultRate(fault="clip_black", rate=0.5),), fault_seed=2))
    table = pd.DataFrame({"prompt": ["a kite"]})
    poor = await make(table, accept=3, candidates=20, price="1", budget="4", set_={"seed": "1"})
    rich = await make(table, accept=3, candidates=20, price="1", budget="40", set_={"seed": "1"})
    assert (poor.posts, poor.exit_code, poor.cost_usd) == (4, 3, 4.0)
    assert (rich.num_short, rich.accepted, rich.exit_code) == (0, 3, 0)
    assert rich.posts > 0


async def test_what_another_out_of_the_ledger_has_made_is_judged_too(
    make: Callable[..., Any], sandbox: SandboxServer, tmp_path: Path
) -> None:
    """A second OUT over the same ledger comes to the same candidates at once, and buys none of them again."""
    sandbox.control(SPOILT)
    shared = f"sqlite:///{tmp_path / 'shared.db'}"
    one = await make(TABLE, **WANTED, out=str(tmp_path / "one"), ledger=shared)
    two = await make(TABLE, **WANTED, out=str(tmp_path / "two"), ledger=shared)
    assert (two.posts, two.num_short, two.planned) == (0, 0, one.planned)


async def test_rows_that_ask_for_the_same_share_their_fresh_candidates(
    make: Callable[..., Any], sandbox: SandboxServer, tmp_path: Path
) -> None:
    """Topped up in the run they get the lines that a later run plans: none is lost, none comes twice."""
    sandbox.control(SPOILT)
    table = pd.DataFrame({"prompt": ["a red kite", "a paper boat", "a red kite"], "seed": ["1,2"] * 3})
    options = {**WANTED, "out": str(tmp_path / "twice"), "checks": "-near_duplicate"}
    first, again = await make(table, **options), await make(table, **options)
    frame = again.frame()
    assert (again.posts, again.planned, len(frame)) == (0, first.planned, first.planned)
    assert first.posts == frame["request_fingerprint"].nunique()
    kites = frame[frame["prompt"] == "a red kite"].groupby("request_fingerprint").size()
    assert set(kites) == {2}
    assert len(kites) > 3


async def test_candidates_need_a_goal_they_can_reach(make: Callable[..., Any]) -> None:
    """`--candidates` without `--accept`, or below it, is refused before anything is sent."""
    with pytest.raises(SettingsError, match=r"--candidates: got 2, expected at least --accept 3"):
        await make(TABLE, accept=3, candidates=2)
    with pytest.raises(SettingsError, match=r"--candidates: got 2, expected --accept N beside it"):
        await make(TABLE, candidates=2)
