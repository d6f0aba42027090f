"""When a manifest is published during a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from reelsweep.tasks.manifest.publisher import MIN_PAUSE_S, PAUSE_FACTOR, Publisher
from reelsweep.tasks.manifest.write import PARQUET, publish


class Clock:
    """Seconds that pass when told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_the_first_publication_is_due_at_once(tmp_path: Path) -> None:
    """A run shows its plan before its first clip."""
    assert Publisher(tmp_path, Clock()).due(1000.0)


@pytest.mark.parametrize("took_s", [0.0, 0.03, 0.05, 600.0])
def test_a_refresh_waits_fifty_times_its_cost(make: Any, tmp_path: Path, took_s: float) -> None:
    """Never sooner than 50 × the last duration, and never sooner than two seconds."""
    clock = Clock()
    publisher = Publisher(tmp_path, clock)

    def slowly() -> list[Any]:
        clock.now += took_s
        return make.lines(1)

    published = publisher.refresh(slowly, list, {})
    assert published.rows == 1
    pause_s = max(MIN_PAUSE_S, PAUSE_FACTOR * (clock.now - 1000.0))
    assert publisher.last_s == clock.now - 1000.0
    assert not publisher.due(clock.now)
    assert not publisher.due(clock.now + pause_s * 0.999)
    assert publisher.due(clock.now + pause_s * 1.001)


def test_none_is_due_while_one_is_going_on(make: Any, tmp_path: Path) -> None:
    """A slow publication is not overtaken by the next."""
    clock = Clock()
    publisher = Publisher(tmp_path, clock)
    seen: list[bool] = []

    def look() -> list[Any]:
        seen.append(publisher.due(clock.now + 1e9))
        return make.lines(1)

    publisher.refresh(look, list, {})
    assert seen == [False]
    assert publisher.due(clock.now + 1e9)


def test_a_failed_publication_is_tried_again_later(make: Any, tmp_path: Path) -> None:
    """A failure is raised, holds no lock, and waits as long as a success would."""
    clock = Clock()
    publisher = Publisher(tmp_path, clock)

    def fail() -> list[Any]:
        clock.now += 1
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        publisher.refresh(fail, list, {})
    assert not publisher.due(clock.now + PAUSE_FACTOR - 1)
    assert publisher.due(clock.now + PAUSE_FACTOR)
    assert publisher.publish(lambda: make.lines(1), list, {}).rows == 1


def test_the_last_publication_brings_the_files_to_rest(make: Any, tmp_path: Path) -> None:
    """After a run's refreshes and its last publication the files are those of a single publication."""
    publisher = Publisher(tmp_path / "run", Clock())
    for _ in range(3):
        publisher.refresh(lambda: make.lines(3), list, {})
    publisher.publish(lambda: make.lines(3), list, {})
    publish(tmp_path / "once", make.lines(3), [], {})
    for name in PARQUET:
        assert (tmp_path / "run" / name).read_bytes() == (tmp_path / "once" / name).read_bytes(), name
