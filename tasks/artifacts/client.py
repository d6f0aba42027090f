"""What downloads share in one event loop: a small keep-alive pool, its slots, and threads for the disk."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Self, TypeVar

import httpx
from reelsweep.tasks.artifacts.door import Door

DISK_THREADS = 4
T = TypeVar("T")


class DownloadClient:
    """Fetches through the door. Belongs to one event loop; close it there."""

    def __init__(self, door: Door, size: int = 16) -> None:
        self.door = door
        self.slots = asyncio.Semaphore(size)
        self._transport = door.transport(size)
        self._disk = ThreadPoolExecutor(DISK_THREADS, thread_name_prefix="reelsweep-disk")

    async def get(self, url: str, *, headers: Mapping[str, str], idle_s: float) -> httpx.Response:
        """The answer, body unread, as `Door.get`; hold a slot while it is open."""
        return await self.door.get(self._transport, url, headers=headers, idle_s=idle_s)

    async def on_disk(self, blocking: Callable[[], T]) -> T:
        """What `blocking` returns, run in a thread for disk work."""
        return await asyncio.get_running_loop().run_in_executor(self._disk, blocking)

    async def aclose(self) -> None:
        """Close the connections and end the threads once their work is done."""
        await self._transport.aclose()
        self._disk.shutdown(wait=False)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()


def download_client(door: Door, size: int = 16) -> DownloadClient:
    """A client for the running event loop: at most `size` downloads at a time."""
    return DownloadClient(door, size)
