"""A plan in the ledger, and the lines that come out of it."""

from __future__ import annotations

import asyncio
from typing import Any

from reelsweep.prompts.told import told_digest
from reelsweep.tasks.ledger.records import Declined, PlanDiff

TOLD = ("request_fingerprint", "prompt_id", "output", "params", "meta", "follows")


async def _lines(ledger: Any, out_id: str = "out") -> list[Any]:
    return await asyncio.to_thread(lambda: list(ledger.lines(out_id)))


async def _record(ledger: Any, make: Any, rows: list[Any], plan_hash: str = "plan") -> PlanDiff:
    return await ledger.record_plan("out", make.gateway, plan_hash, rows)


def changed(
    *, new: int = 0, edited: int = 0, removed: int = 0, same: int = 0, first: bool = False
) -> PlanDiff:
    """What recording a plan is to find."""
    return PlanDiff(is_first=first, new=new, edited=edited, removed=removed, same=same)


async def test_a_plan_comes_back_as_it_was_recorded(database: Any, make: Any) -> None:
    """Every value of a plan row survives the ledger, in the order of the plan."""
    ledger = database.open()
    odd = {
        "prompt": "Zwölf \U0001f9d9\u2028 'quoted'; -- \n",
        "seed": 2**63 - 1,
        "seconds_asked": 0.1,
        "params": {"temperature": 0, "stop": None, "seed": 2**63 - 1, "top_p": 1.0},
        "meta": {"b": None, "a": "x"},
        "follows": "f1",
    }
    rows = [make.row(1), make.row(0, ordinal=0, **odd)]
    assert await _record(ledger, make, rows) == changed(new=2, first=True)
    lines = await _lines(ledger)
    assert [line.plan for line in lines] == [rows[1], rows[0]]
    assert list(lines[0].plan.meta) == ["b", "a"]
    line = lines[0]
    assert (line.status, line.in_plan, line.shared, line.attempt) == ("planned", True, False, None)
    assert (line.plan_hash, line.created_at, line.gateway) == ("plan", database.clock.now, make.gateway)
    assert await ledger.payload(make.gateway, "f1") == rows[0].payload


async def test_only_what_differs_is_written(database: Any, make: Any) -> None:
    """The same plan again writes no row; a moved or edited one changes itself only."""
    ledger = database.open()
    rows = [make.row(number) for number in range(5)]
    await _record(ledger, make, rows)
    database.clock.pass_time(60)
    assert await _record(ledger, make, rows) == changed(same=5)
    edited = [
        make.row(4, ordinal=0),
        make.row(0, ordinal=1, meta={"group": "b"}),
        *(make.row(n, ordinal=n + 1) for n in (1, 2, 3)),
        make.row(7, ordinal=5),
    ]
    assert await _record(ledger, make, edited, "second") == changed(new=1, edited=1, same=4)
    lines = await _lines(ledger)
    assert [line.plan for line in lines] == edited
    assert {line.plan_hash for line in lines} == {"second"}
    assert len({line.created_at for line in lines}) == 2


async def test_rows_never_disappear(database: Any, make: Any) -> None:
    """A row that is no longer asked for stays as a line, names its last plan, and can come back."""
    ledger = database.open()
    await _record(ledger, make, [make.row(number) for number in range(3)], "first")
    assert await _record(ledger, make, [make.row(1, ordinal=0)], "second") == changed(removed=2, same=1)
    lines = await _lines(ledger)
    assert [(line.plan.prompt_id, line.in_plan, line.plan_hash) for line in lines] == [
        ("p1", True, "second"),
        ("p0", False, "first"),
        ("p2", False, "first"),
    ]
    assert (await ledger.tally("out")).counts == {"planned": 1}
    assert await _record(ledger, make, [make.row(2, ordinal=0)], "third") == changed(new=1, removed=1)
    lines = await _lines(ledger)
    assert [(line.plan.prompt_id, line.in_plan, line.plan_hash) for line in lines] == [
        ("p2", True, "third"),
        ("p0", False, "first"),
        ("p1", False, "second"),
    ]


