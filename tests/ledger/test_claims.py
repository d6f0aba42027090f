"""Claim, reserve and intent: who may send a POST, and under which key."""

from __future__ import annotations

import asyncio
import threading
from datetime import UTC, timedelta
from typing import Any

import pytest
from reelsweep.prompts.errors import SettingsError
from reelsweep.tasks.gateway.outcome import Outcome
from reelsweep.tasks.ledger.budget import Caps
from reelsweep.tasks.ledger.claims import Wish, claim
from reelsweep.tasks.ledger.entries import open_batch
from reelsweep.tasks.ledger.records import Answer, Claim, Declined
from sqlalchemy import Connection


async def test_a_claim_is_a_durable_intent_with_its_money_reserved(database: Any, make: Any) -> None:
    """What `claim` granted stands in the database for every other connection before it returns."""
    ledger = await make.start(database.open())
    claim = await make.buy(ledger)
    (row,) = database.sql("SELECT attempt_id, state, reserved_musd, price, idempotency_key FROM attempts")
    assert tuple(row) == (claim.attempt_id, "intent", 100, "0.0001", claim.idempotency_key)
    assert (await ledger.spend()).open_musd == 100
    assert (claim.purchase_idx, claim.attempt_idx) == (0, 0)


async def test_what_is_in_flight_is_not_claimed_again(database: Any, make: Any) -> None:
    """A second claim of an open generation is declined and told to wait."""
    ledger = await make.start(database.open())
    first = await make.buy(ledger)
    second = await ledger.claim(make.gateway, make.request())
    assert isinstance(second, Declined)
    assert (second.reason, second.standing.next_step) == ("claimed", "wait")
    assert second.standing.attempt_id == first.attempt_id
    assert (await make.standing(ledger)).next_step == "wait"


async def test_of_a_hundred_claims_at_once_one_is_granted(database: Any, make: Any) -> None:
    """Concurrent claims of one generation, in one batch or many, yield one attempt."""
    ledger = await make.start(database.open())
    answers = await asyncio.gather(*(ledger.claim(make.gateway, make.request()) for _ in range(100)))
    assert sum(isinstance(answer, Claim) for answer in answers) == 1
    assert (await ledger.spend()).open_musd == 100


async def test_a_withdrawn_claim_leaves_nothing_behind(database: Any, make: Any) -> None:
    """Surely unsent: refunded, free to be bought, neither a POST nor a purchase."""
    ledger = await make.start(database.open())
    claim = await make.buy(ledger)
    await ledger.withdraw(claim.attempt_id, "connection refused")
    await ledger.withdraw(claim.attempt_id, "said twice")
    standing = await make.standing(ledger)
    assert (standing.status, standing.next_step, standing.num_purchases) == ("planned", "buy", 0)
    assert (await ledger.spend()).used_musd == 0
    assert (await ledger.tally("out")).posts == 0
    again = await make.buy(ledger)
    assert again.idempotency_key == claim.idempotency_key
    assert (await ledger.attempt(claim.attempt_id)).state == "withdrawn"


async def test_what_was_answered_cannot_be_withdrawn(database: Any, make: Any) -> None:
    """An answer proves that the POST was sent."""
    ledger = await make.start(database.open())
    claim = await make.buy(ledger)
    await ledger.answer(claim.attempt_id, make.cut())
    with pytest.raises(ValueError, match="was sent"):
        await ledger.withdraw(claim.attempt_id, "too late")


async def test_what_was_surely_never_sent_costs_nothing_whatever_a_bill_says(
    database: Any, make: Any
) -> None:
    """A line that was laid to the wrong POST of its key leaves the sums with the withdrawal."""
    ledger = await make.start(database.open())
    claim = await make.buy(ledger)
    await ledger.cut("run")
    await ledger.decide(claim.attempt_id, billed="yes", cost_musd=90)
    await ledger.withdraw(claim.attempt_id, "never sent")
    assert (await ledger.spend()).used_musd == 0
    assert (await ledger.tally("out")).cost_musd == 0


async def test_a_cancelled_callers_claim_is_withdrawn(database: Any, make: Any) -> None:
    """Nobody hears of the claim, so nothing was sent: the money comes back by itself."""
    ledger = await make.start(database.open())
    claiming = asyncio.create_task(ledger.claim(make.gateway, make.request()))
    await asyncio.sleep(0)
    claiming.cancel()
    with pytest.raises(asyncio.CancelledError):
        await claiming
    await ledger.note((await make.buy(ledger, 1)).attempt_id, task_id="any later write")
    states = [row.state for row in database.sql("SELECT state FROM attempts ORDER BY attempt_id")]
    assert states == ["withdrawn", "intent"]
    assert (await make.standing(ledger)).next_step == "buy"


