"""A question to a person while a run waits: at the terminal, else through Prefect's page.

Beside the run. Who cannot be asked has said no, and so has who does not answer in time: no run waits
for ever.
"""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import suppress
from typing import Literal

from prefect.context import FlowRunContext
from prefect.flow_runs import apause_flow_run
from prefect.logging import get_run_logger
from prefect.settings import get_current_settings
from reelsweep.flows.execution.progress import DISPLAY
from reelsweep.flows.reporting.display import SilentDisplay, escape_terminal
from reelsweep.flows.server import is_own

PATIENCE_S = 12 * 3600
POLL_S = 3

Way = Literal["terminal", "prefect", "nobody"]


def warn(text: str) -> None:
    """Say a warning where somebody may see it: on the display, else in the flow run's log."""
    display = DISPLAY.get()
    if not isinstance(display, SilentDisplay):
        display.note(text, "warning")
    elif FlowRunContext.get():
        get_run_logger().warning("%s", escape_terminal(text))


async def ask_person(question: str) -> bool:
    """Whether a person says yes."""
    way = find_way()
    with suppress(TimeoutError):
        async with asyncio.timeout(PATIENCE_S):
            match way:
                case "terminal":
                    return await _ask_terminal(question)
                case "prefect":
                    return await _ask_prefect(question)
                case "nobody":
                    warn("nobody can be asked: no terminal, and no Prefect server that outlives this run.")
                    return False
    return False


def find_way() -> Way:
    """How somebody can be reached: they must see the question and be able to answer it."""
    shown = not isinstance(DISPLAY.get(), SilentDisplay)
    if shown and sys.stdin.isatty() and sys.stderr.isatty() and _in_foreground():
        return "terminal"
    url = get_current_settings().api.url
    return "prefect" if url is not None and not is_own(url) and FlowRunContext.get() else "nobody"


def _in_foreground() -> bool:
    """A job in the background that read from its terminal would be halted."""
    try:
        return os.tcgetpgrp(sys.stdin.fileno()) == os.getpgrp()
    except OSError:  # the terminal of another session: nobody can be trusted to see the question there
        return False


async def _ask_terminal(question: str) -> bool:
    """Read one line; a cancelled question leaves the terminal as it was."""
    DISPLAY.get().note(f"{question} y and Enter go on, anything else stops.", "warning")
    loop, descriptor = asyncio.get_running_loop(), sys.stdin.fileno()
    typed: asyncio.Future[str] = loop.create_future()

    def read() -> None:
        if not typed.done():
            typed.set_result(sys.stdin.readline())

    loop.add_reader(descriptor, read)
    try:
        return (await typed).strip().lower() in ("y", "yes")
    finally:
        loop.remove_reader(descriptor)


async def _ask_prefect(question: str) -> bool:
    """The flow run is Paused until somebody presses Resume on its page."""
    warn(f"{question} The flow run is paused: resume it on Prefect's page within {PATIENCE_S // 3600} hours.")
    try:
        await apause_flow_run(timeout=PATIENCE_S, poll_interval=POLL_S)
    except Exception as error:  # a lost server, a run that was cancelled meanwhile: nobody has said yes
        warn(f"the flow run was not resumed ({type(error).__name__}).")
        return False
    return True
