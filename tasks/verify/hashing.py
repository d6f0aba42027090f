"""Many files hashed at once, each read to its end."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor

from reelsweep.prompts.errors import TroubleError
from reelsweep.tasks.export.clips import THREADS, hash_file
from reelsweep.tasks.export.place import Place
from reelsweep.tasks.verify.findings import Expected, Finding, find_changed

Meter = Callable[[str, int], Callable[[int], None]]
"""Opens a count: what is done, and of how many; what comes back is told of each."""


def check_files(place: Place, expected: Mapping[str, Expected], meter: Meter) -> list[Finding]:
    """The files, all of which are there, that are not as expected; one that cannot be read is one."""
    tick = meter("checking", len(expected))

    def check(name: str) -> Finding | None:
        try:
            size_bytes, sha256 = hash_file(place, name)
        except TroubleError as error:
            return Finding(name, error.message)
        finally:
            tick(1)
        return find_changed(name, expected[name], size_bytes, sha256)

    with ThreadPoolExecutor(THREADS, thread_name_prefix="verify") as threads:
        return [found for found in threads.map(check, sorted(expected)) if found]
