"""One table, one OUT, several gateways: each is asked for itself, and nothing is bought twice from any."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from reelsweep.flows.commands import reconcile as command
from reelsweep.flows.commands.doctor import doctor
from reelsweep.flows.commands.show import show
from reelsweep.prompts.errors import OutError
from reelsweep.tasks.ledger.ledger import Ledger
from reelsweep.tasks.manifest.outfile import read_out, write_out
from reelsweep.tasks.manifest.read import read_manifest
from reelsweep.tasks.sandbox.server import SandboxServer

TABLE = pd.DataFrame({"prompt": ["one", "two", "two"], "seed": [1, 2, 2]})


def lose_ledger(out: Path) -> None:
    """As after a disk that kept the files and lost the database."""
    for path in out.glob("ledger.db*"):
        path.unlink()
    facts = read_out(out)
    assert facts is not None
    write_out(out, facts.model_copy(update={"ended": True}))


async def test_an_out_may_go_on_at_another_gateway(
    make: Callable[..., Any], sandbox: SandboxServer, tmp_path: Path
) -> None:
    """What one has made stays as lines; the other is asked for all of it once; a lost ledger knows both."""
    sold = len(sandbox.bill())
    other = sandbox.base_url.replace("127.0.0.1", "localhost")
    summaries = [await make(TABLE, gateway=url) for url in (sandbox.base_url, other, sandbox.base_url, other)]
    assert [summary.posts for summary in summaries] == [2, 2, 0, 0]
    assert [summary.counts for summary in summaries] == [{"success": 3}] * 4
    assert len(sandbox.bill()) - sold == 4
    before = read_manifest(tmp_path / "out")
    assert [len(rows) for _, rows in before.groupby("gateway")] == [3, 3]
    assert set(before.loc[before["in_plan"], "gateway"]) == {other.removesuffix("/v1")}
    lose_ledger(tmp_path / "out")
    assert await asyncio.to_thread(command.reconcile, str(tmp_path / "out"), rebuild=True) == 0
    again = [await make(TABLE, gateway=url) for url in (other, sandbox.base_url)]
    assert [summary.posts for summary in again] == [0, 0]
    assert len(read_manifest(tmp_path / "out")) == 6


async def test_each_gateways_row_is_shown_with_its_own_posts(
    make: Callable[..., Any], sandbox: SandboxServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One request at two gateways is two rows, and a POST to one is none of the other's."""
    table = pd.DataFrame({"prompt": ["one"]})
    for url in (sandbox.base_url, sandbox.base_url.replace("127.0.0.1", "localhost")):
        await make(table, gateway=url)
    capsys.readouterr()
    name = read_manifest(tmp_path / "out").iloc[0]["prompt_id"]
    assert await asyncio.to_thread(show, str(tmp_path / "out"), name, json=True) == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert [len(row["attempts"]) for row in rows] == [1, 1]
    assert len({row["attempts"][0]["gateway"] for row in rows}) == 2


