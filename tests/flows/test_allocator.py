"""How the process of the command line takes memory."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

PROGRAM = """
import os, threading
from reelsweep.flows.allocator import share_memory

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20

def in_thread(call):
    thread = threading.Thread(target=call)
    thread.start()
    thread.join()

def take_and_free():
    taken = [bytes(4_000) for _ in range(10_000)]
    kept.append(taken[::100])  # so that nothing in between goes back to the system

kept = []
share_memory()
in_thread(take_and_free)
before = resident()
in_thread(lambda: in_thread(take_and_free))  # the outer one has the heap that the first has left
print(resident() - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="heaps of threads are glibc's")
def test_what_one_thread_has_freed_another_takes_again() -> None:
    """Forty megabytes that streams have let go of are there for the manifest."""
    done = subprocess.run([sys.executable, "-c", PROGRAM], check=True, capture_output=True, text=True)
    assert float(done.stdout) < 10
