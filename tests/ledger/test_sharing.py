"""Two OUTs that shared a lost ledger, made anew in one: what either knows is known, in any order."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from itertools import permutations, product
from pathlib import Path
from typing import Any

import pytest
from reelsweep.tasks.ledger.merging import merged
from reelsweep.tasks.ledger.records import AttemptRecord
from reelsweep.tasks.ledger.restore import Remains
from reelsweep.tasks.ledger.standing import supposed_id

_DOUBT = frozenset({"unknown"})
_PAIRS = [
    ("sent", "made"),
    ("sent", "refused"),
    ("sent", "without a video"),
    ("sent", "throttled"),
    ("cut", "made"),
    ("cut", "charged"),
    ("cut", "made late, after a bill"),
    ("not stored", "made"),
]
"""What the OUT with the older files knows of a POST, and the other one."""


@pytest.fixture
def lost_place(make: Any, tmp_path: Path) -> Iterator[Any]:
    """Where the ledger was that is lost."""
    made = make.Database(f"sqlite:///{tmp_path / 'lost' / 'ledger.db'}")
    yield made
    made.close()


async def _take(ledger: Any, make: Any, number: int, story: str) -> None:
    """Let row `number` come as far as the story goes, from wherever it is."""
    known = await ledger.attempts_of(make.gateway, f"f{number}")
    post = known[0].attempt_id if known else (await make.buy(ledger, number)).attempt_id
    if story == "cut":
        await ledger.answer(post, make.cut())
    if "charged" in story or "bill" in story:
        await ledger.decide(post, billed="yes", cost_musd=90)
    if "made" in story or story == "not stored":
        await ledger.answer(post, make.success())
        status = "success" if "made" in story else "failed_to_download"
        await ledger.settle(post, [make.stored(status=status)], status)
    ends = {"refused": make.refused, "without a video": make.no_video, "throttled": make.throttled}
    if story in ends:
        await ledger.answer(post, ends[story]())


async def _remains(ledger: Any, out_id: str) -> Remains:
    """As files tell it: a POST in flight is unknown there."""

    def read() -> Remains:
        rows = [(line.plan, line.in_plan) for line in ledger.lines(out_id)]
        found = [
            replace(it, state="unknown", billed="maybe") if it.state == "intent" else it
            for it in ledger.attempt_lines(out_id)
        ]
        return Remains(rows=rows, attempts=found)

    return await asyncio.to_thread(read)


async def _two_outs(place: Any, make: Any) -> tuple[Any, dict[str, Remains]]:
    """The ledger, and what the files of its OUTs tell, those of `other` the newer ones."""
    rows = [make.row(number) for number in range(len(_PAIRS))]
    ledger = await make.start(place.open(), rows=len(rows))
    await ledger.record_plan("other", make.gateway, "plan", rows)
    for number, (then, _) in enumerate(_PAIRS):
        await _take(ledger, make, number, then)
    told = {"out": await _remains(ledger, "out")}
    place.clock.pass_time(60)
    for number, (_, since) in enumerate(_PAIRS):
        await _take(ledger, make, number, since)
    return ledger, {**told, "other": await _remains(ledger, "other")}


@pytest.mark.parametrize("order", list(permutations(("out", "other"))), ids="-".join)
async def test_the_newer_knowledge_of_a_post_wins(
    order: tuple[str, str], database: Any, make: Any, lost_place: Any
) -> None:
    """Standings, results and money are those of the lost ledger, and a third time changes nothing."""
    lost, told = await _two_outs(lost_place, make)
    new = database.open()
    for out_id in (*order, order[0]):
        await new.restore(out_id, make.gateway, "plan", told[out_id])
        if out_id == order[1]:
            assert await new.standings(make.gateway, None, "out") == await lost.standings(
                make.gateway, None, "out"
            )
            assert await new.spend() == await lost.spend()
    assert await new.standings(make.gateway, None, "out") == await lost.standings(make.gateway, None, "out")
    assert await new.spend() == await lost.spend()
    for number in range(len(_PAIRS)):
        posts = [await ledger.attempts_of(make.gateway, f"f{number}") for ledger in (lost, new)]
        assert [it.results for it in posts[1]] == [it.results for it in posts[0]], _PAIRS[number]


@pytest.mark.parametrize("order", list(permutations(("out", "other"))), ids="-".join)
async def test_a_supposed_post_goes_where_another_out_knows_what_came_of_the_row(
    order: tuple[str, str], database: Any, make: Any, lost_place: Any
) -> None:
    """It was supposed because one OUT's files are older; a row that could still be sent stays held."""
    lost = await make.start(lost_place.open(), rows=3)
    await lost.record_plan("other", make.gateway, "plan", [make.row(number) for number in range(3)])
    rows = (await _remains(lost, "out")).rows
    await _take(lost, make, 0, "refused")
    await _take(lost, make, 1, "throttled")
    other = await _remains(lost, "other")
    blank = dict.fromkeys(AttemptRecord.__dataclass_fields__)
    supposed = [AttemptRecord(**{**blank, **_supposed(make, number)}) for number in range(3)]
    told = {"out": Remains(rows=rows, attempts=supposed), "other": other}
    new = database.open()
    restored = [await new.restore(out_id, make.gateway, "plan", told[out_id]) for out_id in order]
    assert [it.resolved for it in restored] == ([0, 0] if order[0] == "out" else [0, 1])
    standings = await new.standings(make.gateway, None, "out")
    stands = [(it.status, it.next_step) for _, it in sorted(standings.items())]
    assert stands == [("refused", "none"), ("unknown", "hold"), ("unknown", "hold")]
    assert (await new.spend()).held_musd == 100 + 100 + 100


