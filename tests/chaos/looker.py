"""A reader of the manifest in a process of its own, which opens it with DuckDB ten times a second.

    python tests/chaos/looker.py MANIFEST     looks until its stdin ends, then prints what it saw as JSON

As an analyst does who cannot wait. Nothing is remembered between two looks but the connection, which costs
more than a look (14 ms of CPU against 1), and what that takes from a busy machine the runs would lack.
"""

from __future__ import annotations

import json
import select
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

EVERY_S = 0.1
SUCCESSES = "SELECT count(*) FROM read_parquet(?) WHERE status = 'success'"


@dataclass
class Sight:
    """What a reader saw."""

    reads: int = 0
    elapsed_s: float = 0.0
    """Since the manifest was first there."""
    longest_s: float = 0.0
    """Between two looks."""
    failures: list[str] = field(default_factory=list)
    falls: list[str] = field(default_factory=list)
    """Where the count of successes was less than before."""

    @property
    def per_s(self) -> float:
        """Looks in a second."""
        return self.reads / self.elapsed_s if self.elapsed_s else 0.0


class Looker:
    """Looks at a manifest while the block runs; `sight` is there after it."""

    def __init__(self, manifest: Path) -> None:
        self._manifest = manifest
        self.sight = Sight()

    def __enter__(self) -> Looker:
        words = [sys.executable, __file__, str(self._manifest)]
        self._process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        return self

    def __exit__(self, *_: object) -> None:
        said, _nothing = self._process.communicate(timeout=60)
        self.sight = Sight(**json.loads(said))


def look(manifest: Path) -> Sight:
    """Look at fixed times until stdin ends; a look that takes long costs no later one."""
    sight, most = Sight(), 0
    while not manifest.exists():
        if _is_over(EVERY_S):
            return sight
    import duckdb

    database = duckdb.connect(config={"threads": 1, "enable_external_file_cache": False})
    began = last = time.monotonic()
    while not _is_over(EVERY_S - (time.monotonic() - began) % EVERY_S):
        try:
            (count,) = database.execute(SUCCESSES, [str(manifest)]).fetchall()[0]
        except Exception as error:
            sight.failures.append(repr(error))
            continue
        if count < most:
            sight.falls.append(f"{most} -> {count}")
        now = time.monotonic()
        sight.longest_s = max(sight.longest_s, now - last)
        most, last, sight.reads = count, now, sight.reads + 1
    sight.elapsed_s = time.monotonic() - began
    return sight


def _is_over(wait_s: float) -> bool:
    return bool(select.select([sys.stdin], [], [], wait_s)[0])


if __name__ == "__main__":
    print(json.dumps(asdict(look(Path(sys.argv[1])))))
