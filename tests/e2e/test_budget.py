"""`--budget`: reserved before each POST, never exceeded, counted across runs."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from reelsweep.flows.execution import progress
from reelsweep.flows.execution.progress import DISPLAY
from reelsweep.flows.reporting.lines import LineDisplay
from reelsweep.prompts.errors import SettingsError
from reelsweep.tasks.sandbox.server import SandboxServer

ROWS = pd.DataFrame({"prompt": [f"clip {number}" for number in range(12)]})


async def test_a_budget_buys_as_many_as_it_holds(make: Callable[..., Any], sandbox: SandboxServer) -> None:
    """Without failures exactly floor(budget / price) POSTs leave; the rest is skipped_budget and exit 3."""
    before = len(sandbox.bill())
    summary = await make(ROWS, price="0.10", budget="0.75")
    assert summary.counts == {"success": 7, "skipped_budget": 5}
    assert (summary.posts, summary.exit_code) == (7, 3)
    assert len(sandbox.bill()) - before == 7
    assert "--budget" in summary.stopped


async def test_a_budget_counts_what_earlier_runs_have_spent(make: Callable[..., Any]) -> None:
    """The same budget again buys nothing more, a larger one buys the difference."""
    first = await make(ROWS, price="0.10", budget="0.30")
    again = await make(ROWS, price="0.10", budget="0.30")
    more = await make(ROWS, price="0.10", budget="1.20")
    assert [first.posts, again.posts, more.posts] == [3, 0, 9]
    assert [first.exit_code, again.exit_code, more.exit_code] == [3, 3, 0]
    assert more.counts == {"success": 12}
    assert more.cost_usd == pytest.approx(1.2)


async def test_a_daily_budget_caps_the_day(make: Callable[..., Any]) -> None:
    """`0.25/day` holds two clips of 0.10 today."""
    summary = await make(ROWS, price="0.10", budget="0.25/day")
    assert (summary.posts, summary.exit_code) == (2, 3)


async def test_the_last_line_of_progress_has_all_the_money(
    make: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that ends between two looks at the ledger still says at its end what the summary says."""
    monkeypatch.setattr(progress, "SPEND_S", 3600)
    said = io.StringIO()
    token = DISPLAY.set(LineDisplay(said))  # type: ignore[arg-type]
    summary = await make(ROWS, price="0.10", budget="5")
    DISPLAY.reset(token)
    ends = [line for line in said.getvalue().splitlines() if line.startswith("12 of 12: ")]
    assert [line.rpartition("; ")[2] for line in ends] == ["$1.20 spent"]
    assert summary.cost_usd == pytest.approx(1.2)


async def test_refunds_make_room(make: Callable[..., Any], sandbox: SandboxServer) -> None:
    """What a gateway refused unbilled is bought from the same money; rows wait while refunds may come."""
    table = pd.DataFrame(
        {"prompt": [f"[[fault=400]] {n}" for n in range(4)] + [f"clip {n}" for n in range(4)]}
    )
    summary = await make(table, price="0.10", budget="0.40", canary=0)
    assert summary.counts == {"failed": 4, "success": 4}


async def test_a_budget_needs_a_price(make: Callable[..., Any], sandbox: SandboxServer) -> None:
    """Nothing can be reserved without a price: refused before anything is sent, naming --price."""
    before = len(sandbox.bill())
    with pytest.raises(SettingsError, match="--price"):
        await make(ROWS, budget="5")
    assert len(sandbox.bill()) == before


def test_a_budget_passes_the_money_gate_and_exits_3(
    reelsweep: Callable[..., Any], sandbox: SandboxServer, write_table: Callable[..., Path]
) -> None:
    """Without a terminal and without --yes a budget is leave to spend; without a price it is exit 2."""
    table = str(write_table([{"prompt": f"clip {number} by command"} for number in range(4)]))
    where = ("--gateway", sandbox.base_url, "--out", "out", "--json")
    refused = reelsweep("run", table, *where, "--budget", "0.25")
    stopped = reelsweep("run", table, *where, "--budget", "0.25", "--price", "0.10")
    assert (refused.code, stopped.code) == (2, 3)
    assert "--price" in refused.err
    assert json.loads(stopped.out)["counts"] == {"skipped_budget": 2, "success": 2}


async def test_a_run_with_too_many_failures_is_stopped(make: Callable[..., Any]) -> None:
    """`--max-failed` ends a run whose share of failures passes it: exit 1, the rest unsent."""
    table = pd.DataFrame({"prompt": [f"[[fault=400]] clip {number}" for number in range(60)]})
    summary = await make(table, max_failed="10%", concurrency=2, canary=0)
    assert summary.exit_code == 1
    assert summary.counts["planned"] > 0
    assert "--max-failed" in summary.stopped


async def test_what_is_paid_for_under_other_parameters_is_bought_with_rebuy_only(
    make: Callable[..., Any],
) -> None:
    """The same prompt, model and seed with another size are held back until `rebuy` says otherwise."""
    table = pd.DataFrame({"prompt": ["a kite"], "seed": [1], "size": ["160x96"]})
    await make(table)
    held = await make(table.assign(size="320x180"))
    bought = await make(table.assign(size="320x180"), rebuy=True)
    assert [held.posts, bought.posts] == [0, 1]
    assert held.exit_code == 1
