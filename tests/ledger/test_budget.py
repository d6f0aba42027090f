"""Money: reserved before a POST, never over a cap, whoever spends and whatever fails."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reelsweep.tasks.gateway.outcome import Outcome
from reelsweep.tasks.ledger.budget import day_of, slot_of
from reelsweep.tasks.ledger.records import Answer, Claim, Declined


async def _claim_all(ledger: Any, make: Any, numbers: range, run_id: str = "run") -> list[Claim | Declined]:
    wishes = (make.request(number, run_id=run_id) for number in numbers)
    return await asyncio.gather(*(ledger.claim(make.gateway, wish) for wish in wishes))


async def test_exactly_as_many_posts_as_the_budget_pays_for(database: Any, make: Any) -> None:
    """Without failures ⌊B/price⌋ claims are granted, however many are made at once."""
    ledger = await make.start(database.open(), rows=20)
    await ledger.set_budget(750)
    answers = await _claim_all(ledger, make, range(20))
    granted = [answer for answer in answers if isinstance(answer, Claim)]
    assert len(granted) == 7
    assert (await ledger.spend()).used_musd == 700


async def test_rows_wait_while_refunds_may_come(database: Any, make: Any) -> None:
    """What is in flight may come back: wait. What is settled or unknown does not: skip."""
    ledger = await make.start(database.open())
    await ledger.set_budget(100)
    claim = await make.buy(ledger, 0)
    waiting = await ledger.claim(make.gateway, make.request(1))
    assert isinstance(waiting, Declined)
    assert waiting.reason == "budget_wait"
    await ledger.answer(claim.attempt_id, make.throttled())
    second = await make.buy(ledger, 1)
    await ledger.answer(second.attempt_id, make.cut())
    skipped = await ledger.claim(make.gateway, make.request(2))
    assert isinstance(skipped, Declined)
    assert skipped.reason == "skipped_budget"


async def test_no_row_waits_for_a_job_that_nobody_asks_for(database: Any, make: Any) -> None:
    """A job that was acknowledged and given up is paid for: it makes no room, so the next row is skipped."""
    ledger = await make.start(database.open())
    await ledger.set_budget(100)
    claim = await make.buy(ledger, 0)
    outcome = Outcome(status="submitted", billed="yes", task_id="job")
    submitted = Answer(outcome=outcome, manifest_status="in_progress", billed="yes", cost_musd=None)
    await ledger.answer(claim.attempt_id, submitted)
    declined = await ledger.claim(make.gateway, make.request(1))
    assert isinstance(declined, Declined)
    assert declined.reason == "skipped_budget"
    await ledger.answer(claim.attempt_id, make.throttled())
    await make.buy(ledger, 1)


async def test_what_a_purchase_saves_can_be_spent(database: Any, make: Any) -> None:
    """A cost below the worst case gives the difference back."""
    ledger = await make.start(database.open())
    await ledger.set_budget(180)
    claim = await make.buy(ledger, 0)
    await ledger.answer(claim.attempt_id, make.success(cost_musd=80))
    await make.buy(ledger, 1)
    assert (await ledger.spend()).used_musd == 180


async def test_two_owners_share_one_cap(database: Any, make: Any) -> None:
    """Two processes' claims together never pass the cap of either."""
    one, two = await make.start(database.open(), rows=40), database.open()
    await two.start_run(make.run("two"))
    for ledger in (one, two):
        await ledger.set_budget(1_000)
    answers = await asyncio.gather(
        _claim_all(one, make, range(20)), _claim_all(two, make, range(20, 40), "two")
    )
    assert sum(isinstance(answer, Claim) for half in answers for answer in half) == 10
    assert (await one.spend()).used_musd == 1_000


async def test_no_restart_resets_the_sums(database: Any, make: Any) -> None:
    """A later run under the same cap finds what earlier ones spent, a dead one's intents included."""
    first = await make.start(database.open())
    await make.buy(first, 0)
    first.close()
    later = database.open()
    await later.start_run(make.run("later"))
    await later.set_budget(100)
    declined = await later.claim(make.gateway, make.request(1, run_id="later"))
    assert isinstance(declined, Declined)
    assert declined.reason == "skipped_budget"