async def test_only_the_gateway_that_sold_a_clip_is_asked_about_it(
    make: Callable[..., Any],
    sandbox: SandboxServer,
    own_gateway: Any,
    respond: Callable[..., bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """What is open at one is asked of no other, by run or reconcile; the user is told where it is."""
    monkeypatch.setenv("REELSWEEP_API_KEY", "key")
    cut = b'data: {"id":"c","task_id":"task-1","choices":[{"index":0,"delta":{"content":"..."}}]}\n\n'
    own_gateway.answer = lambda _asked: respond(cut)
    table = pd.DataFrame({"prompt": ["one"]})
    first = await make(table, gateway=own_gateway.base_url)
    assert first.counts == {"unknown": 1}
    asked = len(own_gateway.asked)
    summary = await make(table, gateway=sandbox.base_url)
    assert (summary.counts, summary.posts) == ({"success": 1}, 1)
    out = str(tmp_path / "out")
    assert await asyncio.to_thread(command.reconcile, out, gateway=sandbox.base_url) == 1
    assert len(own_gateway.asked) == asked
    said = capsys.readouterr().out
    assert "looked at 0 attempts" in said
    assert f"1 open at {own_gateway.base_url.removesuffix('/v1')}, which was not asked" in said
    assert await asyncio.to_thread(command.reconcile, out, gateway=own_gateway.base_url) in (0, 1)
    assert len(own_gateway.asked) > asked
    assert "looked at 1 attempts" in capsys.readouterr().out


async def test_without_a_name_all_that_were_named_before_are_asked(
    make: Callable[..., Any],
    sandbox: SandboxServer,
    own_gateway: Any,
    respond: Callable[..., bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Each with its own key; one that nobody named here is sent nothing. Open is open, whoever was asked."""
    monkeypatch.setenv("REELSWEEP_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("OWN_KEY", "own-key")
    cut = b'data: {"id":"c","task_id":"task-1","choices":[{"index":0,"delta":{"content":"..."}}]}\n\n'
    own_gateway.answer = lambda _asked: respond(cut)
    table = pd.DataFrame({"prompt": ["one"]})
    await make(table, gateway=own_gateway.base_url, api_key_env="OWN_KEY")
    await make(table, gateway=sandbox.base_url)
    out, asked = str(tmp_path / "out"), len(own_gateway.asked)
    await asyncio.to_thread(doctor, gateway=own_gateway.base_url, api_key_env="OWN_KEY")
    await asyncio.to_thread(doctor, gateway=sandbox.base_url)
    del own_gateway.asked[asked:]
    assert await asyncio.to_thread(command.reconcile, out) == 1
    said = capsys.readouterr().out
    assert {it.headers.get("authorization") for it in own_gateway.asked[asked:]} == {"Bearer own-key"}
    assert "looked at 1 attempts: 1 unknown; 1 rows unknown" in said
    assert "not asked" not in said
    assert said.splitlines()[-1].startswith("next: the provider's bill may decide")
    monkeypatch.setenv("REELSWEEP_HOME", str(tmp_path / "stranger"))
    await asyncio.to_thread(doctor, gateway=sandbox.base_url)
    asked = len(own_gateway.asked)
    assert await asyncio.to_thread(command.reconcile, out) == 1
    assert "1 open at" in capsys.readouterr().out
    assert len(own_gateway.asked) == asked


async def test_what_is_unknown_counts_also_when_the_plan_has_left_it(
    make: Callable[..., Any],
    sandbox: SandboxServer,
    own_gateway: Any,
    respond: Callable[..., bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Reconcile counts unknown rows of every gateway it speaks for, whichever the latest plan is for."""
    monkeypatch.setenv("REELSWEEP_API_KEY", "key")
    own_gateway.answer = lambda _asked: respond(b'data: {"id":"c","choices":[]}\n\n')
    table = pd.DataFrame({"prompt": ["one"]})
    assert (await make(table, gateway=own_gateway.base_url)).counts == {"unknown": 1}
    await make(table, gateway=sandbox.base_url)
    out, bill = str(tmp_path / "out"), tmp_path / "bill.csv"
    bill.write_text("request_id,cost\n")
    with pytest.raises(OutError, match=f"'{own_gateway.origin}' and '{sandbox.base_url[:-3]}', not by"):
        await asyncio.to_thread(command.reconcile, out, gateway="https://elsewhere.example.com/v1")
    assert await asyncio.to_thread(command.reconcile, out, gateway=own_gateway.base_url) == 1
    assert "looked at 1 attempts: 1 unknown; 1 rows unknown" in capsys.readouterr().out
    assert await asyncio.to_thread(command.reconcile, out, bill=str(bill)) == 1
    assert "1 rows unknown" in capsys.readouterr().out


async def test_a_run_answers_for_its_own_rows_when_another_plan_takes_their_place(
    make: Callable[..., Any],
    own_gateway: Any,
    respond: Callable[..., bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What it has left is in its exit code and its counts, though the latest plan asks another gateway."""
    monkeypatch.setenv("REELSWEEP_API_KEY", "key")

    def ask_elsewhere() -> None:
        ledger, facts = Ledger.open(f"sqlite:///{tmp_path / 'out' / 'ledger.db'}"), read_out(tmp_path / "out")
        assert facts is not None
        try:
            asyncio.run(ledger.record_plan(facts.out_id, "https://another.example.com", "another", []))
        finally:
            ledger.close()

    def answer(_asked: Any) -> bytes:
        with ThreadPoolExecutor(1) as beside:
            beside.submit(ask_elsewhere).result()
        return respond(b'data: {"id":"c","choices":[{"index":0,"delta":{"content":"..."}}]}\n\n')

    own_gateway.answer = answer
    summary = await make(pd.DataFrame({"prompt": ["one"]}), gateway=own_gateway.base_url)
    assert (summary.exit_code, summary.posts) == (1, 1)
    assert (summary.counts, summary.planned) == ({"unknown": 1}, 1)


async def test_a_price_settles_what_every_asked_gateway_turns_out_to_bill(
    make: Callable[..., Any],
    own_gateway: Any,
    respond: Callable[..., bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Not only at the one that is asked first: what is paid for elsewhere costs as well."""
    monkeypatch.setenv("REELSWEEP_HOME", str(tmp_path / "home"))
    own_gateway.answer = lambda _asked: respond(b": waiting\n\n", Content_Length="999")
    table, out = pd.DataFrame({"prompt": ["one"]}), tmp_path / "out"
    for url in (own_gateway.base_url, own_gateway.base_url.replace("127.0.0.1", "localhost")):
        assert (await make(table, gateway=url, output="text")).counts == {"unknown": 1}
    for kept in (out / "transcripts").iterdir():
        event = {"choices": [{"index": 0, "delta": {"content": "hello"}, "finish_reason": "stop"}]}
        kept.write_text(f"data: {json.dumps(event)}\n\ndata: [DONE]\n\n")
    assert await asyncio.to_thread(command.reconcile, str(out), price="0.30") == 0
    manifest = read_manifest(out)
    assert manifest["status"].tolist() == ["success", "success"]
    assert manifest["cost_usd"].tolist() == [0.3, 0.3]
