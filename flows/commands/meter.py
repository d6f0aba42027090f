"""Progress of work that is no run: a bar on a terminal, else a line now and then, on stderr."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

PAUSE_S = 5.0
Tick = Callable[[int], None]
Meter = Callable[[str, int], Tick]
"""Opens a count: what is done, and of how many; what comes back is told of each, from any thread."""


@contextmanager
def metering() -> Generator[Meter]:
    """A meter for the block."""
    stream = sys.stderr
    if not stream.isatty():
        yield lambda what, total: lines(what, total, stream)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(file=stream), transient=True) as progress:

        def open_bar(what: str, total: int) -> Tick:
            bar = progress.add_task(what, total=total)
            return lambda number: progress.advance(bar, number)

        yield open_bar


def lines(what: str, total: int, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> Tick:
    """A line every few seconds, none for work that is over before."""
    lock = threading.Lock()
    done, next_at = 0, clock() + PAUSE_S

    def tick(number: int) -> None:
        nonlocal done, next_at
        with lock:
            done += number
            if clock() >= next_at:
                next_at = clock() + PAUSE_S
                stream.write(f"{what}: {done:,} of {total:,}\n")

    return tick
