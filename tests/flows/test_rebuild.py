"""A ledger made anew from files of two moments: whatever either of them tells of is not bought again."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from shutil import copyfile
from sqlite3 import connect
from typing import Any

import pytest
from histories import FACTS, GATEWAY, RUN, Clock, answer, result, spec, store, take_files
from reelsweep.flows.out.outs import open_out
from reelsweep.flows.out.places import find_out
from reelsweep.flows.out.planned import plan_row, row_key
from reelsweep.flows.planning.claim import refuse_older
from reelsweep.flows.recovery.rebuild import Rebuilt, rebuild
from reelsweep.prompts.errors import OutError
from reelsweep.tasks.ledger.ledger import Ledger
from reelsweep.tasks.ledger.records import Claim, ClaimRequest, Spend, Standing
from reelsweep.tasks.manifest.outfile import OutFacts, write_out
from reelsweep.tasks.manifest.read import read_attempts
from reelsweep.tasks.manifest.write import publish

HISTORIES: Mapping[str, tuple[Sequence[str], Sequence[str]]] = {
    "never sent": ([], []),
    "sent and made": ([], ["buy", "made"]),
    "sent": ([], ["buy"]),
    "sent and cut": ([], ["buy", "cut"]),
    "sent and refused": ([], ["buy", "refused"]),
    "sent and wrong for good": ([], ["buy", "wrong"]),
    "sent and without a video": ([], ["buy", "empty"]),
    "sent, throttled and made": ([], ["buy", "throttled", "buy", "made"]),
    "sent and throttled": ([], ["buy", "throttled"]),
    "sent, cut, sent again": ([], ["buy", "cut", "again"]),
    "sent, cut, sent again and made": ([], ["buy", "cut", "again", "made"]),
    "in flight, then made": (["buy"], ["made"]),
    "in flight, then throttled": (["buy"], ["throttled"]),
    "in flight, then refused": (["buy"], ["refused"]),
    "in flight, then withdrawn": (["buy"], ["withdrawn"]),
    "unknown, then made after all": (["buy", "cut"], ["made"]),
    "unknown, then bought again": (["buy", "cut"], ["again", "made"]),
    "unknown, then bought again and refused": (["buy", "cut"], ["again", "refused"]),
    "unknown and not billed, then bought again": (["buy", "cut", "free"], ["buy"]),
    "unknown and not billed, then billed after all": (["buy", "cut", "free"], ["charged"]),
    "failed and not billed, then billed after all": (["buy", "broken", "free"], ["charged"]),
    "bought twice, not billed, then billed after all": (
        ["buy", "cut", "free", "buy", "cut", "free"],
        ["charged"],
    ),
    "unknown and not billed, then made after all": (["buy", "cut", "free"], ["made"]),
    "unknown and billed, then bought again": (["buy", "cut", "charged"], ["again", "made"]),
    "failed at the gateway and not billed": (["buy", "broken", "free"], []),
    "throttled, then made": (["buy", "throttled"], ["buy", "made"]),
    "not downloaded, then stored": (["buy", "not stored"], ["stored"]),
    "made and invalid, then sent again": (["buy", "invalid"], ["retry"]),
    "made and invalid, then sent again and cut": (["buy", "invalid"], ["retry", "cut"]),
    "made": (["buy", "made"], []),
    "refused": (["buy", "refused"], []),
    "without a video": (["buy", "empty"], []),
}
"""What happened to a row before the first of two moments, and between the two."""


@dataclass(frozen=True)
class Moment:
    """A moment of the ledger, where the files of it are, and a backup of it."""

    files: Path
    backup: Path
    standings: Mapping[str, Standing]
    spend: Spend


SPECS = [spec(number) for number in range(2 * len(HISTORIES))]
"""One for each history, and one more that only the plan of the second moment asks for."""
NAMES = {spec.request_fingerprint: name for spec, name in zip(SPECS, [*HISTORIES] * 2, strict=True)}


class History:
    """Plays histories with a ledger that will be lost."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ledger = Ledger.open(f"sqlite:///{folder / 'lost.db'}", clock=Clock())
        self._claims: dict[int, str] = {}

    async def plan(self, number: int) -> None:
        """Record the first rows of all."""
        rows = [plan_row(spec, row_key(spec)) for spec in SPECS[:number]]
        await self.ledger.record_plan("out", GATEWAY, f"plan of {number}", rows)

    async def play(self, number: int, steps: Sequence[str]) -> None:
        """Take a row's steps."""
        for step in steps:
            await self._take(number, step)

    async def _take(self, number: int, step: str) -> None:
        ledger = self.ledger
        match step:
            case "buy" | "again" | "retry":
                leave = {"again": ["unknown"], "retry": ["failed_billed"]}
                claim = await ledger.claim(GATEWAY, _wish(number, frozenset(leave.get(step, []))))
                assert isinstance(claim, Claim), claim
                self._claims[number] = claim.attempt_id
            case "free":
                await ledger.decide(self._claims[number], billed="no", cost_musd=None)
            case "charged":
                await ledger.decide(self._claims[number], billed="yes", cost_musd=90)
            case "withdrawn":
                await ledger.withdraw(self._claims[number], "cancelled")
            case "made" | "not stored" | "stored" | "invalid":
                if step != "stored":
                    await ledger.answer(self._claims[number], answer("made"))
                ends = {"not stored": "failed_to_download", "invalid": "invalid_output"}
                status: Any = ends.get(step, "success")
                await ledger.settle(self._claims[number], [result(status)], status)
            case _:
                await ledger.answer(self._claims[number], answer(step))

    async def moment(self, name: str) -> Moment:
        """Publish what the ledger knows now."""
        files = self.folder / name
        store(files)
        with self.ledger.state("out") as state:
            told = await asyncio.to_thread(lambda: (list(state.lines()), list(state.attempts())))
        await asyncio.to_thread(publish, files, *told, FACTS, settle_s=None)
        backup = self.folder / f"{name}.db"
        with closing(connect(self.folder / "lost.db")) as ledger, closing(connect(backup)) as copy:
            ledger.backup(copy)
        standings = await self.ledger.standings(GATEWAY, None, "out")
        return Moment(files, backup, standings, await self.ledger.spend())


