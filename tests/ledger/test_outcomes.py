"""What came of a POST: taken whenever it comes, never lost, never taken back."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from reelsweep.tasks.gateway.outcome import Choice, Outcome, Usage
from reelsweep.tasks.ledger.records import Answer


async def _address(database: Any, claim: Any) -> str | None:
    query = "SELECT video_url FROM results WHERE attempt_id = :attempt"
    return database.sql(query, attempt=claim.attempt_id)[0].video_url


async def test_an_address_is_known_before_the_download_and_erased_after(database: Any, make: Any) -> None:
    """Between answer and settlement the video can be found again; afterwards its secret address is gone."""
    ledger = await make.start(database.open())
    claim = await make.buy(ledger)
    await ledger.answer(claim.attempt_id, make.success())
    (unfinished,) = await _as_dead(database, ledger, make.gateway)
    assert unfinished.results[0].video_url == make.url
    await ledger.stored(claim.attempt_id, 0, sha256="ab", size_bytes=5, file_name="videos/ab/ab.mp4")
    assert (await ledger.attempt(claim.attempt_id)).results[0].sha256 == "ab"
    await ledger.settle(claim.attempt_id, [make.stored()], "success")
    assert await _address(database, claim) is None
    attempt = await ledger.attempt(claim.attempt_id)
    assert (attempt.state, attempt.video_host) == ("settled", "files.example.com")
    assert attempt.results[0].facts == {"width": 320, "fps": 24.0}
    assert (await make.standing(ledger)).status == "success"
    assert await ledger.unfinished("out", make.gateway) == []


async def _as_dead(database: Any, ledger: Any, gateway: str) -> list[Any]:
    """What another run would find unfinished if this one died."""
    database.sql("UPDATE runs SET state = 'dead'")
    found = await ledger.unfinished("out", gateway)
    database.sql("UPDATE runs SET state = 'live'")
    return found


async def test_a_live_runs_work_is_nobody_elses(database: Any, make: Any) -> None:
    """What a live run is fetching is not listed for others, and cannot be adopted by them."""
    ledger = await make.start(database.open())
    claim = await make.buy(ledger)
    await ledger.answer(claim.attempt_id, make.success())
    other = database.open()
    await other.start_run(make.run("other"))
    assert await other.unfinished("out", make.gateway) == []
    assert (await make.standing(other)).next_step == "wait"
    assert await other.adopt(claim.attempt_id, "other") is False
    await ledger.end_run("run", exit_code=1, summary={})
    assert (await make.standing(other)).next_step == "fetch"
    assert await other.adopt(claim.attempt_id, "other") is True
    assert (await make.standing(ledger)).next_step == "wait"
    await other.settle(claim.attempt_id, [make.stored()], "success")
    assert (await make.standing(ledger)).next_step == "none"


async def test_a_dead_run_takes_over_nothing(database: Any, make: Any) -> None:
    """What it once had is another's to fetch, though nobody has begun."""
    ledger = await make.start(database.open())
    claim = await make.buy(ledger)
    await ledger.answer(claim.attempt_id, make.success())
    database.expire("run")
    other = database.open()
    await other.start_run(make.run("other"))
    assert await ledger.adopt(claim.attempt_id, "run") is False
    assert await other.adopt(claim.attempt_id, "other") is True


async def test_a_failed_download_keeps_its_address(database: Any, make: Any) -> None:
    """`failed_to_download` is paid for: it is fetched again, and bought again only when asked for."""
    ledger = await make.start(database.open())
    claim = await make.buy(ledger)
    await ledger.answer(claim.attempt_id, make.success())
    await ledger.settle(
        claim.attempt_id,
        [make.stored(status="failed_to_download", error_type="expired")],
        "failed_to_download",
    )
    standing = await make.standing(ledger)
    assert (standing.status, standing.next_step) == ("failed_to_download", "fetch")
    assert await _address(database, claim) == make.url
    assert await ledger.unfinished("out", "another gateway") == []
    assert [attempt.attempt_id for attempt in await ledger.unfinished("out", make.gateway)] == [
        claim.attempt_id
    ]
    declined = await ledger.claim(make.gateway, make.request())
    assert declined.reason == "failed_billed"
    await ledger.settle(claim.attempt_id, [make.stored()], "success")
    (result,) = (await ledger.attempt(claim.attempt_id)).results
    assert (result.status, result.error_type) == ("success", None)
    assert await _address(database, claim) is None


