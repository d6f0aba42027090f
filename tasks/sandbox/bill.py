"""The bill: one JSON line per accepted POST, which tests compare with the ledger.

A line is in the file, and on the disk, before the first byte of the answer; how the job ended is
written over the end of its line, which has room for it. So the file is whole after a kill at any time,
and nothing of it is kept in memory. One bill belongs to one sandbox at a time.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import tempfile
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

from reelsweep.prompts.errors import SettingsError
from reelsweep.tasks.sandbox.faults import Ended

_TAIL = 52
"""Bytes at the end of a line that may be written again, line break included."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BillLine:
    """One accepted POST."""

    accepted_at: str
    """UTC, ISO 8601 with microseconds."""
    request_id: str
    completion_id: str
    idempotency_key: str | None
    model: str
    seed: int | None
    n: int
    body_sha256: str
    """Of the bytes received."""
    request_sha256: str
    """Of the request with sorted keys, without `stream` and `user`."""
    price_musd: int
    """What it costs if it is billed, all choices together."""
    ended: Ended = "open"
    billed: bool = True
    """Charged when accepted, given back when the job ends without being charged for."""


def parse_bill(lines: Iterable[str | bytes]) -> tuple[BillLine, ...]:
    """The bill's lines; a last line that was cut off by a power failure is left out."""
    return tuple(BillLine(**json.loads(line)) for line in lines if line.rstrip()[-1:] in ("}", b"}"))


def read_bill(path: Path) -> tuple[BillLine, ...]:
    """The bill in a file; empty when there is none yet."""
    return parse_bill(path.read_bytes().splitlines()) if path.exists() else ()


def _write_line(line: BillLine) -> bytes:
    fixed = {name: value for name, value in asdict(line).items() if name not in ("ended", "billed")}
    return f"{json.dumps(fixed)[:-1]}, ".encode() + _write_tail(line.ended, line.billed)


def _write_tail(ended: Ended, billed: bool) -> bytes:
    text = f'"ended": {json.dumps(ended)}, "billed": {json.dumps(billed)}'
    return f"{text:<{_TAIL - 2}}}}\n".encode()


class Bill:
    """The open bill. Without a path it is a temporary file, which waits for no disk."""

    def __init__(self, path: Path | None = None) -> None:
        self._is_durable = path is not None
        self._fd = _open_bill(path)
        self._end = _keep_whole_lines(self._fd)
        self._disk = ThreadPoolExecutor(1, thread_name_prefix="bill")
        self._waiting: asyncio.Future[None] | None = None
        self._syncing = asyncio.Lock()

    async def accept(self, line: BillLine) -> int:
        """Write a line; returns its place once it is on the disk. Calls at one time share an fsync."""
        text = _write_line(line)
        os.pwrite(self._fd, text, self._end)
        self._end += len(text)
        place = self._end - _TAIL
        if self._is_durable:
            await asyncio.shield(self._next_sync())
        return place

    def end(self, place: int, ended: Ended, billed: bool) -> None:
        """Write how the job of a line ended."""
        os.pwrite(self._fd, _write_tail(ended, billed), place)

    def read(self) -> bytes:
        """All lines so far."""
        return os.pread(self._fd, self._end, 0)

    def close(self) -> None:
        """Close the file."""
        self._disk.shutdown()
        os.close(self._fd)

    def _next_sync(self) -> asyncio.Future[None]:
        """The next fsync that begins after now."""
        if self._waiting is None:
            self._waiting = asyncio.ensure_future(self._sync())
        return self._waiting

    async def _sync(self) -> None:
        async with self._syncing:
            self._waiting = None
            await asyncio.get_running_loop().run_in_executor(self._disk, os.fdatasync, self._fd)


def _open_bill(path: Path | None) -> int:
    if path is None:
        with tempfile.TemporaryFile() as file:
            return os.dup(file.fileno())
    path.parent.mkdir(parents=True, exist_ok=True)
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        raise SettingsError(f"another sandbox writes the bill {path}.", "Name another file.") from None
    return fd


def _keep_whole_lines(fd: int) -> int:
    """Cut off a line that a power failure left unfinished; returns where the next one goes."""
    size = os.fstat(fd).st_size
    tail = os.pread(fd, 65_536, max(0, size - 65_536))
    end = size - len(tail) + tail.rfind(b"\n") + 1
    os.ftruncate(fd, end)
    return end
