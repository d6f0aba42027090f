"""The limiter's promises: no more in flight than the limit, one cut per episode, everyone hears the end."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reelsweep.tasks.gateway.limiter import Limiter, LimiterClosed, Pace


class Clock:
    """Monotonic seconds that move when told."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def fixed(limit: int) -> Pace:
    return Pace(limit=float(limit), ceiling=float(limit), adaptive=False)


def auto() -> Pace:
    return Pace(limit=4.0, ceiling=64.0, adaptive=True)


def test_a_full_limiter_says_to_wait_for_an_end() -> None:
    """With every slot taken there is no time to name: the next place comes when one in flight ends."""
    pace = fixed(2)
    pace.take()
    pace.take()
    assert pace.delay_s(0.0) is None
    pace.give()
    assert pace.delay_s(0.0) == 0.0


def test_room_grows_only_where_it_is_used() -> None:
    """A success with free slots beside it teaches nothing about more of them."""
    pace = auto()
    pace.take()
    pace.succeeded()
    assert pace.limit == 4
    for _ in range(3):
        pace.take()
    pace.succeeded()
    assert pace.limit == 5


@given(st.lists(st.sampled_from(["take", "give", "good", "bad"]), max_size=400))
def test_the_limit_stays_within_its_bounds(steps: list[str]) -> None:
    """Whatever happens, the adaptive limit is between 1 and its ceiling."""
    pace = auto()
    for now, step in enumerate(steps):
        match step:
            case "take":
                pace.take()
            case "give" if pace.in_flight:
                pace.give()
            case "good":
                pace.succeeded()
            case _:
                pace.throttled(float(now), sent_at=float(now), retry_after_s=None)
        assert 1 <= pace.limit <= 64


def test_an_episode_cuts_once() -> None:
    """Sends that left before the cut and come back throttled do not cut again."""
    pace = auto()
    for _ in range(4):
        pace.take()
    pace.throttled(10.0, sent_at=5.0, retry_after_s=None)
    cut = pace.limit
    assert cut < 4
    pace.throttled(10.1, sent_at=6.0, retry_after_s=None)
    assert pace.limit == cut
    pace.throttled(30.0, sent_at=20.0, retry_after_s=None)
    assert pace.limit < cut


def test_retry_after_holds_every_send() -> None:
    """The cool-down a gateway names is kept to the second, and is never shortened by another answer."""
    pace = fixed(8)
    pace.throttled(100.0, sent_at=99.0, retry_after_s=3.0)
    assert pace.delay_s(100.0) == pytest.approx(3.0)
    pace.throttled(100.5, sent_at=99.0, retry_after_s=1.0)
    assert pace.delay_s(101.0) == pytest.approx(2.0)
    assert pace.delay_s(103.0) == 0.0


def test_rpm_spaces_sends() -> None:
    """With 60 a minute the second send waits for one second."""
    pace = Pace(limit=10.0, ceiling=10.0, adaptive=False, rpm=60.0)
    assert pace.delay_s(0.0) == 0.0
    pace.take()
    assert pace.delay_s(0.0) == pytest.approx(1.0)
    assert pace.delay_s(1.0) == 0.0


async def test_no_more_than_the_limit_are_inside() -> None:
    """However many wait, the block holds at most the limit, and all get through."""
    limiter = Limiter(3, clock=Clock())
    inside = most = done = 0

    async def work() -> None:
        nonlocal inside, most, done
        async with limiter.slot():
            inside += 1
            most = max(most, inside)
            await asyncio.sleep(0)
            inside -= 1
        done += 1

    async with asyncio.TaskGroup() as group:
        for _ in range(50):
            group.create_task(work())
    assert (most, done) == (3, 50)


async def test_closing_reaches_every_waiter() -> None:
    """When the run stops, those who wait are told at once, and nobody gets in any more."""
    limiter = Limiter(1, clock=Clock())
    async with limiter.slot():
        waiting = [asyncio.ensure_future(limiter.slot().__aenter__()) for _ in range(5)]
        await asyncio.sleep(0)
        limiter.close()
        ends = await asyncio.gather(*waiting, return_exceptions=True)
    assert all(isinstance(end, LimiterClosed) for end in ends)
    with pytest.raises(LimiterClosed):
        await limiter.slot().__aenter__()


async def test_a_cancelled_waiter_passes_its_call_on() -> None:
    """A slot that is freed for a waiter who has just been cancelled goes to the next one."""
    limiter = Limiter(1, clock=Clock())
    first = limiter.slot()
    await first.__aenter__()
    leaving = asyncio.ensure_future(limiter.slot().__aenter__())
    staying = asyncio.ensure_future(limiter.slot().__aenter__())
    await asyncio.sleep(0.01)
    leaving.cancel()
    await first.__aexit__(None, None, None)
    async with asyncio.timeout(2):
        await staying


def test_threads_share_one_limit() -> None:
    """Event loops in several threads take their slots from the same limiter."""
    limiter = Limiter(2, clock=Clock())
    inside: list[int] = []
    most = 0

    async def work() -> None:
        nonlocal most
        async with limiter.slot():
            inside.append(1)
            most = max(most, len(inside))
            await asyncio.sleep(0.001)
            inside.pop()

    async def several() -> None:
        await asyncio.gather(*(work() for _ in range(20)))

    async def main() -> None:
        await asyncio.gather(*(asyncio.to_thread(asyncio.run, several()) for _ in range(3)))

    asyncio.run(main())
    assert most <= 2