async def test_the_difference_tells_edits_from_rows_that_come_and_go(database: Any, make: Any) -> None:
    """A row in the place of one of the same prompt is an edit; more or fewer of them are new or removed."""
    ledger = database.open()
    fox = [make.row(number, prompt_id="fox") for number in range(3)]
    await _record(ledger, make, [*fox, make.row(7), make.row(8)])
    reworded = [make.row(number + 20, ordinal=number, prompt_id="fox") for number in range(4)]
    assert await _record(ledger, make, [*reworded, make.row(8), make.row(9)]) == changed(
        new=2, edited=3, removed=1, same=1
    )
    assert await _record(ledger, make, [make.row(9), *reworded, make.row(8)]) == changed(same=6)


async def test_two_runs_may_record_one_plan_at_once(database: Any, make: Any) -> None:
    """Whoever is first, every row is there once and what left the plan has left."""
    ledgers = [database.open(), database.open()]
    await _record(ledgers[0], make, [make.row(number) for number in range(5)], "first")
    rows = [make.row(number, ordinal=number - 3) for number in range(3, 5_000)]
    await asyncio.gather(*(_record(ledger, make, rows, "second") for ledger in ledgers))
    lines = await _lines(ledgers[0])
    assert [line.plan for line in lines if line.in_plan] == rows
    assert [line.plan.prompt_id for line in lines if not line.in_plan] == ["p0", "p1", "p2"]


async def test_identical_rows_keep_their_lines(database: Any, make: Any) -> None:
    """Rows that are the same in everything share one generation and stand each for itself."""
    ledger = database.open()
    twins = [make.row(0), make.row(0, ordinal=1), make.row(0, ordinal=2), make.row(1, ordinal=3)]
    assert await _record(ledger, make, twins) == changed(new=4, first=True)
    assert await _record(ledger, make, twins) == changed(same=4)
    assert [(line.plan.ordinal, line.shared) for line in await _lines(ledger)] == [
        (0, True),
        (1, True),
        (2, True),
        (3, False),
    ]
    assert await _record(ledger, make, twins[1:]) == changed(removed=1, same=3)


async def test_a_shared_result_is_charged_once(database: Any, make: Any) -> None:
    """The sum over the lines is what the ledger settled, however many lines share a generation."""
    ledger = database.open()
    await ledger.start_run(make.run())
    rows = [make.row(0), make.row(1, request_fingerprint="f0"), make.row(2)]
    await _record(ledger, make, rows)
    for number in (0, 2):
        claim = await make.buy(ledger, number)
        await ledger.answer(claim.attempt_id, make.success())
        await ledger.settle(claim.attempt_id, [make.stored()], "success")
    lines = await _lines(ledger)
    assert [(line.status, line.cost_musd) for line in lines] == [
        ("success", 80),
        ("success", 0),
        ("success", 80),
    ]
    assert sum(line.cost_musd for line in lines) == (await ledger.spend()).settled_musd
    assert lines[0].attempt == lines[1].attempt
    assert (lines[0].run_id, lines[0].code_version, lines[0].attempt.out_id) == ("run", "1.2.3", "out")
    assert (await ledger.tally("out")).cost_musd == 160


async def test_a_result_shows_in_every_out(database: Any, make: Any) -> None:
    """What one OUT bought, another OUT of the same ledger has too, and sees whose files they are."""
    ledger = await make.start(database.open())
    claim = await make.buy(ledger)
    await ledger.answer(claim.attempt_id, make.success())
    await ledger.settle(claim.attempt_id, [make.stored()], "success")
    await ledger.record_plan("second", make.gateway, "plan", [make.row(0)])
    (line,) = await _lines(ledger, "second")
    assert (line.status, line.attempt.out_id) == ("success", "out")
    declined = await ledger.claim(make.gateway, make.request())
    assert declined.reason == "final"


async def test_lines_are_of_one_moment(database: Any, make: Any) -> None:
    """Lines that began before a change end before it, though thousands of rows lie between."""
    ledger = await make.start(database.open(), rows=2_500)
    lines = ledger.lines("out")
    first = await asyncio.to_thread(next, lines)
    claim = await make.buy(ledger, 2_499)
    await ledger.answer(claim.attempt_id, make.success())
    await ledger.settle(claim.attempt_id, [make.stored()], "success")
    rest = await asyncio.to_thread(list, lines)
    assert [line.plan.ordinal for line in (first, *rest)] == list(range(2_500))
    assert {line.status for line in rest} == {"planned"}
    assert (await _lines(ledger))[-1].status == "success"


