"""A lost ledger, refilled from what was written beside the videos."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from reelsweep.prompts.fingerprint import request_fingerprint
from reelsweep.prompts.told import told_digest
from reelsweep.tasks.ledger.records import Declined, PlanRow, Restored
from reelsweep.tasks.ledger.restore import Remains


@pytest.fixture
def lost_place(make: Any, tmp_path: Path) -> Iterator[Any]:
    """Where the ledger was that is lost."""
    made = make.Database(f"sqlite:///{tmp_path / 'lost' / 'ledger.db'}")
    yield made
    made.close()


async def _spent_ledger(database: Any, make: Any) -> Any:
    """A ledger with a success, a surplus, a refusal, a failed download, an unknown and an open POST."""
    ledger = await make.start(database.open(), rows=7)
    first = await make.buy(ledger, 0)
    await ledger.answer(first.attempt_id, make.cut())
    second = await make.buy(ledger, 0, allow=frozenset({"unknown"}))
    for claim in (second, first):
        await ledger.answer(claim.attempt_id, make.success())
    await ledger.settle(second.attempt_id, [make.stored()], "success")
    await ledger.answer((await make.buy(ledger, 1)).attempt_id, make.refused())
    expired = await make.buy(ledger, 2)
    await ledger.answer(expired.attempt_id, make.success())
    await ledger.settle(expired.attempt_id, [make.stored(status="failed_to_download")], "failed_to_download")
    await ledger.answer((await make.buy(ledger, 3)).attempt_id, make.throttled())
    await ledger.answer((await make.buy(ledger, 4)).attempt_id, make.cut())
    await make.buy(ledger, 5)
    await ledger.record_plan("out", make.gateway, "later", [make.row(n) for n in range(6)])
    return ledger


def _told(row: PlanRow) -> str:
    parts = row.request_fingerprint, row.prompt_id, row.output, row.params, row.meta, row.follows
    return told_digest(*parts).hex()


async def _remains(ledger: Any, suspects: list[str]) -> Remains:
    def read() -> Remains:
        rows = [(line.plan, line.in_plan) for line in ledger.lines("out")]
        return Remains(rows=rows, attempts=list(ledger.attempt_lines("out")), suspects=suspects)

    return await asyncio.to_thread(read)


async def test_what_the_manifest_knows_comes_back(database: Any, make: Any, lost_place: Any) -> None:
    """Standings, results, money and lines are those of the lost ledger; what was in flight is unknown."""
    lost = await _spent_ledger(lost_place, make)
    remains = await _remains(lost, [])
    new = database.open()
    restored = await new.restore("out", make.gateway, "later", remains)
    assert restored == Restored(rows=7, attempts=7, unknown=0)
    await lost.end_run("run", exit_code=1, summary={})
    before = await lost.standings(make.gateway, None, "out")
    assert await new.standings(make.gateway, None, "out") == before
    assert await new.spend() == await lost.spend()
    lines = [await asyncio.to_thread(list, ledger.lines("out")) for ledger in (lost, new)]
    for old, found in zip(*lines, strict=True):
        assert (found.plan, found.in_plan, found.status) == (old.plan, old.in_plan, old.status)
        assert (found.attempt and found.attempt.results) == (old.attempt and old.attempt.results)
        assert found.cost_musd == old.cost_musd


async def test_what_may_have_been_bought_since_is_held(database: Any, make: Any, lost_place: Any) -> None:
    """Rows without a final status are `unknown` after a crash, the planned ones too, and not bought."""
    lost = await _spent_ledger(lost_place, make)
    remains = await _remains(lost, ["f0", "f3", "f4", "f6"])
    new = database.open()
    for unknown in (2, 0):
        restored = await new.restore("out", make.gateway, "later", remains)
        assert restored.unknown == unknown
    standings = await new.standings(make.gateway, None, "out")
    steps = {name: (standing.status, standing.next_step) for name, standing in standings.items()}
    assert steps["f0"] == ("success", "none")
    assert steps["f3"] == steps["f4"] == steps["f6"] == ("unknown", "hold")
    await new.start_run(make.run("next"))
    declined = await new.claim(make.gateway, make.request(6, run_id="next"))
    assert declined.reason == "unknown"
    again = await make.buy(new, 6, run_id="next", allow=frozenset({"unknown"}))
    assert again.purchase_idx == 1


async def test_a_post_that_no_row_asks_for_is_found_by_the_plan_that_does(
    database: Any, make: Any, lost_place: Any
) -> None:
    """It stands as its attempts say, is published with them, and is not bought again."""
    remains = await _remains(await _spent_ledger(lost_place, make), [])
    new = database.open()
    await new.restore("out", make.gateway, "later", Remains(attempts=remains.attempts))
    posts = await asyncio.to_thread(list, new.attempt_lines("out"))
    assert [post.attempt_id for post in posts] == [post.attempt_id for post in remains.attempts]
    assert await asyncio.to_thread(list, new.lines("out")) == []
    assert await asyncio.to_thread(list, new.attempt_lines("another")) == []
    await make.start(new, rows=7, run_id="next")
    reasons = []
    for number in range(7):
        got = await new.claim(make.gateway, make.request(number, run_id="next"))
        reasons.append(got.reason if isinstance(got, Declined) else "bought")
    expected = ["final", "final", "failed_billed", "bought", "unknown", "unknown", "bought"]
    assert reasons == expected, (
        "a success, a refusal, a failed download, a refund, two unknowns and a new one"
    )


async def test_a_request_that_is_known_in_part_is_completed_by_the_plan_that_asks(
    database: Any, make: Any
) -> None:
    """The hash tells which part is missing; a whole request stays as it was sent."""
    payload = {"model": "model", "stop": ["a"], "user": "me"}
    rows = [make.row(n, request_fingerprint=request_fingerprint({**payload, "seed": n}, 0)) for n in range(3)]
    whole = [replace(row, payload=json.dumps({**payload, "seed": row.seed})) for row in rows]
    remains = Remains(rows=[(rows[0], True), (whole[1], True)], attempts=[])
    ledger = database.open()
    await ledger.restore("out", make.gateway, "plan", remains)
    told = [_told(row) for row in whole]
    kept = await ledger.kept("out", make.gateway, lambda place: told[place] if place < 3 else None)
    assert [place in kept for place in range(3)] == [False, True, False]
    other_user = replace(whole[1], payload=json.dumps({**payload, "seed": 1, "user": "you"}), ordinal=5)
    await ledger.record_plan("out", make.gateway, "next", [whole[0], other_user, whole[2]])
    for row in whole:
        assert await ledger.payload(make.gateway, row.request_fingerprint) == row.payload
    kept = await ledger.kept("out", make.gateway, lambda place: told[place] if place < 3 else None)
    assert 0 in kept


async def test_an_out_has_a_run_at_each_of_its_gateways(database: Any, make: Any) -> None:
    """Whoever asks where something is open asks the runs: a supposed POST may be under another one's."""
    ledger = await make.start(database.open(), rows=0)
    for out_id in ("out", "other"):
        for gateway in (make.gateway, "https://second.example.com"):
            await ledger.restore(out_id, gateway, "plan", Remains(rows=[(make.row(0), True)], attempts=[]))
        assert {run["gateway"] for run in await ledger.runs(out_id)} == {make.gateway, gateway}
    assert len(await ledger.runs()) == 4


async def test_a_post_comes_behind_all_that_are_known(database: Any, make: Any, lost_place: Any) -> None:
    """No file tells of a withdrawn one, so there are fewer than their places say."""
    lost = await make.start(lost_place.open(), rows=1)
    await lost.withdraw((await make.buy(lost)).attempt_id, "cancelled")
    await lost.answer((await make.buy(lost)).attempt_id, make.throttled())
    ledger = await make.start(database.open(), rows=1)
    await ledger.restore("out", make.gateway, "plan", await _remains(lost, []))
    assert (await make.buy(ledger)).attempt_idx == 2
    assert [it.attempt_idx for it in await ledger.attempts_of(make.gateway, "f0")] == [1, 2]