@pytest.mark.parametrize("resold", [False, True])
async def test_a_claim_nobody_heard_of_is_not_granted_to_the_dead(
    database: Any, make: Any, resold: bool
) -> None:
    """Its commit's answer was lost, and by the time it is applied again another run has taken over."""
    ledger, other = await make.start(database.open()), database.open()
    wish = Wish(
        attempt_id="a",
        ledger_id=ledger.ledger_id,
        gateway=make.gateway,
        request=make.request(),
        caps=Caps(zone=UTC),
        now=database.clock.now,
        uptime_s=database.clock.uptime_s,
    )

    def write(conn: Connection) -> Claim | Declined:
        batch = open_batch(conn, [(make.gateway, "f0")])
        written = claim(batch, wish)
        batch.write()
        return written

    claims = [database.apply(write) for _ in range(2)]
    assert isinstance(claims[0], Claim)
    assert claims[0] == claims[1]
    database.expire("run")
    await other.start_run(make.run("other"))
    if resold:
        await make.buy(other, run_id="other", allow=frozenset({"unknown"}))
    declined = database.apply(write)
    assert isinstance(declined, Declined)
    assert (declined.reason, declined.standing.num_purchases) == ("lease_lost", int(resold))
    assert (await ledger.attempt("a")).state == "withdrawn"
    assert (await ledger.spend()).used_musd == (100 if resold else 0)


async def test_an_unknown_row_is_held_until_resubmission_is_allowed(database: Any, make: Any) -> None:
    """Maybe billed is never sent again by itself; when allowed, as a new purchase under the old key."""
    ledger = await make.start(database.open())
    first = await make.buy(ledger)
    await ledger.answer(first.attempt_id, make.cut())
    declined = await ledger.claim(make.gateway, make.request())
    assert isinstance(declined, Declined)
    assert (declined.reason, declined.standing.next_step) == ("unknown", "hold")
    again = await make.buy(ledger, allow=frozenset({"unknown"}))
    assert (again.purchase_idx, again.attempt_idx) == (1, 1)
    assert again.idempotency_key == first.idempotency_key
    spend = await ledger.spend()
    assert (spend.open_musd, spend.held_musd) == (100, 100)


async def test_purchases_are_limited_for_ever(database: Any, make: Any) -> None:
    """`max_purchases` counts every purchase a generation ever had, in any run."""
    ledger = await make.start(database.open())
    for _ in range(2):
        claim = await make.buy(ledger, allow=frozenset({"unknown"}))
        await ledger.answer(claim.attempt_id, make.cut())
    await ledger.end_run("run", exit_code=1, summary={})
    await ledger.start_run(make.run("later"))
    wish = make.request(run_id="later", allow=frozenset({"unknown", "failed_billed"}))
    declined = await ledger.claim(make.gateway, wish)
    assert isinstance(declined, Declined)
    assert (declined.reason, declined.standing.num_purchases) == ("max_purchases", 2)


async def test_refunded_attempts_stay_within_their_purchase(database: Any, make: Any) -> None:
    """Any number of throttled POSTs is one purchase, each with an attempt index and a key of its own."""
    ledger = await make.start(database.open())
    claims = []
    for _ in range(5):
        claims.append(await make.buy(ledger))
        await ledger.answer(claims[-1].attempt_id, make.throttled())
    standing = await make.standing(ledger)
    assert (standing.status, standing.next_step, standing.num_purchases) == ("failed", "buy", 0)
    assert [(claim.purchase_idx, claim.attempt_idx) for claim in claims] == [(0, n) for n in range(5)]
    assert len({claim.idempotency_key for claim in claims}) == 5
    assert (await ledger.spend()).used_musd == 0


async def test_a_refund_after_an_unknown_keeps_the_unknowns_key(database: Any, make: Any) -> None:
    """A 429 says nothing about the POST before it: the next one still carries that one's key."""
    ledger = await make.start(database.open())
    first = await make.buy(ledger)
    await ledger.answer(first.attempt_id, make.cut())
    second = await make.buy(ledger, allow=frozenset({"unknown"}))
    await ledger.answer(second.attempt_id, make.throttled())
    standing = await make.standing(ledger)
    assert (standing.status, standing.next_step, standing.num_purchases) == ("unknown", "hold", 1)
    third = await make.buy(ledger, allow=frozenset({"unknown"}))
    assert third.idempotency_key == second.idempotency_key == first.idempotency_key
    assert third.purchase_idx == 1


