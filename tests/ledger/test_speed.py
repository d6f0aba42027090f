"""What the ledger costs, in CPU so that a busy machine does not change it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

_POSTS, _ROWS = 1_500, 50_000


@contextmanager
def _cpu_ms(figures: dict[str, float], name: str, per: int) -> Iterator[None]:
    """CPU of the whole process, and the wall time beside it, for each of `per` things."""
    cpu_s, wall_s = time.process_time(), time.perf_counter()
    yield
    figures[name] = (time.process_time() - cpu_s) / per * 1_000
    figures[f"{name} (wall)"] = (time.perf_counter() - wall_s) / per * 1_000


async def _make(ledger: Any, make: Any, number: int, slots: asyncio.Semaphore) -> None:
    async with slots:
        claim = await make.buy(ledger, number)
        await ledger.note(claim.attempt_id, task_id="job")
        await ledger.answer(claim.attempt_id, make.success())
        await ledger.stored(claim.attempt_id, 0, sha256="ab", size_bytes=5, file_name="videos/ab/ab.mp4")
        await ledger.settle(claim.attempt_id, [make.stored()], "success")


@pytest.mark.bench
async def test_an_attempt_costs_little(
    database: Any, make: Any, record_property: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """Five durable verbs per attempt at 200 in flight, on either database (the server's own CPU apart)."""
    figures: dict[str, float] = {}
    ledger = await make.start(database.open(), rows=_POSTS)
    slots = asyncio.Semaphore(200)
    with _cpu_ms(figures, "ms per attempt", _POSTS):
        await asyncio.gather(*(_make(ledger, make, number, slots) for number in range(_POSTS)))
    kind = database.url.partition(":")[0]
    _tell(figures, kind, record_property, capsys)
    assert figures["ms per attempt"] < {"sqlite": 2, "postgresql": 4}[kind]


@pytest.mark.bench
async def test_a_long_plan_costs_little(
    sqlite: Any, make: Any, record_property: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """Plans, standings and lines by the row."""
    figures: dict[str, float] = {}
    ledger = await make.start(sqlite.open())
    rows = [make.row(number) for number in range(_ROWS)]
    await ledger.record_plan("out", make.gateway, "plan", rows)
    with _cpu_ms(figures, "ms per 1,000 rows recorded again", _ROWS // 1_000):
        await ledger.record_plan("out", make.gateway, "plan", rows)
    with _cpu_ms(figures, "ms per 1,000 standings", _ROWS // 1_000):
        assert len(await ledger.standings(make.gateway, None, "out")) == _ROWS
    with _cpu_ms(figures, "ms per 1,000 lines", _ROWS // 1_000):
        assert await asyncio.to_thread(lambda: sum(1 for _ in ledger.lines("out"))) == _ROWS
    _tell(figures, "sqlite", record_property, capsys)
    assert figures["ms per 1,000 rows recorded again"] < 20
    assert figures["ms per 1,000 standings"] < 15
    assert figures["ms per 1,000 lines"] < 30


def _tell(
    figures: dict[str, float], kind: str, record_property: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    with capsys.disabled():
        for name, figure in figures.items():
            record_property(name, figure)
            print(f"  ledger on {kind}, {name}: {figure:.2f}")
