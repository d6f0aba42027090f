"""The short form of `make chaos`: kills at every step, two processes at one table, a cap that holds."""

from __future__ import annotations

from pathlib import Path

import pytest
from billed import check_join, check_settled
from campaign import STEPS, Campaign, calm, chaotic, check_kills, check_money, check_resubmission, fates
from looker import Looker
from pairs import count_purchases, run_pair, write_rows
from reelsweep.tasks.sandbox.server import SandboxServer
from stage import Runs, read_ledger

pytestmark = pytest.mark.xdist_group("chaos")
KILLS = 10


@pytest.mark.timeout(600)
def test_kills_at_every_step_buy_nothing_twice_and_lose_nothing(
    runs: Runs, sandbox: SandboxServer, ledger_url: str, tmp_path: Path
) -> None:
    """After kills only what had a durable intent and nothing more is unknown; bill and ledger agree."""
    sandbox.control(chaotic(7))
    campaign = Campaign(folder=tmp_path, runs=runs, sandbox=sandbox, ledger=ledger_url, seed=7)
    campaign.add_rows(90)
    with Looker(campaign.out / "manifest.parquet") as looker:
        for idx in range(2 * KILLS):
            if len(campaign.kills) < KILLS:
                campaign.round(STEPS[idx % len(STEPS)])
        campaign.finish()
    assert len(campaign.kills) == KILLS
    assert check_kills(campaign) == []
    assert check_money(campaign) == []
    assert check_join(campaign) == []
    assert (looker.sight.failures, looker.sight.falls) == ([], [])
    assert looker.sight.reads > 0
    sandbox.control(calm())
    num_sold, never = len(campaign.bill()), sum(fate == "" for fate in fates(campaign).values())
    assert campaign.finish(on_unknown="resubmit").code == 0
    assert check_resubmission(campaign, num_sold, never) == []
    assert check_money(campaign) == []
    assert check_settled(campaign) == []


def test_two_processes_share_one_table_and_buy_nothing_twice(
    runs: Runs, sandbox: SandboxServer, ledger_url: str, tmp_path: Path
) -> None:
    """Both begin in an empty folder at once; every row is bought once, and both did a fair part."""
    sandbox.control(calm(duration_s=0.4))
    table = write_rows(tmp_path / "table.jsonl", 40)
    options = {"out": str(tmp_path / "out"), "gateway": sandbox.base_url, "ledger": ledger_url}
    ended = run_pair(runs, table, **options, concurrency=2, canary=0)
    assert [end.code for end in ended] == [0, 0]
    assert [end.summary["counts"] for end in ended] == [{"success": 40}] * 2
    assert len(sandbox.bill()) == len({line.body_sha256 for line in sandbox.bill()}) == 40
    assert min(count_purchases(read_ledger(ledger_url)).values()) >= 10


def test_two_processes_share_one_cap(
    runs: Runs, sandbox: SandboxServer, ledger_url: str, tmp_path: Path
) -> None:
    """However many processes spend, exactly as many POSTs leave as the budget holds."""
    table = write_rows(tmp_path / "table.jsonl", 40)
    options = {"out": str(tmp_path / "out"), "gateway": sandbox.base_url, "ledger": ledger_url}
    ended = run_pair(runs, table, **options, concurrency=4, canary=0, price="0.10", budget="1.55")
    assert [end.code for end in ended] == [3, 3]
    assert len(sandbox.bill()) == 15
    assert ended[0].summary["counts"] == {"skipped_budget": 25, "success": 15}


@pytest.mark.timeout(600)
def test_kills_do_not_break_the_cap(runs: Runs, sandbox: SandboxServer, tmp_path: Path) -> None:
    """With runs killed in between the bill stays within the budget, and nearly all of it is used."""
    sandbox.control(chaotic(3))
    ledger = f"sqlite:///{tmp_path / 'out' / 'ledger.db'}"
    options = {"budget": "8.05"}
    campaign = Campaign(folder=tmp_path, runs=runs, sandbox=sandbox, ledger=ledger, seed=3, options=options)
    campaign.add_rows(200)
    for step in ("stream", "download", "intent"):
        campaign.round(step)
    ended = campaign.run()
    spent = sum(seen.cost_musd + seen.reserved_musd for seen in campaign.attempts())
    billed = sum(line.price_musd for line in campaign.bill() if line.billed)
    assert ended.code == 3
    assert billed <= spent <= 8_050_000
    assert spent >= 0.9 * 8_050_000
