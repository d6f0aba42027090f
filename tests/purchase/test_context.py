"""What the rows of one run share."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

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
    context.decline(10 * CENT)
    assert context.is_too_dear(SPEC)
    clock.now += timedelta(minutes=20)
    assert not context.is_too_dear(SPEC)
    context.decline(20 * CENT)
    assert not context.is_too_dear(SPEC)
    context.decline(10 * CENT)
    context.decline(20 * CENT)
    assert context.is_too_dear(SPEC)
