"""What a run's summary says of the content checks and of `--accept`. Pure."""

from __future__ import annotations

from typing import Any

from reelsweep.flows.selection.acceptance import Acceptance
from reelsweep.tasks.manifest.selection import Selection

MOST_PROMPTS = 20


def selected(selection: Selection, acceptance: Acceptance | None) -> dict[str, Any]:
    """The fields of RunSummary."""
    return {
        "accepted": selection.num_accepted,
        "rejected": dict(selection.rejected.most_common()),
        "acceptance": {} if acceptance is None else selection.lowest(MOST_PROMPTS),
        "num_short": None if acceptance is None else acceptance.num_short(),
    }