def _wish(number: int, allow: frozenset[Any]) -> ClaimRequest:
    return ClaimRequest(
        run_id="run",
        request_fingerprint=SPECS[number].request_fingerprint,
        body_sha256="",
        price_max_musd=100,
        price="0.0001",
        allow=allow,
    )


async def _play(folder: Path) -> tuple[Moment, Moment]:
    history = History(folder)
    await history.ledger.start_run(RUN)
    await history.plan(len(HISTORIES))
    for number, (before, _) in enumerate(HISTORIES.values()):
        await history.play(number, before)
    first = await history.moment("first")
    await history.plan(len(SPECS))
    for number, (before, since) in enumerate([*HISTORIES.values()] * 2):
        await history.play(number, since if number < len(HISTORIES) else [*before, *since])
    second = await history.moment("second")
    await asyncio.to_thread(history.ledger.close)
    return first, second


@pytest.fixture(scope="module")
def moments(tmp_path_factory: pytest.TempPathFactory) -> tuple[Moment, Moment]:
    """Two moments of one ledger."""
    return asyncio.run(_play(tmp_path_factory.mktemp("lost")))


def _rebuilt(
    out: Path, manifest: Moment | None, attempts: Moment | None, *, ended: bool = True
) -> tuple[Rebuilt, Moment]:
    """The ledger made anew from the manifest of one moment and the attempts of another, and what it says."""
    take_files(out, manifest and manifest.files, attempts and attempts.files)
    write_out(out, OutFacts(out_id="out", ledger_id="", table="t", gateway_kind="real", ended=ended))
    done = rebuild(find_out(out))
    return done, asyncio.run(_read(out))


async def _read(out: Path) -> Moment:
    ledger = await asyncio.to_thread(Ledger.open, f"sqlite:///{out / 'ledger.db'}")
    names = [spec.request_fingerprint for spec in SPECS]
    standings = await ledger.standings(GATEWAY, names, "out")
    told = Moment(out, out / "ledger.db", standings, await ledger.spend())
    await asyncio.to_thread(ledger.close)
    return told