async def test_a_definite_answer_changes_the_key(database: Any, make: Any) -> None:
    """After a billed failure the next purchase is another one, also for the gateway."""
    ledger = await make.start(database.open())
    first = await make.buy(ledger)
    await ledger.answer(first.attempt_id, make.no_video())
    declined = await ledger.claim(make.gateway, make.request())
    assert isinstance(declined, Declined)
    assert (declined.reason, declined.standing.billed) == ("failed_billed", "yes")
    second = await make.buy(ledger, allow=frozenset({"failed_billed"}))
    assert second.idempotency_key != first.idempotency_key
    assert second.purchase_idx == 1


async def test_one_key_carries_one_body(database: Any, make: Any) -> None:
    """A body that changed under an open key is declined, or takes a new key when the caller says so."""
    ledger = await make.start(database.open())
    first = await make.buy(ledger)
    await ledger.answer(first.attempt_id, make.cut())
    allow = frozenset({"unknown"})
    declined = await ledger.claim(make.gateway, make.request(body_sha256="other", allow=allow))
    assert isinstance(declined, Declined)
    assert declined.reason == "body_changed"
    second = await make.buy(ledger, body_sha256="other", allow=allow, new_key=True)
    assert second.idempotency_key != first.idempotency_key


@pytest.mark.parametrize(
    ("answer", "reason"), [("refused", "final"), ("rejected", "final"), ("no_video", "failed_billed")]
)
async def test_final_rows_are_not_bought(database: Any, make: Any, answer: str, reason: str) -> None:
    """Refusals and requests that are wrong are never sent again, billed failures only when asked for."""
    ledger = await make.start(database.open())
    rejected = Outcome(status="failed", retry="none", billed="no", http_status=400)
    answers = {
        "refused": make.refused(),
        "no_video": make.no_video(),
        "rejected": Answer(outcome=rejected, manifest_status="failed", billed="no", cost_musd=None),
    }
    claim = await make.buy(ledger)
    await ledger.answer(claim.attempt_id, answers[answer])
    assert (await make.standing(ledger)).next_step == "none"
    declined = await ledger.claim(make.gateway, make.request())
    assert isinstance(declined, Declined)
    assert declined.reason == reason
    allowed = await ledger.claim(make.gateway, make.request(allow=frozenset({"failed_billed", "unknown"})))
    assert isinstance(allowed, Claim) == (reason == "failed_billed")


async def test_a_stop_leaves_the_row_planned(database: Any, make: Any) -> None:
    """After a 401 the row stands as if it had never been sent, and the next run buys it."""
    ledger = await make.start(database.open())
    claim = await make.buy(ledger)
    outcome = Outcome(status="stopped", billed="no", http_status=401)
    await ledger.answer(
        claim.attempt_id, Answer(outcome=outcome, manifest_status="planned", billed="no", cost_musd=None)
    )
    standing = await make.standing(ledger)
    assert (standing.status, standing.next_step) == ("planned", "buy")


async def test_a_skip_is_shown_until_somebody_claims(database: Any, make: Any) -> None:
    """`skipped_budget` is where a row stands, not what keeps it from being bought."""
    ledger = await make.start(database.open())
    await ledger.skip(make.gateway, "f0", "skipped_budget")
    standing = await make.standing(ledger)
    assert (standing.status, standing.next_step) == ("skipped_budget", "buy")
    claim = await make.buy(ledger)
    await ledger.skip(make.gateway, "f0", "skipped_budget")
    assert (await make.standing(ledger)).status == "in_progress"
    await ledger.withdraw(claim.attempt_id, "cancelled")
    assert (await make.standing(ledger)).status == "planned"


async def test_a_generation_nobody_planned_cannot_be_bought(database: Any, make: Any) -> None:
    """The ledger sells nothing it has no request for."""
    ledger = await make.start(database.open())
    with pytest.raises(LookupError, match="f99"):
        await ledger.claim(make.gateway, make.request(99))


async def test_a_budget_needs_a_price(database: Any, make: Any) -> None:
    """Without a price a cap could not be kept, so nothing is sent."""
    ledger = await make.start(database.open())
    await ledger.set_budget(1_000)
    with pytest.raises(SettingsError, match="price"):
        await ledger.claim(make.gateway, make.request(price_max_musd=None))


async def test_without_price_and_budget_nothing_is_reserved(database: Any, make: Any) -> None:
    """Money nobody knows is null, never a made-up value."""
    ledger = await make.start(database.open())
    claim = await make.buy(ledger, price_max_musd=None, price=None)
    await ledger.answer(claim.attempt_id, make.cut())
    attempt = await ledger.attempt(claim.attempt_id)
    assert (attempt.reserved_musd, attempt.cost_musd, attempt.billed) == (None, None, "maybe")
    assert (await ledger.spend()).used_musd == 0


