"""What `plan` says of cost and time, before anything is bought."""

from __future__ import annotations

import asyncio
import io
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from reelsweep.flows.commands.screen import preview_lines
from reelsweep.flows.options import Budget, RunOptions
from reelsweep.flows.planning.gate import pass_gate
from reelsweep.flows.planning.preview import Preview, preview
from reelsweep.flows.prepare import prepare
from reelsweep.prompts.errors import UsageError
from reelsweep.prompts.pricing import Price
from reelsweep.tasks.ledger.ledger import Ledger


def shown(folder: Path, limit: int | None = None, price: Price | None = None, **more: Any) -> Preview:
    """The plan of five prompts, at a gateway that nobody answers for."""
    table = folder / "table.csv"
    table.write_text("prompt\none\ntwo\nthree\nfour\nfive\n")
    options = {"out": str(folder / "out"), "limit": limit, "price": price, **more}
    given = RunOptions(gateway="http://127.0.0.1:1/v1", **options)
    return asyncio.run(preview(prepare(str(table), given)))


@pytest.mark.parametrize(("limit", "minutes"), [(1, 3), (4, 3), (5, 6)])
def test_no_plan_takes_less_time_than_one_generation(tmp_path: Path, limit: int, minutes: int) -> None:
    """Four at a time, three minutes each, and what is begun is waited for."""
    assert shown(tmp_path, limit=limit).eta_s == minutes * 60


@pytest.mark.parametrize(("price", "cost"), [(Price.parse("0.80"), "4.00 USD"), (None, None)])
def test_one_price_is_said_once(tmp_path: Path, price: Price | None, cost: str | None) -> None:
    """A span only where the least and the most differ; nothing where no price is known."""
    assert shown(tmp_path, price=price).describe_cost() == cost


@pytest.mark.parametrize(
    ("budget", "line"),
    [
        ("2", "2.00 USD, 0.00 used; reaches 2 of 5"),
        ("4/day", "4.00 USD a day, 0.00 used; enough for all"),
    ],
)
def test_a_plan_says_how_far_its_budget_reaches(tmp_path: Path, budget: str, line: str) -> None:
    """Before anything is bought, not when the run stops."""
    plan = shown(tmp_path, price=Price.parse("0.80"), budget=Budget.parse(budget))
    assert ("budget", line) in preview_lines(plan)


def test_what_is_spent_counts_against_the_budget_of_a_plan(tmp_path: Path) -> None:
    """What the ledger has settled and reserved is used, whoever spent it."""
    ledger = Ledger.open(f"sqlite:///{tmp_path / 'ledger.db'}")
    ledger.close()
    with closing(sqlite3.connect(tmp_path / "ledger.db")) as database, database:
        database.execute("UPDATE budgets SET settled_musd = 900000, held_musd = 300000 WHERE slot = -1")
    price, budget = Price.parse("0.80"), Budget.parse("3")
    plan = shown(tmp_path, price=price, budget=budget, ledger=f"sqlite:///{tmp_path / 'ledger.db'}")
    assert ("budget", "3.00 USD, 1.20 used; reaches 2 of 5") in preview_lines(plan)


@pytest.mark.parametrize(
    ("price", "cost"),
    [
        (
            Price.parse("0.80"),
            "4.00 USD at 0.80 (--price); at most 12.00 USD: with --on-unknown resubmit each may be bought up"
            " to 3 times",
        ),
        (
            None,
            "price unknown (give --price); at most 15 purchases: with --on-unknown resubmit each may be"
            " bought up to 3 times",
        ),
    ],
)
def test_a_plan_that_buys_cut_rows_again_says_what_that_may_cost(
    tmp_path: Path, price: Price | None, cost: str
) -> None:
    """One run does so, up to `--max-purchases`: what is confirmed is the worst case too."""
    plan = shown(tmp_path, price=price, on_unknown="resubmit", max_purchases=3)
    assert dict(preview_lines(plan))["cost"] == cost
    assert "at most" not in dict(preview_lines(shown(tmp_path, price=price, max_purchases=3)))["cost"]


def test_the_money_gate_names_the_worst_case(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever has to say yes hears of it, as whoever has no terminal to say it at."""
    plan = shown(tmp_path, price=Price.parse("0.80"), on_unknown="resubmit")
    options = RunOptions(out=str(tmp_path / "out"), gateway="http://127.0.0.1:1/v1", on_unknown="resubmit")
    prepared = prepare(str(tmp_path / "table.csv"), options)
    monkeypatch.setattr("sys.stdin", io.StringIO("no"))
    with pytest.raises(UsageError, match=r"at most 8\.00 USD"):
        pass_gate(prepared, plan, yes=False)
    asked, answer = Terminal(), Terminal("no")
    monkeypatch.setattr("sys.stdin", answer)
    monkeypatch.setattr("sys.stderr", asked)
    assert not pass_gate(prepared, plan, yes=False)
    assert "(4.00 USD; at most 8.00 USD: with --on-unknown resubmit" in asked.getvalue()


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_a_budget_surely_reaches_what_may_be_bought_several_times(tmp_path: Path) -> None:
    """Each at its dearest, as often as this run may buy it."""
    budget = Budget.parse("4")
    plan = shown(tmp_path, price=Price.parse("0.80"), budget=budget, on_unknown="resubmit")
    assert ("budget", "4.00 USD, 0.00 used; reaches 2 of 5") in preview_lines(plan)
