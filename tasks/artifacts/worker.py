"""A decode worker as its parent holds it: the process, our end of its socket, its time limits.

Used by `probe`; the other end is `decode_worker`.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pydantic import Base64Bytes, TypeAdapter, ValidationError
from reelsweep.prompts.errors import TroubleError
from reelsweep.tasks.artifacts.decode_worker import INSPECT, Question
from reelsweep.tasks.artifacts.disk import trouble
from reelsweep.tasks.artifacts.facts import Facts

START = (
    "import json, sys; sys.path += [p for p in json.loads(sys.argv[1]) if p not in sys.path]; "
    "from reelsweep.tasks.artifacts.decode_worker import main; main(int(sys.argv[2]), int(sys.argv[3]))"
)
KEPT_VARIABLES = ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")
"""What the interpreter may need to find its own libraries; nothing else of the environment is passed on."""
START_S = 120.0
MAX_REPLY_BYTES = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeLimits:
    """What one file may cost."""

    memory_bytes: int = 2 << 30
    """Address space of the worker."""
    cpu_s: int = 120
    wall_s: float = 600.0


@dataclass(frozen=True, slots=True)
class Reply:
    """What a worker answers; checked, since a file may have taken the worker over."""

    facts: Facts | None = None
    invalid: str | None = None
    poster: Base64Bytes | None = None
    ready: bool = False


class WorkerDied(Exception):  # noqa: N818
    """The worker ended, or spoke nonsense, with a file in hand."""


class FileOverdue(Exception):  # noqa: N818
    """The file took more time than a file may."""


_REPLY = TypeAdapter(Reply)


class Worker:
    """One decode process. One thread talks to it at a time; any thread may `stop` it."""

    def __init__(self, limits: ProbeLimits) -> None:
        self.num_files = 0
        self._limits = limits
        self._socket, theirs = socket.socketpair()
        with theirs:
            try:
                self._process = _started(limits, theirs)
            except BaseException:
                self._socket.close()
                raise
        self.pid = self._process.pid

    def wait_ready(self) -> None:
        """Return when the worker has loaded its codecs and given up its rights; TroubleError if it cannot."""
        try:
            reply = self._reply(START_S)
        except (WorkerDied, TimeoutError) as error:
            reply = Reply(invalid=str(error))
        if not reply.ready:
            remedy = "Run `reelsweep doctor`; `import av` must work."
            raise TroubleError(f"the decoder does not start ({reply.invalid}).", remedy)

    def ask(self, descriptor: int, question: Question = INSPECT) -> Reply:
        """The worker's answer about an open file. Raises WorkerDied, FileOverdue."""
        self.num_files += 1
        try:
            os.lseek(descriptor, 0, os.SEEK_SET)
            socket.send_fds(self._socket, [question], [descriptor])
            return self._reply(self._limits.wall_s)
        except TimeoutError:
            raise FileOverdue(f"it did not decode within {self._limits.wall_s:g} s") from None
        except OSError as error:
            raise WorkerDied(error.strerror) from None
        except WorkerDied:
            if self._exit_code() == -signal.SIGXCPU:
                raise FileOverdue(f"it did not decode within {self._limits.cpu_s} s of computing") from None
            raise

    def stop(self) -> None:
        """End the process and reap it."""
        self._process.kill()
        self._process.wait()

    def release(self) -> None:
        """Stop, and close our end; for the thread that talks to the worker, or when none does."""
        self.stop()
        self._socket.close()

    def _reply(self, within_s: float) -> Reply:
        line, give_up_at = b"", time.monotonic() + within_s
        while not line.endswith(b"\n"):
            left_s = give_up_at - time.monotonic()
            if left_s <= 0:
                raise TimeoutError
            self._socket.settimeout(left_s)
            block = self._socket.recv(1 << 16)
            line += block
            if not block or len(line) > MAX_REPLY_BYTES:
                raise WorkerDied(f"exit code {self._exit_code()}")
        try:
            return _REPLY.validate_json(line)
        except ValidationError:
            raise WorkerDied("an answer that makes no sense") from None

    def _exit_code(self) -> int | None:
        with suppress(subprocess.TimeoutExpired):
            return self._process.wait(5)
        return None


def _started(limits: ProbeLimits, theirs: socket.socket) -> subprocess.Popen[bytes]:
    paths = [entry for entry in sys.path if Path(entry).is_absolute()]
    arguments = [json.dumps(paths), str(limits.memory_bytes), str(limits.cpu_s)]
    with trouble("start", Path(sys.executable)):
        return subprocess.Popen(
            [sys.executable, "-I", "-c", START, *arguments],
            stdin=theirs.fileno(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=_environment(),
            cwd="/",
        )


def _environment() -> dict[str, str]:
    """Nothing of ours but library paths: no key can be read where files are decoded."""
    kept = {name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ}
    return {"LANG": "C.UTF-8", "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", **kept}
