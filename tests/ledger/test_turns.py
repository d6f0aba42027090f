"""Turns: of all who use one ledger, one at a time, and never behind a dead one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from typing import Any

HOLDER = """
import sys
from reelsweep.tasks.ledger.ledger import Ledger
with Ledger.open(sys.argv[1]).turn("publish"):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_one_waits_until_the_other_is_done(database: Any) -> None:
    """The second gets its turn when the first has left; another turn is not waited for."""
    first, second = database.open(), database.open()
    order: list[str] = []

    def follow() -> None:
        with second.turn("publish"):
            order.append("second")

    thread = threading.Thread(target=follow)
    with first.turn("publish") as held:
        thread.start()
        with second.turn("another"):
            order.append("another")
        assert held.is_held()
        order.append("first")
    thread.join(30)
    assert order == ["another", "first", "second"]
    assert not held.is_held()


def test_a_dead_process_holds_no_turn(database: Any) -> None:
    """SIGKILL frees what it held."""
    database.open()
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, database.url],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout is not None
    assert holder.stdin is not None
    assert holder.stdout.readline() == "held\n"
    os.kill(holder.pid, signal.SIGKILL)
    holder.wait(30)
    with database.open().turn("publish") as held:
        assert held.is_held()
    holder.stdout.close()
    holder.stdin.close()
