"""The window: bounded, complete, and in the order that parents demand."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reelsweep.flows.execution.window import Window
from reelsweep.prompts.request import GenerationSpec
from reelsweep.tasks.ledger.records import ManifestStatus, Standing
from reelsweep.tasks.purchase.ends import RowEnd


def spec(number: int, follows: int | None = None) -> GenerationSpec:
    return GenerationSpec(
        ordinal=number,
        prompt_id=f"p{number}",
        row_idx=number,
        sample_idx=0,
        output="video",
        model="m",
        payload={},
        request_fingerprint=str(number),
        prompt=None,
        follows=None if follows is None else str(follows),
    )


def standing(fingerprint: str, status: ManifestStatus, next_step: Any) -> Standing:
    return Standing(request_fingerprint=fingerprint, status=status, next_step=next_step)


class Work:
    """Records what the window does; `statuses` are the ends by fingerprint."""

    def __init__(self, statuses: dict[str, ManifestStatus] | None = None, stop_after: int = 10**9) -> None:
        self.statuses = statuses or {}
        self.num_waiting = 0
        self.made: list[str] = []
        self.skipped: list[str] = []
        self.open = self.most = 0
        self.stop_after = stop_after

    async def make(self, spec: GenerationSpec) -> RowEnd:
        self.open += 1
        self.most = max(self.most, self.open)
        await asyncio.sleep(0)
        self.open -= 1
        self.made.append(spec.request_fingerprint)
        return RowEnd(status=self.statuses.get(spec.request_fingerprint, "success"))

    async def skip(self, spec: GenerationSpec) -> None:
        self.skipped.append(spec.request_fingerprint)

    async def parent(self, fingerprint: str) -> Standing | None:
        if fingerprint in self.skipped:
            return standing(fingerprint, "skipped_parent", "buy")
        if fingerprint not in self.made:
            return None
        status = self.statuses.get(fingerprint, "success")
        return standing(fingerprint, status, "hold" if status == "unknown" else "none")

    async def run(self, specs: Sequence[GenerationSpec], workers: int) -> None:
        window = Window(
            specs=iter(specs),
            make=self.make,
            skip=self.skip,
            stopped=lambda: len(self.made) >= self.stop_after,
            parent=self.parent,
        )
        async with asyncio.timeout(20):
            await window.run(workers)
        self.num_waiting = window.num_waiting


@settings(deadline=None)
@given(st.integers(0, 60), st.integers(1, 9))
def test_every_spec_is_made_once_within_the_bound(count: int, workers: int) -> None:
    """However many workers there are, each spec is made exactly once and no more than that many at a time."""
    work = Work()
    asyncio.run(work.run([spec(i) for i in range(count)], workers))
    assert sorted(work.made, key=int) == [str(i) for i in range(count)]
    assert work.most <= workers


@settings(deadline=None)
@given(st.lists(st.booleans(), min_size=1, max_size=20), st.integers(1, 5))
def test_a_child_is_made_after_its_parent_or_skipped(parents_succeed: list[bool], workers: int) -> None:
    """A row that follows another is made only after that succeeded; else it ends as skipped."""
    count = len(parents_succeed)
    children = [spec(100 + i, follows=i) for i in range(count)]
    work = Work({str(i): "success" if good else "refused" for i, good in enumerate(parents_succeed)})
    asyncio.run(work.run([*children, *(spec(i) for i in range(count))], workers))
    for i, good in enumerate(parents_succeed):
        child = str(100 + i)
        assert (child in work.made) == good
        assert (child in work.skipped) == (not good)
        if good:
            assert work.made.index(str(i)) < work.made.index(child)


async def test_a_chain_of_three_is_made_in_order() -> None:
    """Each turn waits for the one before, whatever the order of the table."""
    work = Work()
    await work.run([spec(2, follows=1), spec(1, follows=0), spec(0)], 4)
    assert work.made == ["0", "1", "2"]


async def test_the_grandchildren_of_a_failure_are_skipped_too() -> None:
    """A chain that breaks leaves nothing waiting."""
    work = Work({"0": "failed"})
    await work.run([spec(0), spec(1, follows=0), spec(2, follows=1)], 2)
    assert work.made == ["0"]
    assert sorted(work.skipped) == ["1", "2"]


async def test_a_row_whose_parent_may_yet_succeed_is_left_for_another_run() -> None:
    """A parent that is held, or that this run does not make, makes nobody skip: the rows wait."""
    work = Work({"0": "unknown"})
    await work.run([spec(0), spec(1, follows=0), spec(2, follows=1), spec(4, follows=3)], 2)
    assert (work.made, work.skipped, work.num_waiting) == (["0"], [], 3)


async def test_a_stopped_window_takes_nothing_new() -> None:
    """What is open ends; the rest of the plan stays where it is."""
    work = Work(stop_after=5)
    await work.run([spec(i) for i in range(100)], 3)
    assert 5 <= len(work.made) <= 7


async def test_memory_is_bounded_by_the_window_not_by_the_plan() -> None:
    """The plan is pulled as places get free: an endless one is fine."""
    pulled = 0

    def endless() -> object:
        nonlocal pulled
        while True:
            pulled += 1
            yield spec(pulled)

    work = Work(stop_after=50)
    window = Window(
        specs=endless(),  # type: ignore[arg-type]
        make=work.make,
        skip=work.skip,
        stopped=lambda: len(work.made) >= 50,
        parent=work.parent,
    )
    await window.run(4)
    assert pulled <= 60


async def test_cutting_off_cuts_every_worker() -> None:
    """Cancelling the window cancels what is open and comes back."""
    begun = asyncio.Event()

    async def hang(_: GenerationSpec) -> RowEnd:
        begun.set()
        await asyncio.Event().wait()
        raise AssertionError("never reached")

    work = Work()
    window = Window(
        specs=iter([spec(i) for i in range(9)]),
        make=hang,
        skip=work.skip,
        stopped=lambda: False,
        parent=work.parent,
    )
    running = asyncio.create_task(window.run(3))
    await begun.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