@pytest.mark.parametrize("attempts", [0, 1, None])
@pytest.mark.parametrize("manifest", [0, 1, None])
def test_what_either_file_tells_of_is_not_bought_again(
    manifest: int | None, attempts: int | None, moments: tuple[Moment, Moment], tmp_path: Path
) -> None:
    """Whichever is newer or gone: only what no file knows, or what was surely given back, would be sent."""
    if manifest is None and attempts is None:
        return
    files = [None if at is None else moments[at] for at in (manifest, attempts)]
    _, anew = _rebuilt(tmp_path / "out", *files)
    for name, story in NAMES.items():
        is_sold = moments[1].standings[name].next_step != "buy"
        told = [moment.standings.get(name) for moment in files if moment is not None]
        is_told = any(standing is not None and standing.next_step != "buy" for standing in told)
        found = anew.standings.get(name)
        if is_sold and is_told:
            assert found is not None, story
            assert found.next_step != "buy", story
    if manifest == attempts == 1:
        _assert_as_before(anew, moments[1])
    if manifest == 1:
        assert anew.spend.settled_musd == moments[1].spend.settled_musd


def _assert_as_before(anew: Moment, lost: Moment) -> None:
    for name, standing in lost.standings.items():
        was = "unknown" if standing.status == "in_progress" else standing.status
        assert anew.standings[name].status == was, NAMES[name]
        assert anew.standings[name].num_purchases == standing.num_purchases, NAMES[name]


@pytest.mark.parametrize("attempts", [0, 1, None])
def test_a_success_that_the_manifest_tells_of_stays_one(
    attempts: int | None, moments: tuple[Moment, Moment], tmp_path: Path
) -> None:
    """Its clip is there, whatever attempts.parquet knows of the POST."""
    _, anew = _rebuilt(tmp_path / "out", moments[1], None if attempts is None else moments[attempts])
    made = {name for name, standing in moments[1].standings.items() if standing.status == "success"}
    assert {name for name, standing in anew.standings.items() if standing.status == "success"} == made


@pytest.mark.parametrize("attempts", [0, 1, None])
@pytest.mark.parametrize("manifest", [0, 1, None])
def test_after_a_crash_nothing_that_a_file_tells_of_is_to_be_bought(
    manifest: int | None, attempts: int | None, moments: tuple[Moment, Moment], tmp_path: Path
) -> None:
    """What was given back may have been sent again since: also where a bill gave it back, or no row asks."""
    files = [None if at is None else moments[at] for at in (manifest, attempts)]
    if files == [None, None]:
        return
    _, anew = _rebuilt(tmp_path / "out", *files, ended=False)
    assert {NAMES[name] for name, it in anew.standings.items() if it.next_step == "buy"} == set()


def test_what_a_bill_charged_stands_in_a_ledger_made_anew(
    moments: tuple[Moment, Moment], tmp_path: Path
) -> None:
    """Whatever is heard later of the POST, as in the lost one, though another POST speaks for the row."""
    out = tmp_path / "out"
    _rebuilt(out, moments[1], moments[1])
    name = next(name for name, story in NAMES.items() if story == "unknown and billed, then bought again")

    async def hear_late() -> int | None:
        with closing(Ledger.open(f"sqlite:///{out / 'ledger.db'}")) as ledger:
            charged, _ = await ledger.attempts_of(GATEWAY, name)
            await ledger.answer(charged.attempt_id, answer("made"))
            return (await ledger.attempt(charged.attempt_id)).cost_musd

    assert asyncio.run(hear_late()) == 90


