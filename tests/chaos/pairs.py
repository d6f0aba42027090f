"""Two processes at one table, at once."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from stage import Ended, Runs, Seen


def write_rows(path: Path, number: int) -> Path:
    """A table of so many rows, none like another."""
    rows = ({"prompt": f"clip {idx} of {path}", "seed": idx} for idx in range(number))
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def run_pair(runs: Runs, table: Path, **options: Any) -> list[Ended]:
    """Two runs with the same options, begun together."""
    return [runs.wait(pid) for pid in [runs.start(table, **options) for _ in range(2)]]


def count_purchases(attempts: Iterable[Seen]) -> Counter[str]:
    """Attempts that ended settled, by run."""
    return Counter(seen.buyer for seen in attempts if seen.state == "settled")
