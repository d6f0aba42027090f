"""Our own Prefect server seen from the run: started, waited for, watched, ended.

Between `server.py` and `embedded.py`, the program that runs in the child.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO

from prefect.settings import get_current_settings
from reelsweep.flows.orchestration import embedded
from reelsweep.flows.orchestration.loss import server_lost
from reelsweep.prompts.errors import TroubleError

END_S = 5.0
"""How long the server may take to record the last task runs and end (idle: a second) before it is killed."""

DEFAULTS: Mapping[str, str] = {
    # one write per second for all task runs of that second, instead of one per event
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_BATCH_SIZE": "5000",
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_FLUSH_INTERVAL": "1",
    # three events per task run would stay in the user's database; the task runs themselves are recorded
    "PREFECT_SERVER_SERVICES_EVENT_PERSISTER_ENABLED": "false",
    "PREFECT_SERVER_EVENTS_STREAM_OUT_ENABLED": "false",
    # block types register themselves when a block is saved; the memo would hide that they were not
    "PREFECT_SERVER_REGISTER_BLOCKS_ON_START": "false",
    "PREFECT_SERVER_MEMOIZE_BLOCK_AUTO_REGISTRATION": "false",
    "PREFECT_SERVER_LOGGING_LEVEL": "ERROR",
}
"""Settings of the embedded server, which a setting of the user's overrides."""

FIXED: Mapping[str, str] = {
    "PREFECT__SERVER_EPHEMERAL": "1",
    "PREFECT__SERVER_FINAL": "1",
    "PREFECT_SERVER_UI_ENABLED": "false",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
}
"""Settings of the embedded server that nothing overrides: no page, no telemetry."""


class ServerProcess:
    """A Prefect server as our child, in a session of its own, so that Ctrl-C ends the run first.

    `on_loss` is called, on another thread, with its exit code when it was ready and ends before `stop`.
    """

    def __init__(self, home: Path, on_loss: Callable[[int], None]) -> None:
        self._log: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed in stop
        self._ready = threading.Event()
        self._stopping = False
        self._on_loss = on_loss
        with socket.create_server(("127.0.0.1", 0)) as listening:
            self.url = f"http://127.0.0.1:{listening.getsockname()[1]}/api"
            self._child = subprocess.Popen(
                [sys.executable, "-P", embedded.__file__, str(listening.fileno())],
                env=server_environment(home),
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=self._log,
                pass_fds=(listening.fileno(),),
                start_new_session=True,
            )
        self.pid = self._child.pid
        threading.Thread(target=self._watch, name="watch-prefect-server", daemon=True).start()

    @property
    def exit_code(self) -> int | None:
        """Its exit code; None while it lives."""
        return self._child.poll()

    def wait_ready(self, timeout_s: float) -> None:
        """Return when it answers. Raises TroubleError when it has ended, or not answered in time."""
        deadline = time.monotonic() + timeout_s
        while server_lost(self.url, timeout_s=max(0.1, deadline - time.monotonic())):
            if self.exit_code is not None or time.monotonic() > deadline:
                raise TroubleError(
                    f"the Prefect server of this run did not start: {self._last_words()}",
                    "Run `reelsweep doctor`, or set PREFECT_API_URL to a running server.",
                )
            time.sleep(0.02)
        self._ready.set()

    def stop(self) -> None:
        """End it within END_S: first by itself, with the last task runs recorded, then by force."""
        self._stopping = True
        if self._child.stdin:
            self._child.stdin.close()
        try:
            self._child.wait(END_S)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
        self._log.close()

    def _watch(self) -> None:
        code = self._child.wait()
        if self._ready.is_set() and not self._stopping:
            self._on_loss(code)

    def _last_words(self) -> str:
        self._log.seek(0)
        lines = self._log.read().decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else f"exit code {self.exit_code}"


def server_environment(home: Path) -> dict[str, str]:
    """The environment of the embedded server: ours below, the user's above, what must be on top."""
    own = get_current_settings().to_environment_variables(exclude_unset=True)
    merged = {**DEFAULTS, **os.environ, **own, **FIXED, "PREFECT_HOME": str(home)}
    merged.pop("PREFECT_API_URL", None)
    return merged