async def test_two_gateways_sell_the_same_request_apart(database: Any, make: Any) -> None:
    """The key of what is paid for is (gateway, fingerprint)."""
    ledger = await make.start(database.open())
    await ledger.record_plan("other-out", "other", "plan", [make.row(0)])
    first = await make.buy(ledger)
    second = await ledger.claim("other", make.request())
    assert isinstance(second, Claim)
    assert second.idempotency_key != first.idempotency_key


async def test_a_young_key_is_asked_again_where_the_gateway_honours_it(database: Any, make: Any) -> None:
    """Unknown, the same bytes, within the time the gateway remembers: the same key, counted and reserved."""
    ledger = await make.start(database.open())
    first = await make.buy(ledger, key_ttl_s=60)
    await ledger.answer(first.attempt_id, make.cut())
    database.clock.pass_time(59)
    again = await make.buy(ledger, key_ttl_s=60)
    assert (again.idempotency_key, again.purchase_idx) == (first.idempotency_key, 1)
    assert (first.is_replay, again.is_replay) == (False, True)
    spend = await ledger.spend()
    assert (spend.open_musd, spend.held_musd) == (100, 100)


@pytest.mark.parametrize(
    ("seconds", "other"),
    [
        (60, {"key_ttl_s": 60}),
        (-5, {"key_ttl_s": 60}),
        (1, {"key_ttl_s": 60, "body_sha256": "another"}),
        (1, {"key_ttl_s": None}),
    ],
    ids=["too old", "clock set back", "other bytes", "not honoured"],
)
async def test_a_key_that_may_be_forgotten_is_not_asked_again(
    seconds: float, other: dict[str, Any], database: Any, make: Any
) -> None:
    """What might be a second sale is held."""
    ledger = await make.start(database.open())
    await ledger.answer((await make.buy(ledger)).attempt_id, make.cut())
    database.clock.now += timedelta(seconds=seconds)
    declined = await ledger.claim(make.gateway, make.request(**other))
    assert isinstance(declined, Declined)
    assert declined.reason == "unknown"


async def test_a_key_that_is_forgotten_while_its_claim_waits_is_not_asked_again(
    database: Any, make: Any
) -> None:
    """Another process may hold the ledger for up to a minute: the key's age is that of the written claim."""
    ledger = await make.start(database.open())
    await ledger.answer((await make.buy(ledger)).attempt_id, make.cut())
    database.clock.pass_time(29)
    held, released = threading.Event(), threading.Event()

    def hold(conn: Any) -> None:
        held.set()
        released.wait()

    holding = asyncio.create_task(asyncio.to_thread(database.apply, hold))
    await asyncio.to_thread(held.wait)
    claiming = asyncio.create_task(ledger.claim(make.gateway, make.request(key_ttl_s=30)))
    await asyncio.sleep(0)
    database.clock.pass_time(2)
    released.set()
    declined = await claiming
    assert isinstance(declined, Declined)
    assert declined.reason == "unknown"
    await holding


async def test_a_keys_time_counts_from_its_first_post(database: Any, make: Any) -> None:
    """Asking again does not make the gateway remember longer."""
    ledger = await make.start(database.open())
    for _ in range(2):
        claim = await make.buy(ledger, key_ttl_s=60, max_purchases=9)
        await ledger.answer(claim.attempt_id, make.cut())
        database.clock.pass_time(40)
    declined = await ledger.claim(make.gateway, make.request(key_ttl_s=60, max_purchases=9))
    assert isinstance(declined, Declined)
    assert declined.reason == "unknown"


async def test_a_definite_answer_is_not_asked_for_again(database: Any, make: Any) -> None:
    """A gateway that said its generation failed would sell the next one under another key: it is held."""
    ledger = await make.start(database.open())
    claim = await make.buy(ledger, key_ttl_s=60)
    await ledger.answer(claim.attempt_id, make.cut(status="failed", retry="resubmit_once"))
    declined = await ledger.claim(make.gateway, make.request(key_ttl_s=60))
    assert isinstance(declined, Declined)
    assert declined.reason == "unknown"


async def test_a_refund_under_a_replayed_key_leaves_the_first_post_unknown(database: Any, make: Any) -> None:
    """409 or 429 says nothing about the first POST: still held, still its key, no purchase more."""
    ledger = await make.start(database.open())
    first = await make.buy(ledger, key_ttl_s=60)
    await ledger.answer(first.attempt_id, make.cut())
    for _ in range(3):
        again = await make.buy(ledger, key_ttl_s=60)
        await ledger.answer(again.attempt_id, make.throttled())
        assert (again.idempotency_key, again.is_replay) == (first.idempotency_key, True)
    standing = await make.standing(ledger)
    assert (standing.status, standing.next_step, standing.num_purchases) == ("unknown", "hold", 1)