async def test_a_late_outcome_replaces_unknown(database: Any, make: Any) -> None:
    """A run that was taken for dead still delivers what it was sent."""
    stalled = await make.start(database.open())
    claim = await make.buy(stalled)
    database.expire("run")
    other = database.open()
    await other.start_run(make.run("other"))
    assert (await make.standing(other)).status == "unknown"
    assert (await other.spend()).held_musd == 100
    await stalled.answer(claim.attempt_id, make.success())
    await stalled.settle(claim.attempt_id, [make.stored()], "success")
    assert (await make.standing(other)).status == "success"
    spend = await other.spend()
    assert (spend.settled_musd, spend.open_musd, spend.held_musd) == (80, 0, 0)


async def test_a_late_withdrawal_of_what_was_taken_for_sent(database: Any, make: Any) -> None:
    """A stalled owner that wakes before it sent says so: refunded and free, not `unknown` for ever."""
    stalled = await make.start(database.open())
    claim = await make.buy(stalled)
    database.expire("run")
    await database.open().start_run(make.run("other"))
    await stalled.withdraw(claim.attempt_id, "the lease was lost before the request began")
    standing = await make.standing(stalled)
    assert (standing.status, standing.next_step) == ("planned", "buy")
    assert (await stalled.spend()).used_musd == 0


async def test_a_late_refund_frees_an_unknown_row(database: Any, make: Any) -> None:
    """Reconciling finds that an unknown POST was throttled: it is bought again as if never sent."""
    ledger = await make.start(database.open())
    claim = await make.buy(ledger)
    await ledger.answer(claim.attempt_id, make.cut())
    await ledger.answer(claim.attempt_id, make.throttled())
    standing = await make.standing(ledger)
    assert (standing.status, standing.next_step, standing.num_purchases) == ("failed", "buy", 0)


async def test_a_second_success_is_surplus_with_its_cost(database: Any, make: Any) -> None:
    """An unknown POST that was bought again and then succeeds too: both are paid for, one is the result."""
    ledger = await make.start(database.open())
    first = await make.buy(ledger)
    await ledger.answer(first.attempt_id, make.cut())
    second = await make.buy(ledger, allow=frozenset({"unknown"}))
    await ledger.answer(second.attempt_id, make.success(completion_id="job-2"))
    await ledger.settle(second.attempt_id, [make.stored()], "success")
    await ledger.answer(first.attempt_id, make.success(completion_id="job-1"))
    assert (await ledger.attempt(first.attempt_id)).state == "surplus"
    assert await _address(database, first) is None
    standing = await make.standing(ledger)
    assert (standing.status, standing.attempt_id, standing.num_purchases) == ("success", second.attempt_id, 2)
    assert (await ledger.spend()).settled_musd == 160


async def test_a_late_outcome_leaves_the_claim_of_who_is_sending(database: Any, make: Any) -> None:
    """An old POST's refusal arrives while another run has bought the row again: still that run's row."""
    stalled = await make.start(database.open())
    first = await make.buy(stalled)
    database.expire("run")
    other = database.open()
    await other.start_run(make.run("other"))
    await make.buy(other, run_id="other", allow=frozenset({"unknown"}))
    await stalled.answer(first.attempt_id, make.throttled())
    assert (await make.standing(stalled)).next_step == "wait"
    (row,) = database.sql("SELECT run_id FROM generations WHERE request_fingerprint = 'f0'")
    assert row.run_id == "other"


