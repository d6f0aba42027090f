"""A process that has loaded Reelsweep and forks a run for every line it reads, so that runs start quickly.

    {"do": "start", "table": …, "options": {…}, "report": PATH, "trap": {…} | null}  ->  {"pid": …}
    {"do": "wait", "pid": …}                                                         ->  {"code": …}

A trap is where a run ends itself by SIGKILL: just before the system call that the step names. The code of
Reelsweep is the real one; Python's audit hooks tell of connects, opens, renames and removals.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

from reelsweep.flows.bulk import bulk
from reelsweep.flows.summary import RunStopped
from reelsweep.tasks.purchase.context import CONTEXTS

PATIENCE_S = 4.0
PART = f"{os.sep}videos{os.sep}.part{os.sep}"


class Trap:
    """SIGKILL at the `nth` occasion of a step with `crowd` sends in flight, or `delay_s` after it."""

    def __init__(self, step: str, nth: int, port: int, delay_s: float, crowd: int) -> None:
        self.step, self.nth, self.port, self.delay_s, self.crowd = step, nth, port, delay_s, crowd
        self._seen = 0
        self._since: float | None = None

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Python's audit hook."""
        if not self._is_occasion(event, arguments) or not self._is_armed():
            return
        self._seen += 1
        if self._seen != self.nth:
            return
        if self.delay_s:
            threading.Timer(self.delay_s, die).start()
        else:
            die()

    def _is_armed(self) -> bool:
        """Whether enough is in flight, or enough was waited for that."""
        self._since = self._since or time.monotonic()
        return num_in_flight() >= self.crowd or time.monotonic() > self._since + PATIENCE_S

    def _is_occasion(self, event: str, arguments: tuple[Any, ...]) -> bool:
        match self.step, event:
            case "intent" | "stream", "socket.connect":
                address = arguments[1]
                return isinstance(address, tuple) and address[1] == self.port
            case "download", "open":
                path, _, flags = str(arguments[0]), arguments[1], arguments[2]
                return (
                    PART in path
                    and path[-5:] != ".json"
                    and bool(int(flags or 0) & (os.O_WRONLY | os.O_RDWR))
                )
            case "store", "os.rename":
                return PART in str(arguments[0]) and PART not in str(arguments[1])
            case "settle", "os.remove":
                path = str(arguments[0])
                return PART in path and path[-5:] == ".json" and not os.path.exists(path[:-5])
            case _:
                return False


def num_in_flight() -> int:
    """Sends that hold a slot now."""
    return sum(limiter.pace.in_flight for context in CONTEXTS.values() for limiter in context.limiters())


def die() -> None:
    """End at once, as `kill -9` does."""
    os.kill(os.getpid(), signal.SIGKILL)


def run(request: dict[str, Any]) -> None:
    """One run, to its end or to its trap; its summary goes to the report."""
    if request.get("trap"):
        sys.addaudithook(Trap(**request["trap"]))
    try:
        summary = asyncio.run(bulk(request["table"], **request["options"]))
    except RunStopped as stopped:
        summary = stopped.summary
    Path(request["report"]).write_text(summary.model_dump_json())
    os._exit(summary.exit_code)


def fork(request: dict[str, Any]) -> int:
    """Start a run as a child; returns its id."""
    pid = os.fork()
    if pid:
        return pid
    code = 70
    try:
        null = os.open(os.devnull, os.O_RDWR)
        os.dup2(null, 0)
        os.dup2(2, 1)
        run(request)
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        os._exit(code)


def main() -> None:
    """Serve requests until stdin ends."""
    for line in sys.stdin:
        request = json.loads(line)
        if request["do"] == "start":
            answer = {"pid": fork(request)}
        else:
            answer = {"code": os.waitstatus_to_exitcode(os.waitpid(request["pid"], 0)[1])}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