async def test_lines_and_posts_of_one_state_agree(database: Any, make: Any) -> None:
    """A POST and a row that came after the first answer are in no later answer of the same state."""
    ledger = await make.start(database.open(), rows=2)
    claim = await make.buy(ledger, 0)
    with ledger.state("out") as state:
        lines = await asyncio.to_thread(list, state.lines())
        await make.buy(ledger, 1)
        await ledger.record_plan("out", make.gateway, "later", [make.row(number) for number in range(3)])
        posts = await asyncio.to_thread(list, state.attempts())
        again = await asyncio.to_thread(list, state.lines())
    assert [post.attempt_id for post in posts] == [claim.attempt_id]
    assert [line.num_attempts for line in lines] == [1, 0]
    assert again == lines
    assert len(await _lines(ledger)) == 3


async def test_attempts_come_oldest_first_without_the_withdrawn(database: Any, make: Any) -> None:
    """Every POST of an OUT is listed once, what was never sent is not one."""
    ledger = await make.start(database.open())
    kept = []
    for number in range(3):
        withdrawn = await make.buy(ledger, number)
        await ledger.withdraw(withdrawn.attempt_id, "cancelled")
        kept.append((await make.buy(ledger, number)).attempt_id)
    listed = await asyncio.to_thread(lambda: [attempt.attempt_id for attempt in ledger.attempt_lines("out")])
    assert listed == kept == sorted(kept)
    assert (await ledger.tally("out")).posts == 3
    assert (await ledger.tally("out", "run")).posts == 3
    assert (await ledger.tally("out", "other")).posts == 0
    history = await ledger.attempts_of(make.gateway, "f0")
    assert [attempt.state for attempt in history] == ["withdrawn", "intent"]


async def test_a_stranger_table_is_noticed(database: Any, make: Any) -> None:
    """Whether a table shares a prompt with what the OUT ever planned is known before it is recorded."""
    ledger = database.open()
    assert await ledger.knows_any_prompt("out", ["p0"]) is None
    await _record(ledger, make, [make.row(0), make.row(1)])
    assert await ledger.knows_any_prompt("out", [*(f"x{n}" for n in range(1_500)), "p1"]) is True
    assert await ledger.knows_any_prompt("out", ["x"]) is False


async def test_what_was_bought_under_another_key_is_noticed(database: Any, make: Any) -> None:
    """A request that changed its fingerprint but not its prompt, model and seed was paid for already."""
    ledger = await make.start(database.open())
    claim = await make.buy(ledger, 0)
    await ledger.answer(claim.attempt_id, make.cut())
    assert await ledger.bought_before("out", make.gateway) == {}
    rekeyed = [make.row(n, row_key=f"new-{n}", request_fingerprint=f"new-{n}") for n in range(3)]
    await _record(ledger, make, rekeyed)
    assert await ledger.bought_before("out", make.gateway) == {"new-0": "f0"}


async def test_standings_of_an_out_are_all_it_ever_planned(database: Any, make: Any) -> None:
    """Asked without fingerprints, the ledger tells of every generation of the OUT and no other's."""
    ledger = await make.start(database.open())
    await ledger.record_plan("other", make.gateway, "plan", [make.row(9)])
    assert set(await ledger.standings(make.gateway, None, "out")) == {"f0", "f1", "f2"}
    asked = [f"f{number}" for number in range(2_000)]
    assert set(await ledger.standings(make.gateway, asked, "out")) == {"f0", "f1", "f2", "f9"}
    assert await ledger.standings("another gateway", None, "out") == {}