async def test_a_day_begins_at_local_midnight(database: Any, make: Any) -> None:
    """A daily cap counts the calendar day of its zone, whoever spent it, and starts anew the next day."""
    zone = ZoneInfo("America/New_York")
    ledger = await make.start(database.open(), rows=5)
    await make.buy(ledger, 0)
    await ledger.set_budget(None, 200, zone)
    await make.buy(ledger, 1)
    declined = await ledger.claim(make.gateway, make.request(2))
    assert isinstance(declined, Declined)
    assert declined.reason == "budget_wait"
    assert (await ledger.spend_today(zone)).used_musd == 200
    database.clock.now = datetime(2025, 6, 2, 3, 59, tzinfo=UTC)
    assert isinstance(await ledger.claim(make.gateway, make.request(2)), Declined)
    database.clock.now = datetime(2025, 6, 2, 4, 0, tzinfo=UTC)
    await make.buy(ledger, 2)
    assert (await ledger.spend_today(zone)).used_musd == 100
    assert (await ledger.spend()).used_musd == 300


async def test_a_settlement_counts_on_the_day_of_its_claim(database: Any, make: Any) -> None:
    """An answer after midnight changes yesterday's sum, not today's."""
    database.clock.now = datetime(2025, 6, 1, 23, 59, tzinfo=UTC)
    ledger = await make.start(database.open())
    claim = await make.buy(ledger)
    database.clock.pass_time(120)
    await ledger.answer(claim.attempt_id, make.success())
    assert (await ledger.spend_today()).used_musd == 0
    assert (await ledger.spend()).settled_musd == 80


async def test_both_caps_hold(database: Any, make: Any) -> None:
    """The tighter of total and day decides, and a day cap alone makes nobody wait for ever."""
    ledger = await make.start(database.open())
    await ledger.set_budget(100, 1_000)
    claim = await make.buy(ledger, 0)
    await ledger.answer(claim.attempt_id, make.cut())
    declined = await ledger.claim(make.gateway, make.request(1))
    assert isinstance(declined, Declined)
    assert declined.reason == "skipped_budget"
    await ledger.set_budget(1_000, 100)
    declined = await ledger.claim(make.gateway, make.request(1))
    assert isinstance(declined, Declined)
    assert declined.reason == "skipped_budget"


_ZONES = st.sampled_from(
    ["UTC", "Asia/Kathmandu", "America/New_York", "Australia/Lord_Howe", "Europe/Berlin"]
)
_INSTANTS = st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC))


@given(_INSTANTS, _ZONES)
def test_days_follow_one_another_without_gaps(instant: datetime, name: str) -> None:
    """Every instant is in its day, a day has 23 to 25 hours, and the next begins where it ends."""
    zone = ZoneInfo(name)
    day = day_of(instant, zone)
    assert day.first <= slot_of(instant) < day.end
    assert 23 * 4 <= day.end - day.first <= 25 * 4
    noon = instant.astimezone(zone).replace(hour=12, minute=0, second=0, microsecond=0, tzinfo=None)
    tomorrow = (noon + timedelta(days=1)).replace(tzinfo=zone)
    assert day_of(tomorrow, zone).first == day.end


@pytest.mark.parametrize("cost", [None, 250])
async def test_a_gateways_own_cost_is_counted_whatever_was_reserved(
    database: Any, make: Any, cost: int | None
) -> None:
    """A billed POST of unknown cost stays reserved at its worst case; a known cost counts in full."""
    ledger = await make.start(database.open())
    claim = await make.buy(ledger)
    await ledger.answer(claim.attempt_id, make.success(cost_musd=cost))
    await ledger.settle(claim.attempt_id, [make.stored()], "success")
    spend = await ledger.spend()
    assert (spend.settled_musd, spend.held_musd) == ((250, 0) if cost else (0, 100))
