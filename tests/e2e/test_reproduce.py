"""`reproduce` against a gateway that honours seeds, ignores them, or drifts."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from reelsweep.flows.bulk import bulk
from reelsweep.flows.commands.reproduce import reproduce as reproduce_command
from reelsweep.flows.commands.spending import SpendingFlags
from reelsweep.flows.options import RunOptions
from reelsweep.flows.reproduce import reproduce
from reelsweep.flows.reproduction.repetition import draw_repetition
from reelsweep.flows.reproduction.reproducing import Reproduction
from reelsweep.flows.server import ServerInUse
from reelsweep.flows.summary import RunStopped
from reelsweep.prompts.errors import UsageError
from reelsweep.tasks.manifest.read import read_manifest
from reelsweep.tasks.sandbox.script import Script
from reelsweep.tasks.sandbox.server import SandboxServer

Make = Callable[..., Any]
PROMPTS = pd.DataFrame({"prompt": ["a red kite", "a blue kite"], "size": "96x64", "seconds": "0.5"})
WORDS = ("bit-identical", "frame-identical", "near", "different")


def pairs(found: Reproduction) -> Mapping[str, int]:
    """Pairs by verdict, whoever made them."""
    return {
        word: total
        for word in WORDS
        if (total := sum(verdict[word]["pairs"] for verdict in found.verdicts))  # type: ignore[index]
    }


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        (Script(), {"bit-identical": 2}),
        (Script(seed="ignored"), {"different": 2}),
        (Script(fingerprint="drifting", drift_every=4, drift_changes_clips=True), {"near": 2}),
    ],
    ids=["honoured", "ignored", "drifting"],
)
async def test_a_sample_made_again_is_told_apart(
    make: Make, sandbox: SandboxServer, tmp_path: Path, script: Script, expected: Mapping[str, int]
) -> None:
    """The same request again: the same clip, another one, or nearly the same after a drift."""
    sandbox.control(script)
    await make(PROMPTS, seeds="0-1")
    found = await reproduce(str(tmp_path / "out"), sample="50%", gateway=sandbox.base_url)
    assert (found.population, found.sampled, found.run and found.run.posts) == (4, 2, 2)
    assert (pairs(found), found.exit_code) == (expected, 0)
    table = pd.read_parquet(found.report)
    assert set(table["verdict"]) == set(expected)
    drifted = table["system_fingerprint"] != table["again_system_fingerprint"]
    assert drifted.all() == script.drift_changes_clips


async def test_repetitions_are_rows_beside_the_plan(
    make: Make, sandbox: SandboxServer, tmp_path: Path
) -> None:
    """Bought once: a second call buys nothing, a larger sample the rest, the table's samples none again."""
    out = tmp_path / "out"
    await make(PROMPTS, seeds="0-1", price="0.10")
    again = {"gateway": sandbox.base_url, "price": "0.10"}
    first = await reproduce(str(out), sample="2", **again)
    assert first.run and (first.run.posts, first.run.cost_usd) == (2, pytest.approx(0.6))
    manifest = read_manifest(out)
    beside = manifest[~manifest["in_plan"]]
    assert (beside["sample_idx"].tolist(), beside["status"].tolist()) == ([1, 1], ["success"] * 2)
    assert (await reproduce(str(out), sample="2", **again)).run is None
    larger = await reproduce(str(out), sample="100%", **again)
    assert larger.run and (larger.made_before, larger.run.posts, pairs(larger)) == (
        2,
        2,
        {"bit-identical": 4},
    )
    grown = await make(PROMPTS, seeds="0-1", samples=2, price="0.10")
    assert (grown.posts, grown.counts) == (0, {"success": 8})
    fresh = await reproduce(str(out), sample="1", fresh="1h", **again)
    assert fresh.run is None  # the repetition is minutes old


async def test_a_budget_stops_repetitions_as_it_stops_a_run(
    make: Make, sandbox: SandboxServer, tmp_path: Path
) -> None:
    """It counts what the table has cost; what came is compared, the rest is made when there is more."""
    out = str(tmp_path / "out")
    await make(PROMPTS, seeds="0-1", price="0.10")
    again = {"gateway": sandbox.base_url, "price": "0.10", "sample": "100%"}
    with pytest.raises(RunStopped, match="budget") as stopped:
        await reproduce(out, budget="0.60", **again)
    assert (stopped.value.summary.posts, stopped.value.summary.exit_code) == (2, 3)
    assert pd.read_parquet(Path(out) / "reproduction.parquet")["verdict"].value_counts().to_dict() == {
        "bit-identical": 2,
        "open": 2,
    }
    rest = await reproduce(out, budget="0.80", **again)
    assert rest.run and (rest.run.posts, pairs(rest)) == (2, {"bit-identical": 4})


async def test_texts_are_reproduced_too(make: Make, sandbox: SandboxServer, tmp_path: Path) -> None:
    """Word for word, for a text model that honours its seed."""
    table = pd.DataFrame({"prompt": ["Tell of a kite.", "Tell of a boat."]})
    await make(table, seeds="0-1", output="text", model="sandbox-text")
    found = await reproduce(str(tmp_path / "out"), sample="2", gateway=sandbox.base_url)
    assert pairs(found) == {"bit-identical": 2}


def test_the_sample_and_its_price_come_first(
    prefect: ServerInUse, sandbox: SandboxServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without a terminal a real gateway needs a word more; then the verdicts, and as JSON nothing else."""
    out = str(tmp_path / "out")
    asyncio.run(bulk(PROMPTS, out=out, gateway=sandbox.base_url, limit=1))
    flags = SpendingFlags(gateway=sandbox.base_url, price="0.10")
    with pytest.raises(UsageError, match="--yes"):
        reproduce_command(out, sample="1", flags=flags)
    asked = capsys.readouterr().err
    assert "1 of 1 requests" in asked
    assert "0.10 USD at 0.10" in asked
    assert reproduce_command(out, sample="1", flags=replace(flags, budget="1"), json=True) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["posts"], document["verdicts"][0]["different"]["pairs"]) == (1, 1)
    assert reproduce_command(out, sample="1", flags=flags) == 0
    shown = capsys.readouterr().out
    assert "no seed: 1 pair compared" in shown
    assert "different           1    21% to 100%" in shown
    assert "0 POSTs now" in shown


async def test_what_cannot_be_reproduced_is_said_before_anything_is_sent(make: Make, tmp_path: Path) -> None:
    """One line with what was got, whatever is wrong."""
    out, options = tmp_path / "out", RunOptions(gateway="")
    await make(PROMPTS, limit=0)
    for wrong, said in (
        ({"out": tmp_path / "nowhere"}, "no output folder"),
        ({"sample": "0"}, "--sample: got '0'"),
        ({"sample": "2.5"}, "--sample: got '2.5'"),
        ({"fresh": "soon"}, "--fresh: got 'soon'"),
        ({}, "no row that succeeded"),
    ):
        with pytest.raises(UsageError, match=said):
            await asyncio.to_thread(
                draw_repetition, **{"out": out, "sample": "1", "options": options, **wrong}
            )
    await make(PROMPTS, limit=1)
    elsewhere = RunOptions(gateway="https://other.example.com")
    with pytest.raises(
        UsageError, match=r"was made by https://other\.example\.com; it holds rows of http://127"
    ):
        await asyncio.to_thread(draw_repetition, out, elsewhere, sample="1")