async def test_rows_may_come_beside_a_plan(database: Any, make: Any) -> None:
    """They are lines with `in_plan` false; the plan's own stay as they are, whichever is recorded again.

    A row that both ask for is the plan's, with one generation: what was bought beside it is there.
    """
    ledger = database.open()
    await _record(ledger, make, [make.row(0), make.row(1)])
    beside = [make.row(1, prompt="edited"), make.row(2)]
    for _ in range(2):
        await ledger.record_plan("out", make.gateway, "beside", beside, extends=True)
        lines = {line.plan.prompt_id: line for line in await _lines(ledger)}
        assert [lines[name].in_plan for name in ("p0", "p1", "p2")] == [True, True, False]
        assert [lines[name].plan_hash for name in ("p0", "p1", "p2")] == ["plan", "plan", "beside"]
        assert lines["p1"].plan == make.row(1)
        assert await _record(ledger, make, [make.row(0), make.row(1)]) == changed(same=2)
    assert await _record(ledger, make, [make.row(0), make.row(1), make.row(2)]) == changed(new=1, same=2)
    assert all(line.in_plan for line in await _lines(ledger))


def told_by(rows: list[Any]) -> Any:
    """What a plan of these rows tells of each place."""
    told = {row.ordinal: told_digest(*(getattr(row, name) for name in TOLD)).hex() for row in rows}
    return told.get


async def test_lines_that_say_what_is_asked_are_kept(database: Any, make: Any) -> None:
    """A plan that grew is recorded by its new row alone; what moved, changed or left is found too."""
    ledger = database.open()
    rows = [make.row(number) for number in range(6)]
    await _record(ledger, make, rows)
    grown = [
        *rows[:3],
        make.row(4, ordinal=3),
        make.row(5, meta={"group": "b"}, ordinal=4),
        make.row(7, ordinal=5),
    ]
    kept = await ledger.kept("out", make.gateway, told_by(grown))
    assert [place for place in range(9) if place in kept] == [0, 1, 2]
    assert await ledger.record_plan("out", make.gateway, "second", grown[3:], kept=kept) == changed(
        new=1, edited=1, removed=1, same=4
    )
    assert [line.plan for line in await _lines(ledger) if line.in_plan] == grown
    assert len(await ledger.kept("out", make.gateway, told_by(grown))) == 6
    assert len(await ledger.kept("out", "another gateway", told_by(grown))) == 0
    assert len(await ledger.kept("another out", make.gateway, told_by(grown))) == 0


async def test_the_same_rows_may_go_to_another_gateway(database: Any, make: Any) -> None:
    """They get lines of their own, are bought there, and the first gateway's stay as they are."""
    ledger = await make.start(database.open())
    claim = await make.buy(ledger, 0)
    await ledger.answer(claim.attempt_id, make.success())
    await ledger.settle(claim.attempt_id, [make.stored()], "success")
    rows = [make.row(number) for number in range(3)]
    for _ in range(2):
        assert await ledger.record_plan("out", "second gateway", "second", rows) == changed(same=3)
        lines = await _lines(ledger)
        assert [(line.gateway, line.status) for line in lines if line.in_plan] == [
            ("second gateway", "planned")
        ] * 3
        assert [line.status for line in lines if not line.in_plan] == ["success", "planned", "planned"]
    assert set(await ledger.standings("second gateway", None, "out")) == {"f0", "f1", "f2"}
    assert not isinstance(await ledger.claim("second gateway", make.request(0)), Declined)
    back = [*rows[:2], make.row(9, ordinal=2, prompt_id="p2")]
    assert await _record(ledger, make, back) == changed(same=2, edited=1)
    lines = await _lines(ledger)
    assert [line.gateway for line in lines if line.in_plan] == [make.gateway] * 3
    assert [line.gateway for line in lines if not line.in_plan].count("second gateway") == 3


async def test_lines_of_an_older_schema_are_no_edits(database: Any, make: Any) -> None:
    """What they told is not known any more; the next plan tells it again, and nobody is told of edits."""
    ledger = database.open()
    rows = [make.row(number) for number in range(3)]
    await _record(ledger, make, rows)
    database.sql("UPDATE plan_rows SET digest = ''")
    assert len(await ledger.kept("out", make.gateway, told_by(rows))) == 0
    assert await _record(ledger, make, rows) == changed(same=3)
    assert len(await ledger.kept("out", make.gateway, told_by(rows))) == 3
