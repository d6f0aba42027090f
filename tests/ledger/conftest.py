"""Ledgers on SQLite and on a real PostgreSQL server, with clocks the tests set."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from reelsweep.tasks.gateway.outcome import Choice, Outcome
from reelsweep.tasks.ledger.leases import Times
from reelsweep.tasks.ledger.ledger import Ledger
from reelsweep.tasks.ledger.link import open_link
from reelsweep.tasks.ledger.place import FilePlace, parse_place, prepare_file
from reelsweep.tasks.ledger.reader import Reader
from reelsweep.tasks.ledger.records import (
    Answer,
    Claim,
    ClaimRequest,
    PlanRow,
    ResultRecord,
    RunRecord,
)
from sqlalchemy import Connection, text

GATEWAY = "https://gateway.example.com/v1"
URL = "https://files.example.com/a.mp4?signature=secret"

STILL = Times(renew_s=3_600, second_look_s=3_600)
"""Nothing is renewed but by a claim, and a free lock proves a death at once on a server too."""


@dataclass
class Clock:
    """A wall clock and a running clock that stand still until they are moved."""

    now: datetime = datetime(2025, 6, 1, 12, 0, tzinfo=UTC)
    uptime_s: float = 1_000.0

    def wall(self) -> datetime:
        """The wall clock."""
        return self.now

    def uptime(self) -> float:
        """The running clock."""
        return self.uptime_s

    def pass_time(self, seconds: float) -> None:
        """Move both."""
        self.now += timedelta(seconds=seconds)
        self.uptime_s += seconds


@dataclass
class Database:
    """One database, the ledgers opened on it, and a way around them for the tests."""

    url: str
    clock: Clock = field(default_factory=Clock)
    opened: list[Ledger] = field(default_factory=list)
    reader: Reader | None = None

    def open(self, **how: Any) -> Ledger:
        """Another owner of the ledger."""
        settings = {"clock": self.clock.wall, "uptime": self.clock.uptime, "times": STILL, **how}
        ledger = Ledger.open(self.url, **settings)
        self.opened.append(ledger)
        return ledger

    def sql(self, statement: str, **values: Any) -> list[Any]:
        """Rows of a statement, committed."""
        return self.apply(lambda conn: _rows(conn.execute(text(statement), values)))

    def apply(self, call: Callable[[Connection], Any]) -> Any:
        """What a call in a transaction of its own gives; in a thread, since a test may run in a loop."""
        with ThreadPoolExecutor(1) as thread:
            return thread.submit(self._apply, call).result()

    def _apply(self, call: Callable[[Connection], Any]) -> Any:
        place = parse_place(self.url)
        if isinstance(place, FilePlace):
            prepare_file(place.path)
        link = open_link(place, "write")
        try:
            link.begin()
            result = link.apply(call)
            link.commit()
        finally:
            link.close()
        return result

    def read(self, statement: str) -> list[Any]:
        """Rows of a statement, on a connection that is kept."""
        if self.reader is None:
            self.reader = Reader(lambda: open_link(parse_place(self.url), "read"), self.url)
        return self.reader.submit(lambda conn: _rows(conn.execute(text(statement)))).result()

    def expire(self, run_id: str) -> None:
        """Let a run's lease run out."""
        self.sql("UPDATE runs SET lease_until = -1e9 WHERE run_id = :run", run=run_id)

    def close(self) -> None:
        """End what the test left open."""
        for ledger in self.opened:
            ledger.close()
        if self.reader is not None:
            self.reader.close()


