"""What of a plan was accepted: counts that show how much was selected, and where. Pure, fed row by row."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from reelsweep.tasks.ledger.records import FINAL
from reelsweep.tasks.manifest.rows import Row


@dataclass(slots=True)
class Selection:
    """Rows of the latest plan."""

    num_accepted: int = 0
    rejected: Counter[str] = field(default_factory=Counter[str])
    """Successes by the first check they failed."""
    by_prompt: dict[str, tuple[int, int]] = field(default_factory=dict[str, tuple[int, int]])
    """Accepted rows and rows that came to an end, by prompt."""

    def add(self, row: Row) -> None:
        """Count one row, judged."""
        if not row["in_plan"] or row["status"] not in FINAL:
            return
        is_accepted = bool(row.get("accepted"))
        self.num_accepted += is_accepted
        if row.get("accepted") is False:
            self.rejected[row["reject_reason"].partition(":")[0]] += 1
        accepted, ended = self.by_prompt.get(row["prompt_id"], (0, 0))
        self.by_prompt[row["prompt_id"]] = accepted + is_accepted, ended + 1

    def lowest(self, most: int) -> dict[str, tuple[int, int]]:
        """The prompts of which the smallest share was accepted, that first; none of which all were."""
        found = [(accepted / ended, name) for name, (accepted, ended) in self.by_prompt.items()]
        return {name: self.by_prompt[name] for share, name in sorted(found)[:most] if share < 1}