@pytest.mark.parametrize("ended", [True, False], ids=["ended", "crashed"])
@pytest.mark.parametrize("first", [0, 1])
def test_two_folders_made_anew_in_one_ledger_tell_what_the_newer_one_knows(
    first: int, ended: bool, moments: tuple[Moment, Moment], tmp_path: Path
) -> None:
    """They shared the lost one: whichever is read first, no row stays held whose end a file knows."""
    url = f"sqlite:///{tmp_path / 'both.db'}"
    for at in (first, 1 - first):
        out, files = tmp_path / f"out {at}", moments[at].files
        take_files(out, files, files)
        facts = OutFacts(out_id=f"out {at}", ledger_id="", table="t", gateway_kind="real", ended=ended)
        write_out(out, facts)
        rebuild(find_out(out), url)
    with closing(Ledger.open(url)) as ledger:
        anew = asyncio.run(ledger.standings(GATEWAY, None, "out 1"))
    for name, standing in moments[1].standings.items():
        if standing.next_step == "none":
            assert anew[name].status == standing.status, NAMES[name]
        if standing.next_step != "buy" or not ended:
            assert anew[name].next_step != "buy", NAMES[name]


def test_posts_of_no_row_are_kept_until_a_plan_asks(moments: tuple[Moment, Moment], tmp_path: Path) -> None:
    """They are counted, and what is published from the new ledger names them still."""
    out = tmp_path / "out"
    done, _ = _rebuilt(out, moments[0], moments[1])
    unsent = [name for name, (before, since) in HISTORIES.items() if not [*before, *since]]
    withdrawn = [name for name, (_, since) in HISTORIES.items() if since == ["withdrawn"]]
    assert done.num_unasked == len(HISTORIES) - len(unsent) - len(withdrawn)
    before = set(read_attempts(out)["attempt_id"])
    ledger = Ledger.open(f"sqlite:///{out / 'ledger.db'}")
    assert before <= {attempt.attempt_id for attempt in ledger.attempt_lines("out")}
    ledger.close()


@pytest.mark.parametrize("attempts", [0, 1])
def test_clips_of_a_manifest_that_is_gone_are_found_beside_it(
    attempts: int, moments: tuple[Moment, Moment], tmp_path: Path
) -> None:
    """metadata.parquet names them, also where attempts.parquet is older."""
    made = {name for name, standing in moments[1].standings.items() if standing.status == "success"}
    out = tmp_path / "out"
    out.mkdir()
    copyfile(moments[1].files / "metadata.parquet", out / "metadata.parquet")
    _, anew = _rebuilt(out, None, moments[attempts])
    assert {name for name, standing in anew.standings.items() if standing.status == "success"} == made