async def test_a_second_result_is_taken_when_the_first_is_no_good(database: Any, make: Any) -> None:
    """What was paid for twice is not lost because the first of the two did not decode."""
    ledger = await make.start(database.open())
    first = await make.buy(ledger)
    await ledger.answer(first.attempt_id, make.cut())
    second = await make.buy(ledger, allow=frozenset({"unknown"}))
    await ledger.answer(second.attempt_id, make.success())
    await ledger.answer(first.attempt_id, make.success())
    assert (await ledger.attempt(first.attempt_id)).state == "surplus"
    await ledger.settle(second.attempt_id, [make.stored(status="invalid_output")], "invalid_output")
    standing = await make.standing(ledger)
    assert (standing.next_step, standing.attempt_id) == ("fetch", first.attempt_id)
    assert await _address(database, first) == make.url


@pytest.mark.parametrize("order", ["answered late", "cut after its name was seen"])
async def test_one_job_given_twice_for_one_key_is_one_sale(database: Any, make: Any, order: str) -> None:
    """A gateway that honours the key gives the first job back: it is paid for once."""
    ledger = await make.start(database.open())
    first = await make.buy(ledger)
    if order != "answered late":
        await ledger.note(first.attempt_id, task_id="job")
    await ledger.answer(first.attempt_id, make.cut())
    second = await make.buy(ledger, allow=frozenset({"unknown"}))
    await ledger.answer(second.attempt_id, make.success(task_id="job"))
    await ledger.settle(second.attempt_id, [make.stored()], "success")
    if order == "answered late":
        await ledger.answer(first.attempt_id, make.success(task_id="job"))
    spend = await ledger.spend()
    assert (spend.settled_musd, spend.used_musd) == (80, 80)
    assert (await make.standing(ledger)).num_purchases == 1


async def test_of_two_results_stored_one_is_the_success(database: Any, make: Any) -> None:
    """Two fetches of one row that were under way at once: the second is surplus, and both are paid for."""
    ledger = await make.start(database.open())
    first = await make.buy(ledger)
    await ledger.answer(first.attempt_id, make.success())
    await ledger.settle(first.attempt_id, [make.stored(status="failed_to_download")], "failed_to_download")
    second = await make.buy(ledger, allow=frozenset({"failed_billed"}))
    await ledger.answer(second.attempt_id, make.success())
    for claim in (second, first):
        await ledger.settle(claim.attempt_id, [make.stored()], "success")
    states = [(await ledger.attempt(claim.attempt_id)).state for claim in (second, first)]
    assert sorted(states) == ["settled", "surplus"]
    assert (await ledger.spend()).settled_musd == 160
    assert (await make.standing(ledger)).status == "success"


async def test_a_success_is_never_taken_back(database: Any, make: Any) -> None:
    """Whatever is said about a settled success afterwards, it stays, and its file with it."""
    ledger = await make.start(database.open())
    claim = await make.buy(ledger)
    await ledger.answer(claim.attempt_id, make.success())
    await ledger.settle(claim.attempt_id, [make.stored()], "success")
    await ledger.answer(claim.attempt_id, make.cut())
    await ledger.answer(claim.attempt_id, make.refused())
    await ledger.settle(
        claim.attempt_id, [make.stored(status="invalid_output", sha256="xx")], "invalid_output"
    )
    attempt = await ledger.attempt(claim.attempt_id)
    assert (attempt.state, attempt.kind, attempt.results[0].sha256) == ("settled", "succeeded", "ab")
    assert (await make.standing(ledger)).status == "success"
    assert (await ledger.spend()).settled_musd == 80


