"""The embedded Prefect server: a process of its own that serves one run and dies with it.

Started by `server.py` with a listening socket it inherits and a pipe as standard input. The pipe is the
whole protocol: its end means that the run is over, or that its process is dead, and no signal, `atexit`
or exit code is needed to see either. Run as a file, so that it imports Prefect and nothing of ours.
"""

from __future__ import annotations

import fcntl
import os
import select
import signal
import socket
import sys
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Any

import uvicorn

RECORD_S = 2.0
"""How long task runs that were already received may take to reach the database at the end."""
END_S = 10.0
"""After the run's end the process lives no longer than this, whatever its services do."""


class EmbeddedServer(uvicorn.Server):
    """Prefect's API on one inherited socket, alone in its PREFECT_HOME while it migrates the database."""

    def __init__(self, config: uvicorn.Config, home: Path) -> None:
        super().__init__(config)
        self._lock = HomeLock(home)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        with self._lock:
            await super().startup(sockets)


class HomeLock:
    """An exclusive lock on a folder, which leaves no file: two first runs must not both migrate."""

    def __init__(self, home: Path) -> None:
        home.mkdir(parents=True, exist_ok=True)
        self._fd = os.open(home, os.O_RDONLY)

    def __enter__(self) -> None:
        fcntl.flock(self._fd, fcntl.LOCK_EX)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._fd)


def main(socket_fd: int) -> None:
    """Serve until standard input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    server = EmbeddedServer(
        uvicorn.Config(
            "prefect.server.api.server:create_app",
            factory=True,
            lifespan="on",
            log_level="critical",
            # compressing what goes over loopback costs both sides CPU for nothing
            ws_per_message_deflate=False,
            timeout_graceful_shutdown=1,
        ),
        Path(os.environ["PREFECT_HOME"]),
    )
    threading.Thread(target=end_with_the_run, args=(server, os.getppid()), daemon=True).start()
    queue_writers()
    server.run(sockets=[socket.socket(fileno=socket_fd)])
    # all is committed; taking the interpreter down would cost most of a second
    os._exit(0 if server.started else 1)


def queue_writers() -> None:
    """Let a transaction of Prefect's that may write take SQLite's write lock at its beginning.

    One that reads first fails at its first write if another has written meanwhile, however long it would
    wait: the request is answered 503, and Prefect's client asks again after 2 s, then 4. Two runs begun
    together met that in three rounds of ten, and eight requests at once in most.
    """
    from prefect.server.database import configurations

    begin = configurations.AioSqliteConfiguration.begin_transaction

    def begin_immediate(self: Any, session: Any, *_: object, **__: object) -> Any:
        return begin(self, session, with_for_update=True)

    configurations.AioSqliteConfiguration.begin_transaction = begin_immediate


def end_with_the_run(server: uvicorn.Server, parent_pid: int) -> None:
    """Wait for the end of standard input or of the parent, let task runs be recorded, end the server."""
    while os.getppid() == parent_pid and not select.select([sys.stdin], [], [], 1.0)[0]:
        pass
    if not server.started:
        # also in the middle of a migration: tried, the next start completes it
        os._exit(0)
    wait_until_recorded(time.monotonic() + RECORD_S)
    server.should_exit = True
    time.sleep(END_S)
    os._exit(1)


def wait_until_recorded(deadline: float) -> None:
    """Return when every event that arrived has been taken by its consumers, and nothing more comes."""
    quiet_polls = 0
    while quiet_polls < 3 and time.monotonic() < deadline:
        quiet_polls = 0 if events_waiting() else quiet_polls + 1
        time.sleep(0.04)


def events_waiting() -> int:
    """How many events wait in the server's in-memory broker; none where this Prefect does not count them."""
    try:
        from prefect.server.utilities.messaging.memory import METRICS

        return sum(max(0, each["published"] - each["consumed"]) for each in list(METRICS.values()))
    except (ImportError, KeyError):
        return 0


if __name__ == "__main__":
    main(int(sys.argv[1]))
