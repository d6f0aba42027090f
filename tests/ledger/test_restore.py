"""A lost ledger, refilled from what was written beside the videos."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from reelsweep.tasks.ledger.records import Restored
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


async def test_an_attempt_without_a_row_is_an_error(database: Any, make: Any, lost_place: Any) -> None:
    """Attempts of another manifest are not mixed in."""
    remains = await _remains(await _spent_ledger(lost_place, make), [])
    strangers = [replace(attempt, request_fingerprint="other") for attempt in remains.attempts]
    with pytest.raises(LookupError, match="other"):
        await database.open().restore("out", make.gateway, "later", replace(remains, attempts=strangers))