@pytest.mark.parametrize("late", ["cut", "refused", "no_video", "throttled"])
async def test_a_result_stays_until_it_is_settled(database: Any, make: Any, late: str) -> None:
    """A stalled run's stream breaks after another run was told the result: address and cost are kept."""
    ledger = await make.start(database.open())
    claim = await make.buy(ledger)
    await ledger.answer(claim.attempt_id, make.success())
    await ledger.answer(claim.attempt_id, getattr(make, late)())
    assert (await make.standing(ledger)).next_step == "wait"
    assert await _address(database, claim) == make.url
    assert (await ledger.spend()).used_musd == (await ledger.spend()).settled_musd == 80


@pytest.mark.parametrize(
    ("first", "money"), [("refused", (0, 100)), ("no_video", (80, 0)), ("rejected", (0, 0))]
)
async def test_a_cut_takes_back_no_definite_answer(
    database: Any, make: Any, first: str, money: tuple[int, int]
) -> None:
    """An end that nobody saw says nothing against one that somebody was told."""
    ledger = await make.start(database.open())
    claim = await make.buy(ledger)
    await ledger.answer(claim.attempt_id, getattr(make, first)())
    before = await make.standing(ledger)
    await ledger.answer(claim.attempt_id, make.cut())
    assert await make.standing(ledger) == before
    spend = await ledger.spend()
    assert (spend.settled_musd, spend.held_musd) == money


async def test_a_job_that_is_lost_after_it_was_submitted_is_unknown(database: Any, make: Any) -> None:
    """An acknowledgement is no end: when nobody knows the job any more, its money stays reserved."""
    ledger = await make.start(database.open())
    claim = await make.buy(ledger)
    outcome = Outcome(status="submitted", billed="yes", task_id="job")
    submitted = Answer(outcome=outcome, manifest_status="in_progress", billed="yes", cost_musd=None)
    await ledger.answer(claim.attempt_id, submitted)
    await ledger.answer(claim.attempt_id, make.cut())
    assert (await make.standing(ledger)).status == "unknown"
    assert (await ledger.spend()).held_musd == 100


@pytest.mark.parametrize(("cost", "worst", "settled"), [(300, 300, 100), (150, 300, 50), (10, 20, 50)])
async def test_an_old_post_costs_what_was_asked_when_it_left(
    database: Any, make: Any, cost: int, worst: int, settled: int
) -> None:
    """A run with another price that hears of an earlier one's purchase settles no more than was reserved."""
    ledger = await make.start(database.open())
    await ledger.set_budget(100)
    claim = await make.buy(ledger)
    await ledger.cut("run")
    await ledger.answer(claim.attempt_id, replace(make.success(cost_musd=cost), worst_musd=worst))
    spend = await ledger.spend()
    assert (spend.settled_musd, spend.used_musd) == (settled, settled)


@pytest.mark.parametrize("late", ["success", "cut", "refused", "rejected", "throttled"])
async def test_what_a_bill_charged_stands(database: Any, make: Any, late: str) -> None:
    """Whatever is heard of an attempt after its bill, the bill says what it cost."""
    ledger = await make.start(database.open())
    claim = await make.buy(ledger)
    await ledger.cut("run")
    await ledger.decide(claim.attempt_id, billed="yes", cost_musd=90)
    await ledger.answer(claim.attempt_id, getattr(make, late)())
    attempt = await ledger.attempt(claim.attempt_id)
    assert (attempt.billed, attempt.cost_musd, attempt.cost_source) == ("yes", 90, "bill")
    assert (await ledger.spend()).used_musd == 90


async def test_what_a_bill_charged_is_not_given_back_by_a_replay(database: Any, make: Any) -> None:
    """A second POST under the key may be the same sale, but not one that the bill has not charged."""
    ledger = await make.start(database.open())
    first = await make.buy(ledger)
    await ledger.answer(first.attempt_id, make.cut())
    await ledger.decide(first.attempt_id, billed="yes", cost_musd=90)
    again = await make.buy(ledger, key_ttl_s=60)
    await ledger.answer(again.attempt_id, replace(make.success(), key_ttl_s=60))
    await ledger.answer(first.attempt_id, replace(make.success(), key_ttl_s=60))
    attempt = await ledger.attempt(first.attempt_id)
    assert (attempt.state, attempt.billed, attempt.cost_musd) == ("surplus", "yes", 90)


