"""Whether a ledger knows every POST that some files name."""

from __future__ import annotations

from typing import Any

import pytest
from reelsweep.tasks.ledger import lookups
from reelsweep.tasks.ledger.records import ToldPosts


async def test_one_unknown_post_among_many_is_noticed(
    database: Any, make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Oldest, newest or between, in whichever piece of the list; more than it names may be there."""
    monkeypatch.setattr(lookups, "_NAMES_AT_ONCE", 2)
    ledger = await make.start(database.open(), rows=6)
    known = [(await make.buy(ledger, number)).attempt_id for number in range(6)]
    for end in range(7):
        assert not await ledger.lacks_any(known[:end])
        assert not await ledger.lacks_any(known[end:])
        assert await ledger.lacks_any([*known[:end], "another", *known[end:]])


async def test_a_withdrawn_post_is_known(database: Any, make: Any) -> None:
    """The files may have been written while it was still thought of as sent."""
    ledger = await make.start(database.open())
    claim = await make.buy(ledger)
    await ledger.withdraw(claim.attempt_id, "never sent")
    assert not await ledger.lacks_any([claim.attempt_id])


async def test_hostile_names_are_only_unknown(database: Any, make: Any) -> None:
    """What a file says is no SQL and no JSON of ours."""
    ledger = await make.start(database.open())
    for name in ("", "'", '"]', "\\", "ü", "]; DROP TABLE attempts"):
        assert await ledger.lacks_any([name])


async def test_a_line_whose_posts_are_not_all_known_is_noticed(
    database: Any, make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By when its POST was sent, by its request and gateway, and by how many it counts as paid for."""
    monkeypatch.setattr(lookups, "_NAMES_AT_ONCE", 2)
    ledger = await make.start(database.open(), rows=4)
    told: list[ToldPosts] = []
    for number in range(4):
        database.clock.pass_time(1)
        sent_at = (await make.buy(ledger, number)).sent_at
        told.append(ToldPosts(make.gateway, f"f{number}", int(sent_at.timestamp() * 1e6), 1))
    assert not await ledger.lacks_told(told)
    assert not await ledger.lacks_told([])
    for change in (
        {"sent_at_us": told[0].sent_at_us},
        {"request_fingerprint": "f0"},
        {"request_fingerprint": "f9"},
        {"gateway": "https://other.example.com"},
        {"num_purchases": 2},
    ):
        assert await ledger.lacks_told([*told[:3], told[3]._replace(**change)]), change


async def test_a_line_tells_of_a_withdrawn_post_and_of_fewer_than_there_are(database: Any, make: Any) -> None:
    """The files may be older than the ledger."""
    ledger = await make.start(database.open())
    first = await make.buy(ledger)
    await ledger.cut("run")
    database.clock.pass_time(1)
    second = await make.buy(ledger, allow=frozenset({"unknown"}))
    await ledger.withdraw(second.attempt_id, "never sent")
    for claim, num_purchases in ((first, 1), (second, 2)):
        sent_at_us = int(claim.sent_at.timestamp() * 1e6)
        assert not await ledger.lacks_told([ToldPosts(make.gateway, "f0", sent_at_us, num_purchases)])


async def test_hostile_lines_are_only_unknown(database: Any, make: Any) -> None:
    """What a file says is no SQL and no JSON of ours."""
    ledger = await make.start(database.open())
    for name in ("", "'", '"]', "\\", "ü", "]; DROP TABLE attempts"):
        assert await ledger.lacks_told([ToldPosts(name, name, 0, 1)])


async def test_what_was_sent_and_given_back_is_told(database: Any, make: Any) -> None:
    """Neither what was never sent, nor what is held or final."""
    ledger = await make.start(database.open(), rows=4)
    for number, answer in enumerate((make.throttled(), make.cut(), make.refused())):
        await ledger.answer((await make.buy(ledger, number)).attempt_id, answer)
    assert await ledger.given_back() == {(make.gateway, "f0")}


async def test_the_names_of_attempts_are_known_by_whichever_kind_of_id(
    database: Any, make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Keys and what gateways call a POST, in whichever piece of the list; hostile names are only unknown."""
    monkeypatch.setattr(lookups, "_IDS_AT_ONCE", 2)
    ledger = await make.start(database.open(), rows=2)
    first, second = [await make.buy(ledger, number) for number in range(2)]
    await ledger.note(first.attempt_id, task_id="task-7")
    names = [
        first.idempotency_key,
        "another",
        "task-7",
        second.idempotency_key,
        "'",
        '"]',
        "\0",
        "\ud800",
        "",
    ]
    known = {first.idempotency_key, "task-7", second.idempotency_key}
    assert await ledger.known_ids(names) == known
    assert await ledger.known_ids([]) == frozenset()
