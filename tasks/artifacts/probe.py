"""Facts about a stored clip, found out in worker processes that hold no key and can do no harm.

After `download`, before `store`. Streams never wait for a decoder: the work is in another process, the
waiting in a thread.
"""

from __future__ import annotations

import asyncio
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO, Self

from reelsweep.prompts.errors import TroubleError
from reelsweep.tasks.artifacts.decode_worker import DRAW, INSPECT, Question
from reelsweep.tasks.artifacts.disk import trouble
from reelsweep.tasks.artifacts.facts import Facts, InvalidVideo
from reelsweep.tasks.artifacts.worker import FileOverdue, ProbeLimits, Reply, Worker, WorkerDied

FILES_PER_WORKER = 500
"""After so many files a worker is replaced, so that leaks in codecs stay small."""


class Prober:
    """Decodes clips in at most `workers` processes, which are started when first needed.

    May be used from several event loops and threads at once; `close` it, or use it in `with`.
    """

    def __init__(self, workers: int | None = None, limits: ProbeLimits | None = None) -> None:
        self._limits = limits or ProbeLimits()
        size = workers or (2 if (os.cpu_count() or 1) > 2 else 1)
        self._threads = ThreadPoolExecutor(size, thread_name_prefix="reelsweep-probe")
        self._places = threading.Semaphore(size)
        self._lock = threading.Lock()
        self._idle: list[Worker] = []
        self._all: set[Worker] = set()
        self._closed = False

    async def probe(self, path: Path) -> Facts:
        """The facts of the clip at `path`; InvalidVideo when it is none that decodes to its end.

        TroubleError when the file cannot be read or no worker can be started: that says nothing about the
        clip. Cancelling the caller lets the worker finish in the background.
        """
        return await asyncio.wrap_future(self._threads.submit(self._probe, path))

    def poster(self, path: Path) -> bytes:
        """A frame of the clip at `path` as a small JPEG; blocks. Raises as `probe` does."""
        reply = self._reply(path, DRAW)
        if reply.poster is None:
            raise InvalidVideo(reply.invalid or "the decoder gave no answer")
        return reply.poster

    @property
    def worker_pids(self) -> frozenset[int]:
        """The processes that are running."""
        with self._lock:
            return frozenset(worker.pid for worker in self._all)

    def close(self) -> None:
        """End all workers; what is being decoded ends as a TroubleError. May be called twice."""
        with self._lock:
            self._closed = True
            workers = list(self._all)
        for worker in workers:
            worker.stop()
        self._threads.shutdown(wait=True, cancel_futures=True)
        for worker in list(self._all):
            self._drop(worker)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _probe(self, path: Path) -> Facts:
        reply = self._reply(path, INSPECT)
        if reply.facts is None:
            raise InvalidVideo(reply.invalid or "the decoder gave no answer")
        return reply.facts

    def _reply(self, path: Path, question: Question) -> Reply:
        with trouble("read", path), path.open("rb") as file:
            try:
                return self._ask(file, question)
            except WorkerDied:
                # Once more: a worker can die for reasons outside the file (out of memory, a signal).
                return self._ask_again(file, question)

    def _ask_again(self, file: BinaryIO, question: Question) -> Reply:
        try:
            return self._ask(file, question)
        except WorkerDied as died:
            return Reply(invalid=f"the decoder crashed twice on it ({died})")

    def _ask(self, file: BinaryIO, question: Question) -> Reply:
        with self._places:
            return self._ask_worker(file, question)

    def _ask_worker(self, file: BinaryIO, question: Question) -> Reply:
        worker = self._take()
        try:
            reply = worker.ask(file.fileno(), question)
        except FileOverdue as overdue:
            self._drop(worker)
            return Reply(invalid=str(overdue))
        except BaseException:
            self._drop(worker)
            raise
        if worker.num_files >= FILES_PER_WORKER:
            self._drop(worker)
        else:
            with self._lock:
                self._idle.append(worker)
        return reply

    def _take(self) -> Worker:
        """A worker that waits for a file: an idle one, else a new one."""
        with self._lock:
            if self._idle and not self._closed:
                return self._idle.pop()
        self._refuse_if_closed()
        worker = Worker(self._limits)
        with self._lock:
            self._all.add(worker)
        try:
            self._refuse_if_closed()
            worker.wait_ready()
        except BaseException:
            self._drop(worker)
            self._refuse_if_closed()
            raise
        return worker

    def _refuse_if_closed(self) -> None:
        if self._closed:
            raise TroubleError("the decoder was closed before the file was decoded.")

    def _drop(self, worker: Worker) -> None:
        worker.release()
        with self._lock:
            self._all.discard(worker)