def _rows(result: Any) -> list[Any]:
    return list(result.all()) if result.returns_rows else []


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """A database of either kind."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path / 'ledger.db'}"
    else:
        url = request.getfixturevalue("postgres")()
    made = Database(url)
    yield made
    made.close()


@pytest.fixture
def sqlite(tmp_path: Path) -> Iterator[Database]:
    """A SQLite database."""
    made = Database(f"sqlite:///{tmp_path / 'ledger.db'}")
    yield made
    made.close()


class Make:
    """The values a test speaks about."""

    gateway = GATEWAY
    url = URL
    Clock = Clock
    Database = Database
    Times = Times

    def run(self, run_id: str = "run", **other: Any) -> RunRecord:
        """A run of OUT `out`."""
        return RunRecord(
            **{
                "run_id": run_id,
                "out_id": "out",
                "gateway": GATEWAY,
                "plan_hash": "plan",
                "settings": {"limit": 3},
                "code_version": "1.2.3",
                "host": "host",
                "pid": os.getpid(),
                **other,
            }
        )

    def row(self, number: int, **other: Any) -> PlanRow:
        """The plan row of prompt `number`."""
        row = PlanRow(
            row_key=f"row-{number}",
            ordinal=number,
            prompt_id=f"p{number}",
            sample_idx=0,
            request_fingerprint=f"f{number}",
            output="video",
            model="model",
            prompt=f"a cat, {number}",
            messages='[{"role":"user","content":"a cat"}]',
            seed=number,
            n=1,
            size_asked=None,
            seconds_asked=None,
            params={"seed": number},
            meta={"group": "a"},
            payload='{"model":"model"}',
        )
        return replace(row, **other)

    def request(self, number: int = 0, **other: Any) -> ClaimRequest:
        """The wish to buy prompt `number`, at most 100 micro-dollars."""
        return ClaimRequest(
            **{
                "run_id": "run",
                "request_fingerprint": f"f{number}",
                "body_sha256": f"body-{number}",
                "price_max_musd": 100,
                "price": "0.0001",
                **other,
            }
        )

    def success(self, cost_musd: int | None = 80, **other: Any) -> Answer:
        """A paid video, its address known."""
        choices = (Choice(choice_idx=0, video_url=URL, finish_reason="stop"),)
        outcome = Outcome(**{"status": "succeeded", "billed": "yes", "choices": choices, **other})
        return Answer(
            outcome=outcome,
            manifest_status="in_progress",
            billed="yes",
            cost_musd=cost_musd,
            cost_source="price",
        )

    def throttled(self) -> Answer:
        """A 429 before any event: surely unbilled."""
        outcome = Outcome(status="failed", retry="backoff", billed="no", http_status=429)
        return Answer(outcome=outcome, manifest_status="failed", billed="no", cost_musd=None)

    def rejected(self) -> Answer:
        """A 422: wrong for good, and surely unbilled."""
        outcome = Outcome(status="failed", retry="none", billed="no", http_status=422)
        return Answer(outcome=outcome, manifest_status="failed", billed="no", cost_musd=None)

    def cut(self, **other: Any) -> Answer:
        """A body that ended without an end: maybe billed."""
        outcome = Outcome(**{"status": "incomplete", "billed": "maybe", "error_type": "cut", **other})
        return Answer(outcome=outcome, manifest_status="unknown", billed="maybe", cost_musd=None)

    def refused(self) -> Answer:
        """A moderation's no, maybe billed."""
        outcome = Outcome(status="refused", billed="maybe", refused_at="input")
        return Answer(outcome=outcome, manifest_status="refused", billed="maybe", cost_musd=None)

    def no_video(self) -> Answer:
        """A normal end with nothing usable, billed."""
        outcome = Outcome(status="no_video", billed="yes")
        return Answer(outcome=outcome, manifest_status="failed", billed="yes", cost_musd=80)

    def stored(self, **other: Any) -> ResultRecord:
        """A stored clip."""
        return ResultRecord(
            **{
                "choice_idx": 0,
                "status": "success",
                "file_name": "videos/ab/ab.mp4",
                "sha256": "ab",
                "size_bytes": 5,
                "mime_type": "video/mp4",
                "facts": {"width": 320, "fps": 24.0},
                **other,
            }
        )

    async def start(self, ledger: Ledger, rows: int = 3, run_id: str = "run") -> Ledger:
        """A live run with its plan recorded."""
        await ledger.start_run(self.run(run_id))
        await ledger.record_plan("out", GATEWAY, "plan", [self.row(number) for number in range(rows)])
        return ledger

    async def buy(self, ledger: Ledger, number: int = 0, **other: Any) -> Claim:
        """A granted claim."""
        claim = await ledger.claim(GATEWAY, self.request(number, **other))
        assert isinstance(claim, Claim), claim
        return claim

    async def standing(self, ledger: Ledger, number: int = 0) -> Any:
        """Where prompt `number` stands."""
        return (await ledger.standings(GATEWAY, [f"f{number}"], "out"))[f"f{number}"]


@pytest.fixture
def make() -> Make:
    """Builders of records."""
    return Make()