async def test_a_maybe_takes_no_refund_back(database: Any, make: Any) -> None:
    """What a replay's answer gave back stays given back when the first POST's stream breaks later."""
    ledger = await make.start(database.open())
    first = await make.buy(ledger)
    await ledger.cut("run")
    again = await make.buy(ledger, key_ttl_s=60)
    await ledger.answer(again.attempt_id, replace(make.no_video(), key_ttl_s=60))
    await ledger.answer(first.attempt_id, make.cut())
    assert (await make.standing(ledger)).num_purchases == 1
    assert (await ledger.spend()).used_musd == 80


async def test_twice_comes_to_the_same(database: Any, make: Any) -> None:
    """Every verb may be applied again, as after a commit whose reply was lost."""
    ledger = await make.start(database.open())
    claim = await make.buy(ledger)
    for _ in range(2):
        await ledger.note(claim.attempt_id, task_id="t", first_event_at=database.clock.now)
    for _ in range(2):
        await ledger.answer(claim.attempt_id, make.success())
    for _ in range(2):
        await ledger.stored(claim.attempt_id, 0, sha256="ab", size_bytes=5, file_name="videos/ab/ab.mp4")
    before = None
    for _ in range(2):
        await ledger.settle(claim.attempt_id, [make.stored()], "success")
        after = (await ledger.attempt(claim.attempt_id), await ledger.spend(), await make.standing(ledger))
        assert before in (None, after)
        before = after
    assert after[1].settled_musd == 80


async def test_a_submitted_job_is_asked_for_not_bought(database: Any, make: Any) -> None:
    """An acknowledged job is paid for: it is polled until it ends, and costs once."""
    ledger = await make.start(database.open())
    claim = await make.buy(ledger)
    outcome = Outcome(status="submitted", retry="poll_status_url", billed="yes", task_id="job")
    submitted = Answer(outcome=outcome, manifest_status="in_progress", billed="yes", cost_musd=None)
    await ledger.answer(claim.attempt_id, submitted)
    assert (await ledger.spend()).held_musd == 100
    await ledger.end_run("run", exit_code=1, summary={})
    standing = await make.standing(ledger)
    assert (standing.status, standing.next_step) == ("in_progress", "recover")
    await ledger.answer(claim.attempt_id, make.success())
    assert (await make.standing(ledger)).next_step == "fetch"
    assert (await ledger.attempt(claim.attempt_id)).gateway_task_id == "job"
    assert (await ledger.spend()).settled_musd == 80


async def test_a_task_id_makes_a_cut_row_recoverable(database: Any, make: Any) -> None:
    """A stream cut after its task id is asked for by that id; one without is held."""
    ledger = await make.start(database.open())
    named, nameless = await make.buy(ledger, 0), await make.buy(ledger, 1)
    await ledger.note(named.attempt_id, task_id="job")
    for claim in (named, nameless):
        await ledger.answer(claim.attempt_id, make.cut())
    assert (await make.standing(ledger, 0)).next_step == "recover"
    assert (await make.standing(ledger, 1)).next_step == "hold"


async def test_text_is_kept_from_answer_to_settlement(database: Any, make: Any) -> None:
    """A text result survives a crash before it was settled, and a settlement that does not repeat it."""
    ledger = await make.start(database.open())
    claim = await make.buy(ledger)
    choices = (Choice(choice_idx=0, text="a"), Choice(choice_idx=1, text="b", finish_reason="stop"))
    outcome = Outcome(status="succeeded", billed="yes", choices=choices)
    await ledger.answer(
        claim.attempt_id, Answer(outcome=outcome, manifest_status="success", billed="yes", cost_musd=1)
    )
    assert (await make.standing(ledger)).status == "in_progress"
    await ledger.settle(
        claim.attempt_id,
        [make.stored(choice_idx=n, file_name=None, sha256=None) for n in range(2)],
        "success",
    )
    results = (await ledger.attempt(claim.attempt_id)).results
    assert [(result.text, result.finish_reason) for result in results] == [("a", None), ("b", "stop")]


