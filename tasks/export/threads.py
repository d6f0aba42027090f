"""Reading and writing that waits for disks and stores: several at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

A = TypeVar("A")
B = TypeVar("B")
THREADS = 8


def in_threads(call: Callable[[A], B], items: Iterable[A]) -> list[B]:
    """`call` of every item, in order. An error, or an interrupt, leaves what has not begun undone."""
    with ThreadPoolExecutor(THREADS, thread_name_prefix="files") as threads:
        try:
            return list(threads.map(call, items))
        except BaseException:
            threads.shutdown(cancel_futures=True)
            raise
