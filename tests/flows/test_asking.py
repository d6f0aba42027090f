"""Who can be asked, and that a question which cannot be put never holds a run for ever."""

from __future__ import annotations

import io
import os
import pty
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from reelsweep.flows.execution.asking import find_way
from reelsweep.flows.execution.drift import Drift
from reelsweep.flows.execution.progress import DISPLAY
from reelsweep.flows.reporting.lines import LineDisplay
from reelsweep.tasks.gateway.strata import Change, Stratum
from reelsweep.tasks.purchase.stops import Stop

CHANGE = Change(model="m", first=Stratum("m", "fp1"), now=Stratum("m", "fp2"), is_new=True, num_seen=2)


@pytest.fixture
def display() -> Iterator[io.StringIO]:
    """What is shown."""
    shown = io.StringIO()
    before = DISPLAY.set(LineDisplay(shown))
    yield shown
    DISPLAY.reset(before)


@pytest.fixture
def foreign_terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """stdin and stderr are a terminal that does not control this process, as after `setsid`."""
    leader, follower = pty.openpty()
    with os.fdopen(follower, "r") as stdin, os.fdopen(os.dup(follower), "w") as stderr:
        monkeypatch.setattr("sys.stdin", stdin)
        monkeypatch.setattr("sys.stderr", stderr)
        yield
    os.close(leader)


@pytest.mark.usefixtures("display", "foreign_terminal")
def test_the_terminal_of_another_session_is_not_asked() -> None:
    """Nobody is known to see the question there; the run goes another way and does not break."""
    assert find_way() == "nobody"


class Context:
    """As much of a run as drift touches."""

    def __init__(self) -> None:
        self.paused: str | None = None
        self.stopped: Stop | None = None

    def stop(self, stop: Stop) -> None:
        """Remember why."""
        self.stopped = stop


@pytest.mark.usefixtures("display")
async def test_a_question_that_breaks_is_a_no(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The run is stopped and not left paused, where it would wait for ever."""
    closed = (tmp_path / "stdin").open("w+")
    closed.close()
    monkeypatch.setattr("sys.stdin", closed)
    context: Any = Context()
    drift = Drift(context=context, policy="pause", emit=lambda _change: None)
    drift.on_change(CHANGE)
    assert context.paused is not None
    assert drift._asking is not None
    await drift._asking
    assert (context.paused, context.stopped and context.stopped.reason) == (None, "drift")
