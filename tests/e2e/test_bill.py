"""`reconcile --bill`: the sandbox's own bill, as a provider's CSV, beside a run's attempts."""

from __future__ import annotations

import asyncio
import csv
import io
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from reelsweep.flows.commands import reconcile as command
from reelsweep.prompts.errors import UsageError
from reelsweep.tasks.manifest.read import read_manifest
from reelsweep.tasks.sandbox.bill import BillLine
from reelsweep.tasks.sandbox.server import SandboxServer

Reconcile = Callable[[Path], Awaitable[tuple[int, dict[str, Any]]]]


@pytest.fixture
def reconcile(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Reconcile:
    """`reelsweep reconcile OUT --bill … --json` in this process: exit code and object."""

    async def run(bill: Path) -> tuple[int, dict[str, Any]]:
        out = str(tmp_path / "out")
        code = await asyncio.to_thread(command.reconcile, out, bill=str(bill), json=True)
        return code, json.loads(capsys.readouterr().out)

    return run


def write_csv(path: Path, lines: Sequence[BillLine]) -> Path:
    """The sandbox's bill as a provider would export it, with another customer's lines around it."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["created_at", "idempotency_key", "request_id", "cost", "billed"])
    for hours in (-5, 5):
        writer.writerow(
            [(datetime.now(UTC) + timedelta(hours=hours)).isoformat(), "x", f"x{hours}", 3, "yes"]
        )
    for line in lines:
        writer.writerow(
            [line.accepted_at, line.idempotency_key, line.request_id, line.price_musd / 1e6, line.billed]
        )
    path.write_text(text.getvalue())
    return path


async def test_a_bill_settles_what_was_maybe_billed(
    make: Callable[..., Any], sandbox: SandboxServer, reconcile: Reconcile, tmp_path: Path
) -> None:
    """Taken jobs are settled to the cent, never accepted ones refunded and bought by the next run."""
    before = len(sandbox.bill())
    table = pd.DataFrame(
        {
            "prompt": ["one", "two", "taken [[fault=reset_accepted]]", "never [[fault=reset]]"],
            "seed": [1, 2, 3, 4],
        }
    )
    first = await make(table, price="0.10", gateway=sandbox.base_url)
    assert first.counts == {"success": 2, "unknown": 2}
    bill = sandbox.bill()[before:]
    code, told = await reconcile(write_csv(tmp_path / "bill.csv", bill))
    assert (code, told["matched"], told["bill_lines"]) == (1, 3, 5)
    assert told["settled"] == {"billed": 1, "not_billed": 1, "cost_usd": 0.1}
    assert [line["keys"][0] for line in told["only_in_bill"]] == ["x", "x"]
    assert (len(told["only_here"]), told["undecided"]) == (1, [])
    assert told["cost_usd"] == pytest.approx(sum(line.price_musd for line in bill) / 1e6)
    assert told["cost_usd_per_success"] == pytest.approx(0.15)
    assert told["cost_usd_per_second"] == pytest.approx(0.3 / 4, rel=0.05)
    frame = read_manifest(tmp_path / "out")
    assert frame["cost_usd"].sum() == pytest.approx(0.3)
    assert frame["reserved_usd"].sum() == 0
    second = await make(table, price="0.10", gateway=sandbox.base_url)
    assert second.posts == 1


async def test_a_job_that_a_bill_has_charged_is_not_charged_again_when_it_is_given_once_more(
    make: Callable[..., Any], sandbox: SandboxServer, reconcile: Reconcile, tmp_path: Path
) -> None:
    """The gateway remembers the key and nobody has said so: by the bill it is the job that was paid for."""
    before, table = len(sandbox.bill()), pd.DataFrame({"prompt": ["one", "taken [[fault=reset_accepted]]"]})
    await make(table, price="0.10")
    path = tmp_path / "bill.jsonl"
    path.write_text("".join(json.dumps(asdict(line)) + "\n" for line in sandbox.bill()[before:]))
    await reconcile(path)
    again = await make(table, price="0.10", on_unknown="resubmit")
    assert (again.posts, again.counts, len(sandbox.bill()) - before) == (1, {"success": 2}, 2)
    assert read_manifest(tmp_path / "out")["cost_usd"].sum() == pytest.approx(0.2)


async def test_the_sandboxs_own_bill_settles_as_its_csv_does(
    make: Callable[..., Any], sandbox: SandboxServer, reconcile: Reconcile, tmp_path: Path
) -> None:
    """JSON Lines, another customer's around it: what was taken is settled, the rest is not billed."""
    before = len(sandbox.bill())
    table = pd.DataFrame({"prompt": ["taken [[fault=reset_accepted]]", "never [[fault=reset]]"]})
    assert (await make(table, price="0.10")).counts == {"unknown": 2}
    others = [
        {"request_id": f"x{hours}", "accepted_at": (datetime.now(UTC) + timedelta(hours=hours)).isoformat()}
        for hours in (-5, 5)
    ]
    path = tmp_path / "bill.jsonl"
    lines = [*others, *(asdict(line) for line in sandbox.bill()[before:])]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    code, told = await reconcile(path)
    assert (code, told["bill_lines"], told["matched"]) == (1, 3, 1)
    assert told["settled"] == {"billed": 1, "not_billed": 1, "cost_usd": 0.1}


async def test_a_bill_saved_by_excel_is_read_to_the_cent(
    make: Callable[..., Any], sandbox: SandboxServer, reconcile: Reconcile, tmp_path: Path
) -> None:
    """Semicolons, decimal commas, a mark at the beginning, and each line exported twice."""
    before = len(sandbox.bill())
    await make(pd.DataFrame({"prompt": ["one", "taken [[fault=reset_accepted]]"]}), price="0.25")
    path = tmp_path / "bill.csv"
    rows = [f"{one.accepted_at};{one.idempotency_key};0,10" for one in sandbox.bill()[before:]]
    path.write_text("\n".join(["Created;Idempotency Key;Amount (USD)", *rows, *rows]), encoding="utf-8-sig")
    _, told = await reconcile(path)
    assert (told["bill_lines"], told["repeated_lines"], told["cost_usd"]) == (4, 2, 0.2)
    assert told["settled"] == {"billed": 1, "not_billed": 0, "cost_usd": 0.1}
    assert [one["bill_usd"] for one in told["differing"]] == [0.1]


async def test_refusals_cost_what_the_bill_says(
    make: Callable[..., Any], sandbox: SandboxServer, reconcile: Reconcile, tmp_path: Path
) -> None:
    """Refused rows hold their reservation until a bill frees it."""
    table = pd.DataFrame({"prompt": ["a", "bad [[fault=refused_400]]"], "seed": [1, 2]})
    before = len(sandbox.bill())
    summary = await make(table, price="0.10")
    assert summary.counts == {"refused": 1, "success": 1}
    code, told = await reconcile(write_csv(tmp_path / "bill.csv", sandbox.bill()[before:]))
    assert code == 0
    assert [refusal["count"] for refusal in told["refusals"].values()] == [1]
    assert [refusal["cost_usd"] for refusal in told["refusals"].values()] == [0]
    assert read_manifest(tmp_path / "out")["reserved_usd"].sum() == 0


BAD = {
    "cheap": "request_id,cost\nr1,cheap\n",
    "key=COLUMN": "when,what\n1,2\n",
    "expected 2": "request_id,cost\nr1\n",
    "cannot be read": None,
    "JSON object on one line": '{"request_id": "r1", "cost": 1}\n[1]\n{"request_id"\n',
}


async def test_a_bad_bill_changes_nothing(
    make: Callable[..., Any], reconcile: Reconcile, tmp_path: Path
) -> None:
    """One clear error, the held money still held."""
    await make(pd.DataFrame({"prompt": ["taken [[fault=reset_accepted]]"]}), price="0.10")
    for number, (error, text) in enumerate(BAD.items()):
        path = tmp_path / f"bill{number}.{'jsonl' if 'JSON' in error else 'csv'}"
        if text is not None:
            path.write_text(text)
        with pytest.raises(UsageError, match=error):
            await reconcile(path)
        assert read_manifest(tmp_path / "out")["reserved_usd"].tolist() == [0.1]


async def test_the_whole_bill_of_two_outs_is_laid_beside_each(
    make: Callable[..., Any],
    sandbox: SandboxServer,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """What the ledger knows of the other OUT is not listed as nobody's; lines pasted twice are said."""
    before, ledger = len(sandbox.bill()), f"sqlite:///{tmp_path / 'shared.db'}"
    for name in ("one", "two"):
        await make(pd.DataFrame({"prompt": [name]}), price="0.10", ledger=ledger, out=str(tmp_path / name))
    path, bill = tmp_path / "bill.csv", sandbox.bill()[before:]
    rows = [f"{it.idempotency_key},0.10" for it in bill]
    path.write_text("\n".join(["idempotency_key,amount", *rows, *rows, "stranger,0.10", ""]))
    out = str(tmp_path / "two")
    await asyncio.to_thread(command.reconcile, out, ledger=ledger, bill=str(path), json=True)
    told = json.loads(capsys.readouterr().out)
    assert [one["keys"] for one in told["only_in_bill"]] == [["stranger"]]
    assert (told["matched"], told["of_other_outs"], told["repeated_and_counted"]) == (1, 2, 2)
