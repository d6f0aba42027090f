"""Files of any two moments of many rows: together they tell no less than each of them does."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from histories import FACTS, GATEWAY, RUN, Clock, answer, result, spec, store, take_files
from reelsweep.flows.out.places import find_out
from reelsweep.flows.out.planned import plan_row, row_key
from reelsweep.flows.planning.claim import refuse_older
from reelsweep.flows.recovery.rebuild import rebuild
from reelsweep.tasks.ledger.ledger import Ledger
from reelsweep.tasks.ledger.records import Claim, ClaimRequest, Standing
from reelsweep.tasks.manifest.outfile import OutFacts, write_out
from reelsweep.tasks.manifest.write import publish

NUM_ROWS = 300
SPECS = [spec(number) for number in range(NUM_ROWS)]
_STORED = {"made": "success", "not stored": "failed_to_download", "invalid": "invalid_output"}
_ENDS = ("cut", "broken", "refused", "throttled", "wrong", "empty", "stopped", "submitted", *_STORED)
_BILLS = ("free", "charged")
Step = tuple[str, int]
"""What happens, and to which POST of the row."""
_FOUND: Sequence[tuple[Sequence[Step], int]] = (
    (
        [("buy", 0), ("invalid", 0), ("buy", 1), ("not stored", 1), ("invalid", 0)],
        2,
    ),
)
"""Histories that once went wrong, and how many of their steps came before the first moment."""


@dataclass(frozen=True, slots=True)
class Row:
    """Where a row stands, and its money in micro-dollars."""

    standing: Standing
    cost_musd: int
    reserved_musd: int


@dataclass(frozen=True, slots=True)
class Moment:
    """A moment of the ledger, and where the files of it are."""

    files: Path
    rows: Mapping[str, Row]


def draw_history(chance: random.Random) -> list[Step]:
    """One or two POSTs, what came of them, and bills and late answers in any order."""
    steps: list[Step] = []
    for post in range(chance.choice((1, 2))):
        steps.append(("buy", post))
        if chance.random() < 0.9:
            steps.append((chance.choice(_ENDS), post))
        steps += [(chance.choice(_BILLS), chance.randrange(post + 1)) for _ in range(chance.randrange(3))]
        if chance.random() < 0.3:
            steps.append((chance.choice(_ENDS), chance.randrange(post + 1)))
        steps += [(chance.choice(_BILLS), chance.randrange(post + 1)) for _ in range(chance.randrange(2))]
    return steps


class Posts:
    """The POSTs of one row of the ledger that will be lost; half of them under keys that are remembered."""

    def __init__(self, ledger: Ledger, number: int) -> None:
        self._ledger = ledger
        self._fingerprint = SPECS[number].request_fingerprint
        self._key_ttl_s = 1e9 if number % 2 else None
        self._ids: list[str] = []
        self.done: list[Step] = []

    async def take(self, steps: Sequence[Step]) -> None:
        """The steps that can be taken, in order."""
        for step in steps:
            if await self._take(*step):
                self.done.append(step)

    async def _take(self, word: str, post: int) -> bool:
        if word == "buy":
            return await self._buy()
        if post >= len(self._ids):
            return False
        attempt_id = self._ids[post]
        state = (await self._ledger.attempt(attempt_id)).state
        if word in _BILLS:
            return state not in ("intent", "answered") and await self._decide(attempt_id, word)
        if word not in _STORED:
            await self._ledger.answer(attempt_id, answer(word, self._key_ttl_s))
        elif state != "surplus":
            await self._ledger.answer(attempt_id, answer("made", self._key_ttl_s))
            if (await self._ledger.attempt(attempt_id)).state == "answered":
                await self._ledger.settle(attempt_id, [result(_STORED[word])], _STORED[word])
        return True

    async def _buy(self) -> bool:
        wish = ClaimRequest(
            run_id="run",
            request_fingerprint=self._fingerprint,
            body_sha256="",
            price_max_musd=100,
            price="0.0001",
            allow=frozenset({"unknown", "failed_billed"}),
            key_ttl_s=self._key_ttl_s,
        )
        claim = await self._ledger.claim(GATEWAY, wish)
        if isinstance(claim, Claim):
            self._ids.append(claim.attempt_id)
        return isinstance(claim, Claim)

    async def _decide(self, attempt_id: str, word: str) -> bool:
        if word == "free":
            await self._ledger.decide(attempt_id, billed="no", cost_musd=None)
        else:
            await self._ledger.decide(attempt_id, billed="yes", cost_musd=90)
        return True


async def _rows(ledger: Ledger) -> dict[str, Row]:
    """Every row, as it would stand were its run dead."""
    names = [spec.request_fingerprint for spec in SPECS]
    found: dict[str, Row] = {}
    for name, standing in (await ledger.standings(GATEWAY, names, "out")).items():
        attempts = await ledger.attempts_of(GATEWAY, name)
        speaker = next((it for it in attempts if it.attempt_id == standing.attempt_id), None)
        if speaker is not None and standing.next_step == "wait":
            open_step = "recover" if speaker.kind == "submitted" or speaker.gateway_task_id else "fetch"
            is_lost = speaker.state in ("intent", "unknown") and not speaker.gateway_task_id
            standing = replace(standing, next_step="hold" if is_lost else open_step)
        if speaker is not None and speaker.state == "intent":
            standing = replace(standing, status="unknown", next_step="hold")
        cost, reserved = (
            sum(getattr(it, column) or 0 for it in attempts) for column in ("cost_musd", "reserved_musd")
        )
        found[name] = Row(standing, cost, reserved)
    return found


async def _moment(ledger: Ledger, files: Path) -> Moment:
    store(files)
    with ledger.state("out") as state:
        told = await asyncio.to_thread(lambda: (list(state.lines()), list(state.attempts())))
    await asyncio.to_thread(publish, files, *told, FACTS, settle_s=None)
    return Moment(files, await _rows(ledger))


@dataclass(frozen=True, slots=True)
class Lost:
    """Two moments of a ledger that is lost, and what happened in each row before and between them."""

    moments: tuple[Moment, Moment]
    stories: Mapping[str, tuple[Sequence[Step], Sequence[Step]]]


async def _play(folder: Path, chance: random.Random) -> Lost:
    ledger = await asyncio.to_thread(Ledger.open, f"sqlite:///{folder / 'lost.db'}", clock=Clock())
    await ledger.start_run(RUN)
    await ledger.record_plan("out", GATEWAY, "plan", [plan_row(spec, row_key(spec)) for spec in SPECS])
    posts = [Posts(ledger, number) for number in range(NUM_ROWS)]
    histories = [draw_history(chance) for _ in posts]
    cuts = [chance.randrange(len(history) + 1) for history in histories]
    for number, (history, num_before) in enumerate(_FOUND):
        histories[2 * number], cuts[2 * number] = list(history), num_before
    await asyncio.gather(*(it.take(story[:at]) for it, story, at in zip(posts, histories, cuts, strict=True)))
    first, num_done = await _moment(ledger, folder / "first"), [len(it.done) for it in posts]
    await asyncio.gather(*(it.take(story[at:]) for it, story, at in zip(posts, histories, cuts, strict=True)))
    second = await _moment(ledger, folder / "second")
    await asyncio.to_thread(ledger.close)
    stories = {
        spec.request_fingerprint: (it.done[:number], it.done[number:])
        for spec, it, number in zip(SPECS, posts, num_done, strict=True)
    }
    return Lost((first, second), stories)


@pytest.fixture(scope="module")
def lost(tmp_path_factory: pytest.TempPathFactory) -> Lost:
    """The same histories every time."""
    return asyncio.run(_play(tmp_path_factory.mktemp("lost"), random.Random(20)))


async def _granted(ledger: Ledger, names: Iterable[str]) -> set[str]:
    """What a run would buy that is given leave for nothing."""
    await ledger.start_run(replace(RUN, run_id="next"))

    async def claim(name: str) -> str | None:
        wish = ClaimRequest(
            run_id="next", request_fingerprint=name, body_sha256="", price_max_musd=100, max_purchases=9
        )
        return name if isinstance(await ledger.claim(GATEWAY, wish), Claim) else None

    return {name for name in await asyncio.gather(*map(claim, names)) if name is not None}


def _rebuilt(out: Path, *, ended: bool) -> tuple[Mapping[str, Row], set[str]]:
    """What a ledger made anew knows of the rows, and which it would let be bought."""
    write_out(out, OutFacts(out_id="out", ledger_id="", table="t", gateway_kind="real", ended=ended))
    rebuild(find_out(out))
    with closing(Ledger.open(f"sqlite:///{out / 'ledger.db'}")) as ledger:
        refuse_older(find_out(out), ledger)
        rows = asyncio.run(_rows(ledger))
        return rows, asyncio.run(_granted(ledger, rows))


@pytest.mark.parametrize("ended", [True, False], ids=["ended", "crashed"])
@pytest.mark.parametrize("attempts", [0, 1, None])
@pytest.mark.parametrize("manifest", [0, 1, None])
def test_what_either_file_tells_is_known_to_a_ledger_made_anew(
    manifest: int | None, attempts: int | None, ended: bool, lost: Lost, tmp_path: Path
) -> None:
    """Nothing is to be bought again that one tells of, no purchase or money is forgotten; it may go on."""
    used = [lost.moments[at] for at in (manifest, attempts) if at is not None]
    if not used:
        return
    files = [None if at is None else lost.moments[at].files for at in (manifest, attempts)]
    take_files(tmp_path / "out", *files)
    anew, granted = _rebuilt(tmp_path / "out", ended=ended)
    is_one, newest = manifest == attempts and ended, max(used, key=lost.moments.index)
    wrong = [
        (fault, *story)
        for name, story in lost.stories.items()
        for fault in _faults(anew.get(name), newest.rows[name], is_one=is_one)
    ]
    assert wrong == []
    assert [lost.stories[name] for name in granted if newest.rows[name].standing.next_step != "buy"] == []
    assert [
        story for name, story in lost.stories.items() if _is_forgotten(anew.get(name), name, used, story)
    ] == []


def _faults(found: Row | None, lost: Row, *, is_one: bool) -> Iterator[str]:
    """How what came back is less than what was, or other where both files are of its moment."""
    if found is None:
        if lost.standing.num_purchases:
            yield "not known"
        return
    if lost.standing.next_step != "buy" and found.standing.next_step == "buy":
        yield "to be bought"
    if found.standing.num_purchases < lost.standing.num_purchases:
        yield "purchases"
    if found.cost_musd + found.reserved_musd < lost.cost_musd + lost.reserved_musd:
        yield "money"
    if is_one and _summary(found) != _summary(lost):
        yield f"{_summary(found)}, not {_summary(lost)}"


def _summary(row: Row) -> tuple[object, ...]:
    standing = row.standing
    return standing.status, standing.next_step, standing.num_purchases, row.cost_musd, row.reserved_musd


def _is_forgotten(
    found: Row | None, name: str, used: Sequence[Moment], story: tuple[Sequence[Step], Sequence[Step]]
) -> bool:
    """Bills bear no date in the files: where they disagree by bills alone, what buys less is believed."""
    was_held = any(moment.rows[name].standing.next_step != "buy" for moment in used)
    by_bills_alone = all(word in _BILLS for word, _ in story[1])
    return was_held and by_bills_alone and (found is None or found.standing.next_step == "buy")