async def test_hostile_values_never_lose_an_outcome(database: Any, make: Any) -> None:
    """NUL, lone surrogates and numbers beyond 64 bits in an answer do not keep it from being recorded."""
    ledger = await make.start(database.open())
    claim = await make.buy(ledger)
    bad = "x\0y\ud800z\U0001f600"
    choices = (Choice(choice_idx=0, video_url="http://[bad", text=bad, tool_calls=bad, finish_reason=bad),)
    outcome = Outcome(
        status="succeeded",
        billed="yes",
        choices=choices,
        error_message=bad,
        request_id=bad,
        served_model=bad,
        usage=Usage(prompt_tokens=10**30, completion_tokens=7),
    )
    await ledger.answer(
        claim.attempt_id, Answer(outcome=outcome, manifest_status="in_progress", billed="yes", cost_musd=1)
    )
    await ledger.settle(claim.attempt_id, [make.stored(facts={"big": 10**30, "bad": bad})], "success")
    attempt = await ledger.attempt(claim.attempt_id)
    assert attempt.served_model == "x\ufffdy?z\U0001f600"
    assert (attempt.usage_prompt_tokens, attempt.usage_completion_tokens) == (None, 7)
    assert attempt.video_host is None
    assert attempt.results[0].facts["bad"] == bad


async def test_a_bill_settles_or_frees_what_is_held(database: Any, make: Any) -> None:
    """`decide` turns a reservation into a cost or gives it back; what was not billed may be bought."""
    ledger = await make.start(database.open())
    claims = [await make.buy(ledger, number) for number in range(2)]
    for claim in claims:
        await ledger.answer(claim.attempt_id, make.cut())
    assert (await ledger.spend()).held_musd == 200
    await ledger.decide(claims[0].attempt_id, billed="yes", cost_musd=90)
    await ledger.decide(claims[1].attempt_id, billed="no", cost_musd=None)
    spend = await ledger.spend()
    assert (spend.settled_musd, spend.held_musd) == (90, 0)
    attempt = await ledger.attempt(claims[0].attempt_id)
    assert (attempt.billed, attempt.cost_musd, attempt.cost_source) == ("yes", 90, "bill")
    assert (await make.standing(ledger, 0)).next_step == "hold"
    assert (await make.standing(ledger, 1)).next_step == "buy"
    again = await make.buy(ledger, 1)
    assert again.idempotency_key == claims[1].idempotency_key


async def test_an_attempt_nobody_knows_is_an_error(database: Any, make: Any) -> None:
    """Writing to the wrong ledger is noticed."""
    ledger = await make.start(database.open())
    with pytest.raises(LookupError):
        await ledger.answer("nope", make.success())
    with pytest.raises(LookupError):
        await ledger.attempt("nope")


@pytest.mark.parametrize(("ttl_s", "used"), [(60.0, 80), (1.0, 180), (None, 180)])
async def test_posts_under_one_key_are_one_sale_while_the_gateway_remembers_it(
    ttl_s: float | None, used: int, database: Any, make: Any
) -> None:
    """The first POST's reservation is given back by the answer to the second; too late, it stays held."""
    ledger = await make.start(database.open())
    first = await make.buy(ledger)
    await ledger.answer(first.attempt_id, make.cut())
    database.clock.pass_time(5)
    again = await make.buy(ledger, allow=frozenset({"unknown"}))
    await ledger.answer(again.attempt_id, replace(make.success(), key_ttl_s=ttl_s))
    assert (await ledger.spend()).used_musd == used


