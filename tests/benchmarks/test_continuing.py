"""How long a long table takes that is done but for its last row."""

from __future__ import annotations

import asyncio
import os
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from reelsweep.flows.options import RunOptions
from reelsweep.flows.prepare import prepare
from reelsweep.flows.session import open_run

ROWS = 100_000
MOST_S = 10.0

FINISH = """
insert into attempts (
    attempt_id, generation_id, run_id, purchase_idx, attempt_idx, idempotency_key, body_sha256, state,
    status, budget_slot, billed, kind, retry, http_status, sent_at, first_event_at, completed_at)
select
    printf('a%012d', generation_id), generation_id, (select run_id from runs), 0, 0,
    printf('key%d', generation_id), printf('%064x', generation_id), 'settled',
    'success', 1, 'yes', 'succeeded', 'none', 200, at, at, at
from generations, (select created_at as at from plan_rows limit 1);
insert into results (
    attempt_id, choice_idx, status, file_name, sha256, size_bytes, mime_type, facts, finish_reason)
select
    attempt_id, 0, 'success', printf('videos/ab/%064x.mp4', rowid), printf('%064x', rowid), 100000,
    'video/mp4', json_object('phash', lower(hex(randomblob(64)))), 'stop'
from attempts;
update generations set status = 'success', next_step = 'none', attempt_id = printf('a%012d', generation_id),
    billed = 'yes', num_attempts = 1, num_purchases = 1;
"""


async def finish(table: Path, out: Path, gateway: str) -> None:
    """An OUT in which every row of the table is settled: planned by a run, bought by SQL."""
    async with open_run(prepare(table, RunOptions(out=str(out), gateway=gateway))):
        pass
    ledger = sqlite3.connect(out / "ledger.db")
    ledger.executescript(f"begin; {FINISH} commit;")
    ledger.close()


def first_byte_s(listener: socket.socket, table: Path, out: Path, gateway: str, home: Path) -> float:
    """Seconds from exec to the first byte of the POST."""
    arguments = ("run", str(table), "--out", str(out), "--gateway", gateway, "--yes")
    environment = {**os.environ, "PREFECT_HOME": str(home)}
    environment.pop("PREFECT_API_URL", None)
    started = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-m", "reelsweep.flows.cli", *arguments],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        while True:
            connection, _ = listener.accept()
            with connection:
                if connection.recv(65_536).startswith(b"POST"):
                    return time.monotonic() - started
                connection.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")  # its models
    finally:
        process.kill()
        process.wait()


@pytest.mark.bench
@pytest.mark.timeout(900)
def test_a_long_finished_table_is_continued_soon(
    tmp_path: Path, write_table: Callable[[str, Sequence[int]], Path], report: Callable[[str], None]
) -> None:
    """With 100,000 finished rows and a new last one, the POST leaves within 10 s of when it does with one."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(300)
        gateway = f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
        took: dict[int, float] = {}
        for rows in (1, 2, ROWS):
            out = tmp_path / f"out-{rows}"
            asyncio.run(finish(write_table(f"{rows}.csv", range(rows)), out, gateway))
            longer = write_table(f"{rows}.csv", range(rows + 1))
            took[rows] = first_byte_s(listener, longer, out, gateway, tmp_path / "home")
    more_s = took[ROWS] - took[2]
    report(f"first byte: {took[2]:.1f} s with 2 rows, {took[ROWS]:.1f} s with {ROWS:,} (+{more_s:.1f} s)")
    assert more_s <= MOST_S
