"""The process libav runs in: started by `probe`, fed one open file at a time, dead when its parent is.

It holds no key (its environment is emptied by `probe`), may not write files, and after start-up may have one
descriptor open besides its own: the clip. So a crafted file can neither open a neighbour nor a socket.
The parent's end of a socket pair is descriptor 0; a request is one byte (a Question) with a descriptor, an
answer one line of JSON.
"""

from __future__ import annotations

import base64
import importlib
import io
import json
import os
import pkgutil
import resource
import select
import signal
import socket
import threading
from contextlib import suppress
from typing import Any, Literal

Question = Literal[b"?", b"p"]
INSPECT: Question = b"?"
"""Decode the file to its end and say what it is."""
DRAW: Question = b"p"
"""Draw its poster."""

PARENT_CHECK_MS = 5000
NOT_LOADED = frozenset({"av.__main__", "av.datasets"})
"""Not needed to decode."""


def main(memory_bytes: int, cpu_s: int) -> None:
    """Serve until the parent hangs up."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # what is paid for is finished; the parent decides when
    parent = socket.socket(fileno=0)
    threading.Thread(target=_end_with, args=(parent, os.getppid()), daemon=True).start()
    try:
        answer = _load()
    except Exception as error:
        _answer(parent, {"invalid": f"{type(error).__name__}: {error}"})
        return
    _confine(memory_bytes)
    _answer(parent, {"ready": True})
    while (request := _next_request(parent)) is not None:
        _allow_cpu(cpu_s)
        _answer(parent, answer(*request))


def _load() -> Any:
    """Everything that is ever imported, imported now: later there is no descriptor to read a module with."""
    import av
    from PIL import Image
    from reelsweep.tasks.artifacts.decode import inspect
    from reelsweep.tasks.artifacts.facts import InvalidVideo
    from reelsweep.tasks.artifacts.phash import frame_hash
    from reelsweep.tasks.artifacts.poster import draw_poster

    for module in pkgutil.walk_packages(av.__path__, "av."):
        if module.name not in NOT_LOADED:
            importlib.import_module(module.name)
    frame_hash(Image.new("L", (64, 64)))
    Image.new("RGB", (64, 64)).save(io.BytesIO(), "JPEG")

    def answer(question: bytes, descriptor: int) -> dict[str, Any]:
        with os.fdopen(descriptor, "rb") as file:
            try:
                if question == DRAW:
                    return {"poster": base64.b64encode(draw_poster(file)).decode()}
                return {"facts": inspect(file).columns(), "invalid": None}
            except InvalidVideo as invalid:
                return {"facts": None, "invalid": invalid.reason}

    return answer


def _confine(memory_bytes: int) -> None:
    spare = os.dup(0)
    os.close(spare)
    for kind, limit in (
        (resource.RLIMIT_AS, memory_bytes),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, spare + 1),
    ):
        with suppress(
            ValueError, OSError
        ):  # a system may know or allow less; the process is apart all the same
            resource.setrlimit(kind, (limit, limit))


def _allow_cpu(cpu_s: int) -> None:
    """This file may use `cpu_s` seconds more; the kernel ends the process after that."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    soft = int(used.ru_utime + used.ru_stime) + 1 + cpu_s
    resource.setrlimit(resource.RLIMIT_CPU, (soft, resource.RLIM_INFINITY))


def _next_request(parent: socket.socket) -> tuple[bytes, int] | None:
    """What to do with the next clip, and its descriptor; None when the parent has hung up."""
    try:
        message, descriptors, _, _ = socket.recv_fds(parent, 1, 1)
    except OSError:
        return None
    return (message, descriptors[0]) if message and descriptors else None


def _answer(parent: socket.socket, answer: dict[str, Any]) -> None:
    with suppress(OSError):
        parent.sendall(json.dumps(answer).encode() + b"\n")


def _end_with(parent: socket.socket, parent_pid: int) -> None:
    """End this process when the parent's end closes, or, should a sibling hold that, the parent is gone."""
    poll = select.poll()
    poll.register(parent, 0)
    while os.getppid() == parent_pid:
        if any(events & (select.POLLHUP | select.POLLERR) for _, events in poll.poll(PARENT_CHECK_MS)):
            break
    os._exit(0)
