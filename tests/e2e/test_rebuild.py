"""`reconcile --rebuild`: a lost ledger comes back from the files, and nothing final is bought again."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from reelsweep.flows.commands import reconcile as command
from reelsweep.flows.commands.show import show
from reelsweep.flows.options import RunOptions
from reelsweep.flows.out.places import find_out
from reelsweep.flows.recovery.rebuild import rebuild
from reelsweep.flows.reproduction.repetition import draw_repetition
from reelsweep.prompts.errors import OutError
from reelsweep.tasks.ledger.ledger import Ledger
from reelsweep.tasks.ledger.records import RunRecord
from reelsweep.tasks.manifest.outfile import read_out, write_out
from reelsweep.tasks.manifest.read import read_attempts, read_facts, read_manifest
from reelsweep.tasks.sandbox.script import Script
from reelsweep.tasks.sandbox.server import SandboxServer

SAME_AGAIN = {"run_id", "created_at", "started_at", "plan_hash", "code_version"}
"""Columns that a rebuilt ledger may tell otherwise."""


def lose(out: Path, *, ended: bool = True) -> None:
    """Lose the ledger, after a run that ended by itself or did not."""
    for path in out.glob("ledger.db*"):
        path.unlink()
    facts = read_out(out)
    assert facts is not None
    write_out(out, facts.model_copy(update={"ended": ended}))


async def reconcile(out: Path, **options: Any) -> int:
    return await asyncio.to_thread(command.reconcile, str(out), **options)


async def test_a_lost_ledger_comes_back_and_buys_nothing_again(
    make: Callable[..., Any], tmp_path: Path
) -> None:
    """Every row, clip, refusal and dollar is as it was; rows that were bought once stay bought."""
    out = tmp_path / "out"
    table = pd.DataFrame(
        {
            "prompt": ["one", "two", "two", "bad [[fault=refused_400]]", "wrong [[fault=400]]"],
            "seed": [1, 2, 2, 4, 5],
            "label": ["a", "b", "c", None, "e"],
        }
    )
    first = await make(pd.concat([table, pd.DataFrame({"prompt": ["left"], "seed": [9]})]), price="0.10")
    await make(table, price="0.10")
    before = read_manifest(out)
    before_facts = read_facts(out)
    old = read_out(out)
    lose(out)
    with pytest.raises(OutError, match=r"reconcile .* --rebuild"):
        await make(table, price="0.10")
    assert await reconcile(out, rebuild=True) == 0
    assert {**read_facts(out), "ledger_id": ""} == {**before_facts, "ledger_id": ""}, "what made it is known"
    after = read_manifest(out)
    kept = [name for name in before.columns if name not in SAME_AGAIN]
    pd.testing.assert_frame_equal(after[kept], before[kept])
    new = read_out(out)
    assert old is not None
    assert new is not None
    assert (new.out_id, new.ledger_id != old.ledger_id) == (old.out_id, True)
    again = await make(table, price="0.10")
    assert (first.posts, again.posts, again.counts) == (5, 0, {"failed": 1, "refused": 1, "success": 3})
    assert read_manifest(out)["cost_usd"].sum() == before["cost_usd"].sum()


@pytest.mark.parametrize("price", [None, "0.25"])
async def test_what_may_have_been_sent_counts_against_the_budget(
    price: str | None, make: Callable[..., Any], tmp_path: Path
) -> None:
    """Held rows reserve the price that is given, else the dearest that the files know of."""
    out = tmp_path / "out"
    table = pd.DataFrame({"prompt": ["one", "two", "three"], "seed": [1, 2, 3]})
    await make(table, max_posts=1, price="0.10")
    lose(out, ended=False)
    assert await reconcile(out, rebuild=True, price=price) == 1
    assert read_manifest(out)["reserved_usd"].sum() == pytest.approx(0.2 if price is None else 0.5)
    more = pd.concat([table, pd.DataFrame({"prompt": ["four"], "seed": [4]})])
    assert (await make(more, price="0.10", budget="0.35")).counts["skipped_budget"] == 1


async def test_after_a_crash_what_is_not_final_is_held(
    make: Callable[..., Any], sandbox: SandboxServer, tmp_path: Path
) -> None:
    """Rows that may have been sent since are `unknown`; bought again only when that is asked for."""
    out = tmp_path / "out"
    table = pd.DataFrame({"prompt": ["one", "two", "three"], "seed": [1, 2, 3]})
    await make(table, max_posts=1)
    lose(out, ended=False)
    before = len(sandbox.bill())
    assert await reconcile(out, rebuild=True) == 1
    held = await make(table)
    assert (held.posts, held.counts) == (0, {"success": 1, "unknown": 2})
    asked = await make(table, on_unknown="resubmit")
    assert (asked.counts, len(sandbox.bill()) - before) == ({"success": 3}, 2)


def published(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in out.glob("*.parquet")}


@pytest.mark.parametrize(
    ("manifest", "attempts"), [(0, 1), (1, 0), (1, None), (None, 1)], ids=lambda at: f"{at}"
)
async def test_files_of_two_moments_buy_nothing_again(
    manifest: int | None,
    attempts: int | None,
    make: Callable[..., Any],
    sandbox: SandboxServer,
    tmp_path: Path,
) -> None:
    """Whichever of manifest and attempts is older or gone, no key that was sold is sent again."""
    out = tmp_path / "out"
    table = pd.DataFrame({"prompt": ["one", "two", "no [[fault=refused_400]]", "[[fault=cut]]"], "seed": 1})
    await make(table[:1])
    moments = [published(out)]
    await make(table)
    moments.append(published(out))
    lose(out)
    for path in out.glob("*.parquet"):
        path.unlink()
    for moment, names in ((manifest, ("manifest", "plan", "metadata")), (attempts, ("attempts",))):
        for name in names if moment is not None else ():
            (out / f"{name}.parquet").write_bytes(moments[moment][f"{name}.parquet"])
    before = len(sandbox.bill())
    with pytest.raises(OutError, match=r"reconcile .* --rebuild"):
        await make(table)
    await reconcile(out, rebuild=True)
    if attempts == 1:
        sent = {row["attempt_id"] for row in read_attempts(out).to_dict("records")}
        assert len(sent) == 4, "what is published anew names every POST still"
    again = await make(table)
    assert (again.posts, len(sandbox.bill()) - before) == (0, 0)
    counts = {"success": 2, "refused": 1, "unknown": 1}
    if attempts == 1:  # the link of a clip that is known by its POST alone is not kept
        counts |= {"success": 1 + (manifest == 1) - (manifest is None)}
        counts |= {"failed_to_download": 2 - counts["success"]}
    assert {name: number for name, number in counts.items() if number} == again.counts
    goes_on = await make(pd.concat([table, pd.DataFrame({"prompt": ["new"], "seed": [1]})]))
    assert (goes_on.posts, len(sandbox.bill()) - before) == (1, 1)


async def test_a_request_that_is_known_in_part_is_not_asked_for_until_a_plan_completes_it(
    make: Callable[..., Any], sandbox: SandboxServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Lists stand in no column: `show` and `reproduce` say so, and the next run mends it and buys nothing."""
    out = tmp_path / "out"
    table = pd.DataFrame(
        {"prompt_id": ["list", "plain"], "prompt": ["one", "two"], "seed": 1, "stop": ['["x","y"]', None]}
    )
    table["body.style"] = "warm"

    async def again(row: str) -> str | None:
        await asyncio.to_thread(partial(show, str(out), row, json=True))
        return json.loads(capsys.readouterr().out)["rows"][0]["again"]

    await make(table)
    before = {row: await again(row) for row in table["prompt_id"]}
    lose(out)
    assert await reconcile(out, rebuild=True) == 0
    capsys.readouterr()
    assert (await again("list"), await again("plain") is None) == (None, False)
    await asyncio.to_thread(show, str(out), "list")
    assert "not wholly known since the ledger was made anew" in capsys.readouterr().out
    options = RunOptions(gateway=sandbox.base_url, out=str(out))
    draw = partial(draw_repetition, str(out), options, sample="2")
    with pytest.raises(OutError, match="1 of its requests are not wholly known"):
        await asyncio.to_thread(draw)
    assert (await make(table)).posts == 0
    assert await again("list") == before["list"]
    assert (await asyncio.to_thread(draw)).num_missing == 2