async def test_two_jobs_under_one_key_are_two_sales(database: Any, make: Any) -> None:
    """Whatever a profile says of its keys: where the gateway names two jobs, it has sold twice."""
    ledger = await make.start(database.open())
    first = await make.buy(ledger)
    await ledger.note(first.attempt_id, task_id="job-1")
    await ledger.answer(first.attempt_id, make.cut())
    again = await make.buy(ledger, key_ttl_s=60)
    await ledger.answer(again.attempt_id, replace(make.success(task_id="job-2"), key_ttl_s=60))
    assert (await ledger.spend()).used_musd == 180
    await ledger.answer(first.attempt_id, replace(make.success(task_id="job-1"), key_ttl_s=60))
    assert (await ledger.attempt(first.attempt_id)).state == "surplus"
    assert (await ledger.spend()).settled_musd == 160


async def test_a_replayed_failure_ends_the_first_post_too(database: Any, make: Any) -> None:
    """What the gateway says again under the key is its answer to both: nothing is held, nothing bought."""
    ledger = await make.start(database.open())
    first = await make.buy(ledger)
    await ledger.answer(first.attempt_id, make.cut())
    again = await make.buy(ledger, key_ttl_s=60)
    await ledger.answer(again.attempt_id, replace(make.no_video(), key_ttl_s=60))
    standing = await make.standing(ledger)
    assert (standing.status, standing.next_step, standing.num_purchases) == ("failed", "none", 1)
    assert (await ledger.spend()).used_musd == 80


@pytest.mark.parametrize(("end", "reason"), [("no_video", "failed_billed"), ("refused", "final")])
async def test_the_first_posts_end_is_the_rows_end_whatever_was_asked_since(
    database: Any, make: Any, end: str, reason: str
) -> None:
    """The replay was cut, then the first POST was answered: one sale, over, not bought again by itself."""
    ledger = await make.start(database.open())
    first = await make.buy(ledger)
    await ledger.cut("run")
    again = await make.buy(ledger, key_ttl_s=60)
    await ledger.answer(again.attempt_id, make.cut())
    await ledger.answer(first.attempt_id, replace(getattr(make, end)(), key_ttl_s=60))
    assert (await make.standing(ledger)).next_step == "none"
    declined = await ledger.claim(make.gateway, make.request(key_ttl_s=60, max_purchases=9))
    assert declined.reason == reason
    if reason == "failed_billed":
        third = await make.buy(ledger, allow=frozenset({"failed_billed"}))
        assert third.idempotency_key != first.idempotency_key


async def test_an_answer_that_sold_nothing_says_nothing_of_the_first_post(database: Any, make: Any) -> None:
    """It may be to the second POST alone: the first stays reserved until a bill decides."""
    ledger = await make.start(database.open())
    first = await make.buy(ledger)
    await ledger.answer(first.attempt_id, make.cut())
    again = await make.buy(ledger, key_ttl_s=60)
    await ledger.answer(again.attempt_id, replace(make.rejected(), key_ttl_s=60))
    standing = await make.standing(ledger)
    assert (standing.status, standing.next_step, standing.num_purchases) == ("failed", "none", 1)
    spend = await ledger.spend()
    assert (spend.settled_musd, spend.held_musd) == (0, 100)


async def test_the_first_answer_comes_after_the_second(database: Any, make: Any) -> None:
    """Late, and of the same sale: kept as surplus, and not paid for twice."""
    ledger = await make.start(database.open())
    first = await make.buy(ledger)
    await ledger.cut("run")
    again = await make.buy(ledger, key_ttl_s=60)
    await ledger.answer(again.attempt_id, replace(make.success(), key_ttl_s=60))
    await ledger.answer(first.attempt_id, replace(make.success(), key_ttl_s=60))
    assert (await ledger.attempt(first.attempt_id)).state == "surplus"
    assert (await ledger.spend()).used_musd == 80
