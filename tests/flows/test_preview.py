"""What `plan` says of cost and time, before anything is bought."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from reelsweep.flows.options import RunOptions
from reelsweep.flows.planning.preview import Preview, preview
from reelsweep.flows.prepare import prepare
from reelsweep.prompts.pricing import Price


def shown(folder: Path, limit: int | None = None, price: Price | None = None) -> Preview:
    """The plan of five prompts, at a gateway that nobody answers for."""
    table = folder / "table.csv"
    table.write_text("prompt\none\ntwo\nthree\nfour\nfive\n")
    given = RunOptions(gateway="http://127.0.0.1:1/v1", out=str(folder / "out"), limit=limit, price=price)
    return asyncio.run(preview(prepare(str(table), given)))


@pytest.mark.parametrize(("limit", "minutes"), [(1, 3), (4, 3), (5, 6)])
def test_no_plan_takes_less_time_than_one_generation(tmp_path: Path, limit: int, minutes: int) -> None:
    """Four at a time, three minutes each, and what is begun is waited for."""
    assert shown(tmp_path, limit=limit).eta_s == minutes * 60


@pytest.mark.parametrize(("price", "cost"), [(Price.parse("0.80"), "4.00 USD"), (None, None)])
def test_one_price_is_said_once(tmp_path: Path, price: Price | None, cost: str | None) -> None:
    """A span only where the least and the most differ; nothing where no price is known."""
    assert shown(tmp_path, price=price).describe_cost() == cost