async def test_a_run_that_ended_goes_on_where_it_was(make: Callable[..., Any], tmp_path: Path) -> None:
    """Rows that were surely not sent are bought by the next run."""
    table = pd.DataFrame({"prompt": ["one", "two", "three"], "seed": [1, 2, 3]})
    await make(table, max_posts=1)
    lose(tmp_path / "out")
    assert await reconcile(tmp_path / "out", rebuild=True) == 0
    assert (await make(table)).posts == 2


@pytest.mark.parametrize("gone", [None, "attempts.parquet", "manifest.parquet"])
async def test_a_ledger_from_before_buys_nothing_again(
    gone: str | None, make: Callable[..., Any], sandbox: SandboxServer, tmp_path: Path
) -> None:
    """A copy that does not know what the manifest knows is refused by all who would go on with it."""
    out, table = tmp_path / "out", pd.DataFrame({"prompt": ["one", "two"], "seed": [1, 2]})
    await make(table, max_posts=1)
    copy = tmp_path / "copy.db"
    with closing(sqlite3.connect(out / "ledger.db")) as ledger, closing(sqlite3.connect(copy)) as target:
        ledger.backup(target)
    await make(table)
    for left in out.glob("ledger.db*"):
        left.unlink()
    copy.rename(out / "ledger.db")
    if gone is not None:
        (out / gone).unlink()
    before, files = len(sandbox.bill()), published(out)
    for goes_on in (make(table), reconcile(out), reconcile(out, bill="bill.csv")):
        with pytest.raises(OutError, match=r"older than its manifest.*move ledger.db away"):
            await goes_on
    assert (len(sandbox.bill()), published(out)) == (before, files)
    (out / "ledger.db").replace(tmp_path / "older.db")
    assert await reconcile(out, rebuild=True) == 0
    again = await make(table)
    assert (again.posts, again.counts) == (0, {"success": 2})