def _supposed(make: Any, number: int) -> dict[str, Any]:
    return {
        "attempt_id": supposed_id(f"key {number}"),
        "gateway": make.gateway,
        "request_fingerprint": f"f{number}",
        "run_id": "lost",
        "purchase_idx": 0,
        "attempt_idx": 0,
        "idempotency_key": f"key {number}",
        "state": "unknown",
        "billed": "maybe",
        "reserved_musd": 100,
        "sent_at": make.Clock.now,
        "results": (),
    }


async def test_what_a_live_ledger_knows_of_a_post_stays(database: Any, make: Any, lost_place: Any) -> None:
    """Neither an older file nor one that thinks it was sent touches it, nor the claim of its run."""
    _, told = await _two_outs(lost_place, make)
    ledger = await make.start(database.open(), rows=len(_PAIRS))
    await ledger.restore("other", make.gateway, "plan", told["other"])
    again = await make.buy(ledger, 3)
    older = [*told["out"].attempts, replace((await ledger.attempt(again.attempt_id)), state="unknown")]
    before = await ledger.standings(make.gateway, None, "out")
    await ledger.restore("out", make.gateway, "plan", Remains(attempts=older))
    assert await ledger.standings(make.gateway, None, "out") == before
    assert before["f3"].next_step == "wait"


def test_it_comes_to_the_same_whoever_is_heard_first(make: Any) -> None:
    """Of any two that tell of one POST, for ends, bills and clips of all kinds."""
    blank = dict.fromkeys(AttemptRecord.__dataclass_fields__)
    base = AttemptRecord(**{**blank, **_supposed(make, 0)})
    instants = (None, make.Clock.now, make.Clock.now.replace(hour=13))
    moneys = [
        ("maybe", None, 100, None),
        ("no", None, 0, None),
        ("yes", 80, 0, "price"),
        ("yes", 90, 0, "bill"),
    ]
    records = [
        replace(
            base,
            state=state,
            completed_at=at,
            billed=billed,
            cost_musd=cost,
            reserved_musd=reserved,
            cost_source=source,
            results=results,
        )
        for at, (billed, cost, reserved, source) in product(instants, moneys)
        for state, results in [("unknown", ()), ("answered", ()), ("settled", (make.stored(),))]
    ]
    for known, told in product(records, records):
        both = merged(known, told)
        assert both == merged(told, known)
        assert merged(both, told) == both
        if known.completed_at == told.completed_at and "maybe" in (known.billed, told.billed):
            assert both.billed != "no", "bills bear no date in the files"
        if "bill" in (known.cost_source, told.cost_source):
            assert both.cost_musd == 90