@pytest.mark.parametrize("kind", ["file", "server"])
def test_what_is_said_of_a_lost_ledger_can_be_done(
    kind: str, moments: tuple[Moment, Moment], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """An older ledger is refused with a remedy for its kind; an empty one, named as said, is filled."""
    out = find_out(tmp_path / "out")
    _rebuilt(out.desk, *moments)
    older, anew = (
        f"sqlite:///{tmp_path / name}.db" if kind == "file" else request.getfixturevalue("postgres")()
        for name in ("older", "anew")
    )
    ledger = Ledger.open(older)
    with pytest.raises(OutError, match="older than its manifest") as caught:
        refuse_older(out, ledger)
    ledger.close()
    says = ["older.db-wal", "older.db-shm"] if kind == "file" else ["empty database", "--ledger URL"]
    for words in (f"reelsweep reconcile {tmp_path / 'out'} --rebuild", *says):
        assert words in caught.value.remedy
    assert ("move" in caught.value.remedy) == (kind == "file"), "a server's database is no file"
    assert rebuild(out, anew).attempts > 0
    with open_out(out.desk, anew) as opened:
        refuse_older(out, opened.ledger)
    with pytest.raises(OutError, match="knows the output folder already") as caught:
        rebuild(out, anew)
    assert "older" in caught.value.remedy


@pytest.mark.parametrize("attempts", [0, 1, None])
@pytest.mark.parametrize("manifest", [0, 1, None])
@pytest.mark.parametrize("restored", [0, 1])
def test_a_ledger_is_refused_where_either_file_tells_of_a_post_that_it_lacks(
    restored: int, manifest: int | None, attempts: int | None, moments: tuple[Moment, Moment], tmp_path: Path
) -> None:
    """A backup of the first moment is, with a file of the second one; what knows all of them is not."""
    files = [None if at is None else moments[at].files for at in (manifest, attempts)]
    take_files(tmp_path / "out", *files)
    with closing(Ledger.open(f"sqlite:///{moments[restored].backup}")) as ledger:
        if restored == 0 and 1 in (manifest, attempts):
            with pytest.raises(OutError, match="older than its manifest"):
                refuse_older(find_out(tmp_path / "out"), ledger)
        else:
            refuse_older(find_out(tmp_path / "out"), ledger)


def test_a_ledger_that_lacks_the_end_of_a_post_is_refused(
    moments: tuple[Moment, Moment], tmp_path: Path
) -> None:
    """It knows every POST of the files, one as not billed, which the manifest has the clip of."""
    out, place = tmp_path / "out", tmp_path / "older.db"
    take_files(out, moments[1].files, moments[1].files)
    copyfile(moments[1].backup, place)
    name = next(
        name for name, story in NAMES.items() if story == "unknown and not billed, then made after all"
    )
    end = "UPDATE generations SET status = 'unknown', next_step = 'buy' WHERE request_fingerprint = ?"
    for is_older in (False, True):
        with closing(connect(place)) as older:
            older.execute(end, (name if is_older else "another",))
            older.commit()
        with closing(Ledger.open(f"sqlite:///{place}")) as ledger:
            if not is_older:
                refuse_older(find_out(out), ledger)
                continue
            with pytest.raises(OutError, match="older than its manifest"):
                refuse_older(find_out(out), ledger)


def test_a_rebuilding_that_was_cut_off_goes_on_in_the_ledger_that_is_named(
    moments: tuple[Moment, Moment], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may hold other OUTs, so there is no other one to name; nothing is there twice."""
    out, url = tmp_path / "out", f"sqlite:///{tmp_path / 'shared.db'}"
    _rebuilt(out, *moments, ended=False)
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr("reelsweep.flows.recovery.rebuild.write_out", _cut_off)
        rebuild(find_out(out), url)
    with closing(Ledger.open(url)) as ledger:
        before = asyncio.run(ledger.spend())
    assert rebuild(find_out(out), url).attempts == 0
    with open_out(out, url) as opened:
        refuse_older(opened.storage, opened.ledger)
        assert asyncio.run(opened.ledger.spend()) == before


@pytest.mark.parametrize("there", ["nothing in it", "another ledger", "one with a run"])
def test_an_empty_ledger_in_the_lost_ones_place_gives_way(
    there: str, moments: tuple[Moment, Moment], tmp_path: Path
) -> None:
    """`run` says of it that OUT is another ledger's, so it must not stop the one that makes its own anew."""
    out = tmp_path / "out"
    take_files(out, moments[1].files, moments[1].files)
    write_out(out, OutFacts(out_id="out", ledger_id="lost", table="t", gateway_kind="real", ended=True))
    path = out / "ledger.db"
    if there == "nothing in it":
        path.touch()
    else:
        with closing(Ledger.open(f"sqlite:///{path}")) as other:
            if there == "one with a run":
                asyncio.run(other.start_run(RUN))
    if there == "one with a run":
        with pytest.raises(OutError, match="not its own") as caught:
            rebuild(find_out(out))
        assert "move ledger.db away" in caught.value.remedy
        return
    assert rebuild(find_out(out)).attempts > 0
    with open_out(out) as opened:
        refuse_older(opened.storage, opened.ledger)


def _cut_off(*_: object) -> None:
    raise KeyboardInterrupt


def test_a_log_that_was_left_behind_is_kept_apart(moments: tuple[Moment, Moment], tmp_path: Path) -> None:
    """A ledger made anew does not read the log of the lost one, nor throw it away."""
    out = tmp_path / "out"
    out.mkdir()
    lost = Ledger.open(f"sqlite:///{out / 'ledger.db'}")
    logs = {end: (out / f"ledger.db{end}").read_bytes() for end in ("-wal", "-shm")}
    lost.close()
    (out / "ledger.db").unlink()
    for end, content in logs.items():
        (out / f"ledger.db{end}").write_bytes(content)
    _, anew = _rebuilt(out, moments[1], moments[1])
    assert (out / "ledger.db-wal.lost").read_bytes() == logs["-wal"]
    assert len(anew.standings) == len(SPECS)
