"""What a ledger answers: standings, attempts, lines, counts and money, each from one state of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from datetime import UTC, datetime, tzinfo
from typing import Any, Literal, TypeVar

from reelsweep.prompts.errors import TroubleError
from reelsweep.tasks.gateway.strata import StratumCount
from reelsweep.tasks.ledger import lookups, made, reads
from reelsweep.tasks.ledger.budget import day_of, spent
from reelsweep.tasks.ledger.clock import read_boot_id
from reelsweep.tasks.ledger.kept import Kept, read_kept
from reelsweep.tasks.ledger.lease import find_dead
from reelsweep.tasks.ledger.leases import Moment
from reelsweep.tasks.ledger.lines import OutState
from reelsweep.tasks.ledger.link import CopyLink, Link, Purpose, open_link
from reelsweep.tasks.ledger.place import FilePlace, ServerPlace, about, file_of
from reelsweep.tasks.ledger.reader import Reader, Snapshot
from reelsweep.tasks.ledger.records import (
    AttemptRecord,
    Line,
    Made,
    Picture,
    Spend,
    Standing,
    Tally,
    ToldPosts,
)
from reelsweep.tasks.ledger.schema import facts
from reelsweep.tasks.ledger.trouble import REBUILD
from sqlalchemy import Connection, inspect, select

T = TypeVar("T")


class Reading:
    """The half of a ledger that changes nothing; runs beside the writer."""

    def __init__(
        self,
        place: FilePlace | ServerPlace,
        clock: Callable[[], datetime],
        uptime: Callable[[], float],
        purpose: Literal["read", "look"] = "read",
    ) -> None:
        self._place = place
        self._clock = clock
        self._uptime = uptime
        self._boot_id = read_boot_id()
        self._file: tuple[int, int] | None = None
        """The file that was opened; None until `_hold`, and on a server."""
        self._reader = Reader(lambda: self._connect(purpose), str(place))
        self.ledger_id = ""
        """Whoever opens it says which it is."""

    def if_lost(self, out: str) -> str:
        """What the owner of an OUT does where this is not its ledger, and that one is lost."""
        return self._place.if_lost(out)

    def about(self, error: TroubleError, out: str) -> TroubleError:
        """An error of this ledger with a remedy for the OUT that it is in the way of."""
        return about(error, out, self._place)

    def demand_there(self) -> None:
        """See that the file is the one that was opened; cheap. Raises TroubleError: buy nothing more then."""
        if self._is_gone():
            raise self._gone()

    async def standings(
        self, gateway: str, fingerprints: Sequence[str] | None, out_id: str
    ) -> dict[str, Standing]:
        """Where generations stand; all that the OUT ever planned when `fingerprints` is None."""
        return await self._read(lambda conn: reads.read_standings(conn, gateway, fingerprints, out_id))

    async def attempt(self, attempt_id: str) -> AttemptRecord:
        """One attempt with its results. Raises LookupError."""
        found = await self._read(lambda conn: reads.read_attempt(conn, attempt_id))
        if found is None:
            raise LookupError(attempt_id)
        return found

    async def lacks_any(self, attempt_ids: Sequence[str]) -> bool:
        """Whether this ledger does not know one of these attempts; looks at the last ones first."""
        return await self._read(lambda conn: lookups.lacks_any(conn, attempt_ids))

    async def lacks_told(self, told: Sequence[ToldPosts]) -> bool:
        """Whether a manifest tells of a POST that this ledger does not know, or of more POSTs."""
        return bool(told) and await self._read(lambda conn: lookups.lacks_told(conn, told))

    async def known_ids(self, ids: Sequence[str]) -> frozenset[str]:
        """Of these, those that attempts of this ledger are called by, of whichever OUT."""
        return await self._read(lambda conn: lookups.known_ids(conn, ids)) if ids else frozenset()

    async def given_back(self) -> set[tuple[str, str]]:
        """(gateway, fingerprint) of what was sent and would be bought again by itself."""
        return await self._read(lookups.read_given_back)

    async def attempts_of(self, gateway: str, fingerprint: str) -> list[AttemptRecord]:
        """All attempts of one generation, oldest first."""
        return await self._read(lambda conn: lookups.read_attempts_of(conn, gateway, fingerprint))

    async def unfinished(self, out_id: str, gateway: str) -> list[AttemptRecord]:
        """Attempts to recover or fetch, newest first: maybe paid, no success, in no live run's hands.

        Those of one gateway: to no other do its task ids mean anything.
        """

        def read(conn: Connection) -> list[AttemptRecord]:
            return list(reads.read_attempts(conn, reads.read_unfinished(conn, out_id, gateway)).values())

        return sorted(await self._read(read), key=lambda attempt: attempt.attempt_id, reverse=True)

    async def made(
        self, gateway: str, out_id: str, fingerprints: Sequence[str] | None = None
    ) -> dict[str, Made]:
        """What generations have come to, with the facts of their clips; all of an OUT when none are named."""
        return await self._read(lambda conn: made.read_made(conn, gateway, out_id, fingerprints))

    async def payload(self, gateway: str, fingerprint: str) -> str:
        """The canonical request of a generation, JSON. Raises LookupError."""
        return await self._read(lambda conn: lookups.read_payload(conn, gateway, fingerprint))

    async def knows_any_prompt(self, out_id: str, prompt_ids: Iterable[str]) -> bool | None:
        """Whether one of these prompts was ever planned in this OUT; None when nothing was."""
        asked = list(prompt_ids)
        return await self._read(lambda conn: lookups.knows_any_prompt(conn, out_id, asked))

    async def kept(self, out_id: str, gateway: str, told: Callable[[int], str | None]) -> Kept:
        """Which lines of the latest plan already say what `told` says of their places (`read_kept`)."""
        return await self._read(lambda conn: read_kept(conn, out_id, gateway, told))

    async def bought_before(self, out_id: str, gateway: str) -> dict[str, str]:
        """Fingerprints to buy → those paid for, for the same prompt, model and seed, that left the plan."""
        return await self._read(lambda conn: lookups.read_bought_before(conn, out_id, gateway))

    async def paid_elsewhere(self, gateway: str) -> frozenset[str]:
        """Fingerprints that another gateway of this ledger has made."""
        return await self._read(lambda conn: lookups.read_paid_elsewhere(conn, gateway))

    async def tally(self, out_id: str, run_id: str | None = None) -> Tally:
        """Counts and money of an OUT; with `run_id`, `posts` are that run's."""
        return await self._read(lambda conn: reads.read_tally(conn, out_id, run_id))

    async def picture(self, out_id: str) -> Picture:
        """Counts, money and what is open of an OUT, as it is: what a dead run had in flight is unknown."""

        def read(conn: Connection) -> Picture:
            return reads.read_picture(conn, out_id, find_dead(conn, self._place, self._moment()))

        return await self._read(read)

    async def latest_plan(self, out_id: str) -> tuple[str, str] | None:
        """The gateway and the hash of an OUT's latest plan; None where it has none."""
        return await self._read(lambda conn: lookups.read_latest_plan(conn, out_id))

    async def strata(self, out_id: str, gateway: str) -> list[StratumCount]:
        """Results of an OUT by model asked for and stratum, in order of appearance."""
        return await self._read(lambda conn: reads.read_strata(conn, out_id, gateway))

    async def runs(self, out_id: str | None = None) -> list[Mapping[str, Any]]:
        """The runs of an OUT, or of the ledger, oldest first."""
        return await self._read(lambda conn: lookups.read_run_rows(conn, out_id))

    def state(self, out_id: str) -> OutState:
        """One state of an OUT for a `with` block: lines and POSTs that agree with each other."""
        return OutState(self._snapshot, out_id)

    def lines(self, out_id: str) -> Iterator[Line]:
        """Every line of an OUT from one state of the ledger; blocks, so iterate in a thread."""
        with self.state(out_id) as state:
            yield from state.lines()

    def attempt_lines(self, out_id: str) -> Iterator[AttemptRecord]:
        """Every POST of an OUT's generations, oldest first; blocks, so iterate in a thread."""
        with self.state(out_id) as state:
            yield from state.attempts()

    async def spend(self) -> Spend:
        """The ledger's money, whoever spent it."""
        return await self._read(lambda conn: _spend(conn, None))

    async def spend_today(self, zone: tzinfo = UTC) -> Spend:
        """The money of this calendar day."""
        now = self._clock()
        return await self._read(lambda conn: _spend(conn, (now, zone)))

    def _snapshot(self) -> Snapshot:
        """One state of this ledger, also where its file has been removed: never of another in its place.

        Raises TroubleError.
        """
        connect = self._copy if self._is_gone() else lambda: self._connect("read")
        snapshot = Snapshot(connect, str(self._place))
        try:
            if snapshot.read(_read_id) != self.ledger_id:
                raise self._gone()
        except BaseException:
            snapshot.close()
            raise
        return snapshot

    def _hold(self) -> None:
        """Know the file from now on, and keep a connection that reads it whatever becomes of its name."""
        if isinstance(self._place, FilePlace):
            self._file = file_of(self._place.path)
            self._reader.submit(lambda _conn: None).result()

    def _connect(self, purpose: Purpose) -> Link:
        self.demand_there()
        return open_link(self._place, purpose)

    def _copy(self) -> Link:
        return self._reader.submit(CopyLink).result()

    def _is_gone(self) -> bool:
        return (
            self._file is not None
            and isinstance(self._place, FilePlace)
            and file_of(self._place.path) != self._file
        )

    def _gone(self) -> TroubleError:
        return TroubleError(
            f"Ledger {self._place}: it was removed or replaced while it was in use.",
            f"Put it back. If it is lost, move away what stands in its place and run `{REBUILD}`.",
        )

    def _moment(self) -> Moment:
        return Moment(now=self._clock(), uptime_s=self._uptime(), boot_id=self._boot_id)

    async def _read(self, call: Callable[[Connection], T]) -> T:
        return await wait(self._reader.submit(call))


def _read_id(conn: Connection) -> str | None:
    """The id of the ledger in a database; None where there is none."""
    if not inspect(conn).has_table(facts.name):
        return None
    return conn.execute(select(facts.c.value).where(facts.c.name == "ledger_id")).scalar_one_or_none()


def _spend(conn: Connection, day: tuple[datetime, tzinfo] | None) -> Spend:
    money = spent(conn, None if day is None else day_of(*day))
    return Spend(settled_musd=money.settled, open_musd=money.open, held_musd=money.held)


async def wait(future: Future[T]) -> T:
    """The value of a call that was handed to a thread; cancelling does not withdraw it."""
    return await asyncio.wrap_future(future)