async def test_an_out_with_its_ledger_elsewhere_gets_no_second_one(
    make: Callable[..., Any], sandbox: SandboxServer, tmp_path: Path
) -> None:
    """All who are not told where it is refuse, and say how to go on; another file is made its ledger."""
    out, table = tmp_path / "out", pd.DataFrame({"prompt": ["one", "two"], "seed": [1, 2]})
    here, anew = (f"sqlite:///{tmp_path / name}.db" for name in ("here", "anew"))
    await make(table, max_posts=1, ledger=here)
    before = len(sandbox.bill())

    async def look() -> None:
        await asyncio.to_thread(show, str(out), "one")

    for goes_on in (make(table), look(), reconcile(out), reconcile(out, rebuild=True)):
        with pytest.raises(OutError, match=r"its ledger elsewhere.*Give the same --ledger\."):
            await goes_on
    assert not (out / "ledger.db").exists()
    assert await reconcile(out, rebuild=True, ledger=anew) == 0
    last = await make(table, ledger=anew)
    assert (last.posts, last.counts, len(sandbox.bill())) == (1, {"success": 2}, before + 1)


async def test_a_rebuilding_says_where_nothing_is_reserved(
    make: Callable[..., Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """No price was ever known, and a row may have been sent: a budget would not count it."""
    out, table = tmp_path / "out", pd.DataFrame({"prompt": ["one", "two"], "seed": [1, 2]})
    await make(table, max_posts=1)
    facts = read_out(out)
    assert facts is not None
    write_out(out, facts.model_copy(update={"ended": False}))
    for price, says_so in ((None, True), ("0.10", False)):
        (out / "ledger.db").unlink()
        assert await reconcile(out, rebuild=True, price=price) == 1
        assert ("rebuild with --price" in capsys.readouterr().out) == says_so


async def test_a_ledger_that_lacks_an_older_post_buys_nothing_again(
    make: Callable[..., Any], sandbox: SandboxServer, tmp_path: Path
) -> None:
    """Every POST of the files counts, not only the newest: clocks differ, and a copy may have gone on."""
    out, table = tmp_path / "out", pd.DataFrame({"prompt": ["one", "two", "three"], "seed": [1, 2, 3]})
    await make(table)
    ledger = sqlite3.connect(out / "ledger.db")
    lost = ledger.execute("SELECT attempt_id FROM attempts ORDER BY attempt_id").fetchall()[1]
    ledger.execute("DELETE FROM results WHERE attempt_id = ?", lost)
    ledger.execute("DELETE FROM attempts WHERE attempt_id = ?", lost)
    ledger.execute("UPDATE generations SET status = 'planned', next_step = 'buy' WHERE attempt_id = ?", lost)
    ledger.commit()
    ledger.close()
    before = len(sandbox.bill())
    for goes_on in (make(table), reconcile(out)):
        with pytest.raises(OutError, match="older than its manifest"):
            await goes_on
    assert len(sandbox.bill()) == before


@pytest.mark.parametrize("also_the_ledger", [False, True], ids=["it alone", "with the ledger"])
async def test_a_lost_reelsweep_json_is_read_from_the_manifest(
    also_the_ledger: bool, make: Callable[..., Any], tmp_path: Path
) -> None:
    """The OUT is known again, whose it is and that a run may have been at work; nothing is bought again."""
    out, table = tmp_path / "out", pd.DataFrame({"prompt": ["one", "two"], "seed": [1, 2]})
    await make(table)
    before = read_out(out)
    assert before is not None
    if also_the_ledger:
        lose(out)
    (out / "reelsweep.json").unlink()
    assert read_out(out) == before.model_copy(update={"ended": False})
    if also_the_ledger:
        assert await reconcile(out, rebuild=True) == 0
    again = await make(table)
    after = read_out(out)
    assert (again.posts, again.counts) == (0, {"success": 2})
    assert after is not None
    assert (after.out_id, after.ended) == (before.out_id, True)
    assert (out / "reelsweep.json").exists()


async def test_a_clip_that_is_gone_is_no_success(
    make: Callable[..., Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file whose hash is another is to be downloaded, never to be bought."""
    table = pd.DataFrame({"prompt": ["one", "two"], "seed": [1, 2]})
    summary = await make(table)
    Path(summary.frame()["file_name"][0]).write_bytes(b"something else")
    lose(tmp_path / "out")
    assert await reconcile(tmp_path / "out", rebuild=True, json=True) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["num_broken"], told["rows"], told["attempts"]) == (1, 2, 2)
    again = await make(table)
    assert (again.posts, again.counts["success"]) == (0, 1)


async def test_text_and_choices_come_back(make: Callable[..., Any], tmp_path: Path) -> None:
    """Answers in words, several of one POST, are in the manifest and so in the new ledger."""
    table = pd.DataFrame({"prompt": ["Say it."], "n": [3]})
    await make(table, output="text", model="sandbox-text")
    before = read_manifest(tmp_path / "out")
    lose(tmp_path / "out")
    assert await reconcile(tmp_path / "out", rebuild=True) == 0
    again = await make(table, output="text", model="sandbox-text")
    assert again.posts == 0
    assert again.frame()["text"].tolist() == before["text"].tolist()


async def test_a_ledger_that_is_there_is_not_replaced(make: Callable[..., Any], tmp_path: Path) -> None:
    """Rebuilding is for a lost ledger; it says so and touches nothing."""
    out = tmp_path / "out"
    await make(pd.DataFrame({"prompt": ["one"]}))
    with pytest.raises(OutError, match="has a ledger"):
        rebuild(find_out(out))
    lose(out)
    for name in ("manifest.parquet", "attempts.parquet"):
        (out / name).unlink()
    with pytest.raises(OutError, match="nothing to fill a ledger from"):
        rebuild(find_out(out))
    assert not (out / "ledger.db").exists()


async def test_a_ledger_removed_during_a_run_stops_it_and_no_sale_is_lost(
    make: Callable[..., Any], sandbox: SandboxServer, tmp_path: Path
) -> None:
    """What was on its way is finished and published; no empty ledger is left in the way of a new one."""
    out, before = tmp_path / "out", len(sandbox.bill())
    sandbox.control(Script(duration_s=0.5, idempotency="ignore"))
    table = pd.DataFrame({"prompt": [f"a kite {number}" for number in range(16)]})
    running = asyncio.create_task(make(table, concurrency=2, price="0.10"))
    while len(await asyncio.to_thread(sandbox.bill)) < before + 3:
        await asyncio.sleep(0.02)
    for path in [*out.glob("ledger.db*"), *out.glob("*.parquet")]:
        path.unlink()
    summary = await running
    assert (summary.stop_reason, summary.exit_code) == ("trouble", 1)
    assert "removed or replaced" in summary.stopped
    bought = len(sandbox.bill()) - before
    assert bought < 16
    assert (summary.counts["success"], summary.posts, len(read_attempts(out))) == (bought,) * 3
    with pytest.raises(OutError, match="but no ledger"):
        await make(table)
    assert list(out.glob("ledger.db*")) == []
    assert await reconcile(out, rebuild=True) == 0
    again = await make(table, price="0.10")
    assert (again.exit_code, again.counts, again.posts) == (0, {"success": 16}, 16 - bought)
    assert len({sale.body_sha256 for sale in sandbox.bill()[before:]}) == 16


async def test_an_out_without_its_ledger_gets_no_other_one(make: Callable[..., Any], tmp_path: Path) -> None:
    """Nothing is published yet, and the ledger is gone: nothing is made that would pass for its own."""
    out, table = tmp_path / "out", pd.DataFrame({"prompt": ["one"]})
    await make(table)
    lose(out)
    for path in out.glob("*.parquet"):
        path.unlink()
    with pytest.raises(OutError, match=r"has reelsweep\.json but no ledger"):
        await make(table)
    assert list(out.glob("ledger.db*")) == []


async def test_an_out_has_ended_when_its_last_run_has(make: Callable[..., Any], tmp_path: Path) -> None:
    """While another run is at work, what it may be sending must not count as surely not sent."""
    out, table = tmp_path / "out", pd.DataFrame({"prompt": ["one"]})
    await make(table)
    facts = read_out(out)
    assert facts is not None
    ledger = await asyncio.to_thread(Ledger.open, f"sqlite:///{out / 'ledger.db'}")
    other = RunRecord(
        run_id="other",
        out_id=facts.out_id,
        gateway="https://gateway.example.com/v1",
        plan_hash="",
        settings={},
        code_version="",
        host="",
        pid=1,
    )
    await ledger.start_run(other)
    await make(table)
    during = read_out(out)
    await ledger.end_run("other", exit_code=0, summary={})
    await make(table)
    after = read_out(out)
    await asyncio.to_thread(ledger.close)
    assert (facts.ended, during and during.ended, after and after.ended) == (True, False, True)
