"""What the rows of one run share."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from reelsweep.prompts.pricing import Price
from reelsweep.prompts.request import GenerationSpec
from reelsweep.tasks.artifacts.door import Door
from reelsweep.tasks.artifacts.probe import Prober
from reelsweep.tasks.artifacts.store import Store
from reelsweep.tasks.gateway.profiles import Profile
from reelsweep.tasks.ledger.ledger import Ledger
from reelsweep.tasks.purchase.context import Policy, RunContext

SPEC = GenerationSpec(
    ordinal=0,
    prompt_id="p",
    row_idx=0,
    sample_idx=0,
    output="video",
    model="m",
    payload={},
    request_fingerprint="f",
    prompt=None,
)
CENT = 10_000


class Clock:
    """A wall clock that is set by hand."""

    now = datetime(2026, 3, 1, 23, 50, tzinfo=UTC)


@pytest.fixture
def clock() -> Clock:
    """Ten minutes before midnight."""
    return Clock()


@pytest.fixture
def context(tmp_path: Path, clock: Clock) -> Iterator[RunContext]:
    """The context of a run at ten cents a clip."""
    ledger = Ledger.open(f"sqlite:///{tmp_path / 'ledger.db'}", clock=lambda: clock.now)
    prober = Prober()
    yield RunContext(
        run_id="run",
        out_id="out",
        gateway="gateway",
        profile=Profile(name="p", base_url="https://api.example.com/v1"),
        key=None,
        ledger=ledger,
        store=Store(tmp_path),
        prober=prober,
        door=Door(),
        policy=Policy(),
        price=Price.parse("0.10"),
    )
    prober.close()
    ledger.close()


def test_a_new_day_has_new_money(context: RunContext, clock: Clock) -> None:
    """What a day's budget did not hold is asked for again after midnight, in the same run."""
    assert not context.is_too_dear(SPEC)
    context.decline(10 * CENT, clock.now)
    assert context.is_too_dear(SPEC)
    clock.now += timedelta(minutes=20)
    assert not context.is_too_dear(SPEC)
    context.decline(20 * CENT, clock.now)
    assert not context.is_too_dear(SPEC)
    context.decline(10 * CENT, clock.now)
    context.decline(20 * CENT, clock.now)
    assert context.is_too_dear(SPEC)


async def test_a_new_day_begins_where_the_budget_says(context: RunContext, clock: Clock) -> None:
    """Days are the budget's: midnight in its zone brings new money, midnight in UTC does not."""
    await context.ledger.set_budget(None, 10 * CENT, ZoneInfo("Asia/Kathmandu"))  # 5:45 ahead
    context.decline(10 * CENT, clock.now)
    clock.now += timedelta(minutes=20)
    assert context.is_too_dear(SPEC)
    clock.now = datetime(2026, 3, 2, 18, 14, 59, tzinfo=UTC)
    assert context.is_too_dear(SPEC)
    clock.now += timedelta(seconds=1)
    assert not context.is_too_dear(SPEC)


def test_yesterdays_budget_says_nothing_of_today(context: RunContext, clock: Clock) -> None:
    """Asked before midnight and heard of after it, a refusal is yesterday's."""
    asked_at = clock.now
    clock.now += timedelta(minutes=20)
    context.decline(10 * CENT, asked_at)
    assert not context.is_too_dear(SPEC)
