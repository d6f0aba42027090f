"""Run as a program: what SQLite writes and syncs between batches of intents and their POSTs.

Every file that SQLite opens gets methods that note `xWrite` and `xSync` of the WAL before doing what
they did (https://sqlite.org/c3ref/io_methods.html), so the order on the way to the disk is known
without a tracer, on any machine. Prints the log as JSON: "write", "sync" and "post".
"""

from __future__ import annotations

import _sqlite3
import asyncio
import ctypes
import json
import sys
from typing import Any

LOG: list[str] = []
_KEPT: list[Any] = []
_POINTERS = 18
_WRITE, _SYNC = 2, 4


class _Methods(ctypes.Structure):
    """sqlite3_io_methods, version 3."""

    _fields_ = (("version", ctypes.c_int), ("methods", ctypes.c_void_p * _POINTERS))


class _File(ctypes.Structure):
    """sqlite3_file."""

    _fields_ = (("methods", ctypes.POINTER(_Methods)),)


class _Vfs(ctypes.Structure):
    """The beginning of sqlite3_vfs."""

    _fields_ = (
        ("version", ctypes.c_int),
        ("file_size", ctypes.c_int),
        ("path_max", ctypes.c_int),
        ("next", ctypes.c_void_p),
        ("name", ctypes.c_char_p),
        ("data", ctypes.c_void_p),
        ("open", ctypes.c_void_p),
    )


_Open = ctypes.CFUNCTYPE(
    ctypes.c_int,
    ctypes.c_void_p,
    ctypes.c_void_p,
    ctypes.POINTER(_File),
    ctypes.c_int,
    ctypes.c_void_p,
)
_Write = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int, ctypes.c_int64)
_Sync = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int)


def watch_wal() -> None:
    """Note every write and sync of a WAL from now on."""
    library = ctypes.CDLL(getattr(_sqlite3, "__file__", None))
    library.sqlite3_vfs_find.restype = ctypes.POINTER(_Vfs)
    vfs = library.sqlite3_vfs_find(None)
    original = _Open(vfs.contents.open)

    def open_file(this: int, name: int | None, file: Any, flags: int, out: int | None) -> int:
        code = original(this, name, file, flags, out)
        if code == 0 and name and ctypes.string_at(name).endswith(b"-wal"):
            _watch(file.contents)
        return code

    watched = _Open(open_file)
    _KEPT.extend((original, watched))
    vfs.contents.open = ctypes.cast(watched, ctypes.c_void_p)


def _watch(file: _File) -> None:
    methods = _Methods.from_buffer_copy(file.methods.contents)
    write, sync = _Write(methods.methods[_WRITE]), _Sync(methods.methods[_SYNC])

    def note_write(this: int, data: int, size: int, offset: int) -> int:
        LOG.append("write")
        return write(this, data, size, offset)

    def note_sync(this: int, flags: int) -> int:
        LOG.append("sync")
        return sync(this, flags)

    watched = (_Write(note_write), _Sync(note_sync))
    methods.methods[_WRITE] = ctypes.cast(watched[0], ctypes.c_void_p)
    methods.methods[_SYNC] = ctypes.cast(watched[1], ctypes.c_void_p)
    _KEPT.extend((write, sync, watched, methods))
    file.methods = ctypes.pointer(methods)


async def main(url: str, batches: int) -> None:
    """Claim in batches; after each, note where its POSTs would leave."""
    from reelsweep.tasks.ledger.ledger import Ledger
    from reelsweep.tasks.ledger.records import Claim, ClaimRequest, RunRecord

    rows = json.loads(sys.stdin.read())
    ledger = Ledger.open(url)
    await ledger.start_run(RunRecord(**rows["run"]))
    from reelsweep.tasks.ledger.records import PlanRow

    await ledger.record_plan("out", "gateway", "plan", [PlanRow(**row) for row in rows["rows"]])
    fingerprints = [row["request_fingerprint"] for row in rows["rows"]]
    size = len(fingerprints) // batches
    LOG.clear()
    for batch in range(batches):
        asked = fingerprints[batch * size : (batch + 1) * size]
        claims = await asyncio.gather(
            *(
                ledger.claim(
                    "gateway",
                    ClaimRequest(run_id="run", request_fingerprint=name, body_sha256="b", price_max_musd=1),
                )
                for name in asked
            )
        )
        assert all(isinstance(claim, Claim) for claim in claims)
        LOG.append("post")
    log = list(LOG)
    ledger.close()
    print(json.dumps(log))


if __name__ == "__main__":
    watch_wal()
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
