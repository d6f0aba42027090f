"""One sale is charged once: POSTs under one key that the gateway remembers, in whatever order they end."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import Any

import pytest

_ENDS = ("success", "no_video", "refused", "cut")
_DOUBT = frozenset({"unknown"})


async def _two_posts(ledger: Any, make: Any) -> list[Any]:
    """The second sent under the first one's key, after the first was cut."""
    first = await make.buy(ledger)
    await ledger.cut("run")
    return [first, await make.buy(ledger, key_ttl_s=60, allow=_DOUBT)]


@pytest.mark.parametrize("ends", list(product(_ENDS, _ENDS)), ids="-".join)
@pytest.mark.parametrize("order", [(0, 1), (1, 0)], ids=["first-second", "second-first"])
async def test_two_posts_of_one_sale_cost_what_one_costs(
    database: Any, make: Any, ends: tuple[str, str], order: tuple[int, int]
) -> None:
    """However both end and whoever is heard first: 80 where an end is billed, else 100 held."""
    ledger = await make.start(database.open())
    posts = await _two_posts(ledger, make)
    for number in order:
        answer = replace(getattr(make, ends[number])(), key_ttl_s=60)
        await ledger.answer(posts[number].attempt_id, answer)
    spend, standing = await ledger.spend(), await make.standing(ledger)
    if {"success", "no_video"} & {*ends}:
        assert (spend.settled_musd, spend.used_musd) == (80, 80)
        assert standing.billed == "yes"
        assert standing.num_purchases == 1
    else:
        assert (spend.settled_musd, spend.held_musd) == (0, 200 if ends == ("cut", "cut") else 100)


@pytest.mark.parametrize("end", ["success", "no_video", "refused"])
async def test_what_a_bill_charged_for_one_post_is_not_charged_for_the_other(
    database: Any, make: Any, end: str
) -> None:
    """A bill names the POST that was cut, with its price: the replay's answer adds nothing."""
    ledger = await make.start(database.open())
    first, second = await _two_posts(ledger, make)
    await ledger.decide(first.attempt_id, billed="yes", cost_musd=90)
    await ledger.answer(second.attempt_id, replace(getattr(make, end)(), key_ttl_s=60))
    assert (await ledger.spend()).used_musd == 90
    assert (await make.standing(ledger)).billed == "yes"


@pytest.mark.parametrize("end", ["success", "no_video", "refused"])
@pytest.mark.parametrize("job", ["job", "another", None])
async def test_a_job_that_a_bill_names_is_one_sale_with_the_post_that_is_given_it(
    database: Any, make: Any, job: str | None, end: str
) -> None:
    """Nothing is said of keys, and the first POST was cut before it said so; another job is another sale."""
    ledger = await make.start(database.open())
    first, second = await _two_posts(ledger, make)
    await ledger.decide(first.attempt_id, billed="yes", cost_musd=90, job_id="job")
    answer = getattr(make, end)()
    outcome = replace(answer.outcome, completion_id=job)
    await ledger.answer(second.attempt_id, replace(answer, outcome=outcome))
    own = 100 if end == "refused" else 80
    assert (await ledger.spend()).used_musd == 90 + (0 if job == "job" else own)
    await ledger.answer(first.attempt_id, make.cut())
    assert (await ledger.attempt(first.attempt_id)).completion_id == "job", "a cut takes nothing back"
    assert (await ledger.spend()).settled_musd >= 90


async def test_a_job_that_is_known_is_not_called_by_another_name(database: Any, make: Any) -> None:
    """The gateway's own word stands before the bill's."""
    ledger = await make.start(database.open())
    claim = await make.buy(ledger)
    await ledger.answer(claim.attempt_id, make.cut(completion_id="job"))
    await ledger.decide(claim.attempt_id, billed="yes", cost_musd=90, job_id="row 7")
    assert (await ledger.attempt(claim.attempt_id)).completion_id == "job"


async def test_a_failure_paid_with_another_post_may_be_bought_again_on_request(
    database: Any, make: Any
) -> None:
    """It was billed, so `--retry-failed` buys it again, and nothing else does."""
    ledger = await make.start(database.open())
    for post in await _two_posts(ledger, make):
        await ledger.answer(post.attempt_id, replace(make.no_video(), key_ttl_s=60))
    declined = await ledger.claim(make.gateway, make.request(max_purchases=9))
    assert declined.reason == "failed_billed"
    await make.buy(ledger, allow=frozenset({"failed_billed"}))


@pytest.mark.parametrize("end", ["success", "no_video"])
async def test_without_a_word_on_keys_two_posts_are_two_sales(database: Any, make: Any, end: str) -> None:
    """Neither a name of the job nor a promise of the gateway: both are paid for."""
    ledger = await make.start(database.open())
    for post in await _two_posts(ledger, make):
        await ledger.answer(post.attempt_id, getattr(make, end)())
    assert (await ledger.spend()).settled_musd == 160


@pytest.mark.parametrize("order", [(0, 1), (1, 0)], ids=["second-third", "third-second"])
async def test_a_gateway_counts_from_the_first_post_under_a_key(
    database: Any, make: Any, order: tuple[int, int]
) -> None:
    """The third was sent when the key was forgotten: it is a sale of its own, near the second as it is."""
    ledger = await make.start(database.open())
    await _two_posts(ledger, make)
    posts: list[Any] = []
    for _ in range(2):
        await ledger.cut("run")
        database.clock.pass_time(40)
        posts.append(await make.buy(ledger, key_ttl_s=60, allow=_DOUBT, max_purchases=9))
    assert posts[0].idempotency_key == posts[1].idempotency_key
    for number in order:
        await ledger.answer(posts[number].attempt_id, replace(make.success(), key_ttl_s=60))
    assert (await ledger.spend()).settled_musd == 160
