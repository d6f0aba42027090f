"""The display on a terminal: two lines that stay at the bottom, messages above them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Self, TextIO

from reelsweep.flows.reporting.display import Level, Progress, escape_terminal
from reelsweep.flows.reporting.wording import (
    describe_counts,
    describe_money,
    describe_pace,
    describe_summary,
    list_remedies,
)
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from reelsweep.flows.summary import RunSummary

STYLES = {"done": "green", "failed": "red", "refused": "yellow", "unknown": "magenta"}
LEVEL_STYLES: dict[Level, str] = {"info": "", "warning": "yellow", "error": "bold red"}
PAUSE_S = 0.2
BAR_WIDTH = 32


class BarDisplay:
    """A bar with counts, pace and money. Enter it before use; leaving takes the bar away."""

    def __init__(self, stream: TextIO, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._console = Console(file=stream, highlight=False, markup=False, emoji=False)
        self._live = Live(console=self._console, auto_refresh=False, transient=True, redirect_stdout=False)
        self._clock = clock
        self._next_at = float("-inf")
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            self._live.stop()

    def update(self, progress: Progress) -> None:
        """Draw it, at most five times a second; the last one always."""
        with self._lock:
            now = self._clock()
            if now < self._next_at and progress.ended < progress.planned and not progress.is_last:
                return
            self._next_at = now + PAUSE_S
            if not self._live.is_started:
                self._live.start()
            self._live.update(draw(progress), refresh=True)

    def note(self, text: str, level: Level = "info") -> None:
        """One line above the bar."""
        prefix = "" if level == "info" else f"{level}: "
        line = Text.assemble((prefix, LEVEL_STYLES[level]), escape_terminal(text))
        self._console.print(line, soft_wrap=True)

    def summary(self, summary: RunSummary) -> None:
        """A small table in place of the bar."""
        with self._lock:
            self._live.stop()
        grid = Table.grid(padding=(0, 2))
        grid.add_column(style="dim", no_wrap=True)
        grid.add_column(overflow="fold")
        for name, value in describe_summary(summary):
            grid.add_row(name, Text(escape_terminal(value), style="bold red" if name == "stopped" else ""))
        self._console.print(Group(Text(""), grid))
        for remedy in list_remedies(summary):
            self._console.print(Text(escape_terminal(remedy), style="yellow"), soft_wrap=True)


def draw(progress: Progress) -> RenderableType:
    """The two lines of the bar; each is cut, not wrapped, when the terminal is narrow."""
    share = progress.ended / progress.planned if progress.planned else 1.0
    head = Table.grid(padding=(0, 1))
    head.add_row(
        ProgressBar(total=max(1, progress.planned), completed=progress.ended, width=BAR_WIDTH),
        Text(f"{progress.ended}/{progress.planned} {share:4.0%}", style="bold", no_wrap=True),
        join([Text(text, style=STYLES[name]) for name, text in describe_counts(progress)]),
    )
    parts = [Text(part) for part in describe_pace(progress)]
    if money := describe_money(progress):
        parts.append(Text(money))
    if progress.waiting:
        parts.append(Text(escape_terminal(progress.waiting), style="yellow"))
    return Group(head, join(parts))


def join(parts: list[Text]) -> Text:
    """The parts with dots between them, on one line."""
    line = Text(no_wrap=True, overflow="ellipsis")
    for position, part in enumerate(parts):
        if position:
            line.append(" · ", style="dim")
        line.append_text(part)
    return line
