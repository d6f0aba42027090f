"""What a manifest adds up to: counts and money. Pure, fed while the rows go by."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from reelsweep.tasks.ledger.records import Line, ManifestStatus
from reelsweep.tasks.manifest.rows import Row
from reelsweep.tasks.manifest.selection import Selection


class Totals:
    """Sums over the rows seen so far; money in micro-dollars."""

    def __init__(self) -> None:
        self.num_rows = 0
        self.counts: Counter[ManifestStatus] = Counter()
        self.counts_in_plan: Counter[ManifestStatus] = Counter()
        self.selection = Selection()
        self.cost_musd = 0
        self.reserved_musd = 0

    def add_line(self, line: Line) -> None:
        """Count the money of one line (it stands on the first line that shares it)."""
        self.cost_musd += line.cost_musd or 0
        self.reserved_musd += line.reserved_musd or 0

    def add_row(self, row: Row) -> None:
        """Count one row of the manifest."""
        self.num_rows += 1
        self.counts[row["status"]] += 1
        self.selection.add(row)
        if row["in_plan"]:
            self.counts_in_plan[row["status"]] += 1

    def facts(self) -> Mapping[str, str]:
        """The totals for the key-value metadata."""
        counts = {f"count_{status}": str(count) for status, count in sorted(self.counts.items())}
        accepted = {"accepted": str(self.selection.num_accepted)}
        money = {"cost_usd": _dollars(self.cost_musd), "reserved_usd": _dollars(self.reserved_musd)}
        return {"rows": str(self.num_rows), **counts, **accepted, **money}


def _dollars(musd: int) -> str:
    whole, part = divmod(musd, 1_000_000)
    return f"{whole}.{part:06d}"
