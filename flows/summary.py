"""What a run came to: the summary that callers get, and the exit code it speaks of."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from pydantic import BaseModel, ConfigDict
from reelsweep.prompts.errors import StopError
from reelsweep.tasks.manifest.read import read_manifest
from reelsweep.tasks.purchase.stops import Stop

FAILED = frozenset({"failed", "invalid_output", "failed_to_download", "unknown", "skipped_parent"})


class RunSummary(BaseModel):
    """The result of `bulk`, persisted as JSON."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    run_id: str
    out: str
    manifest: str
    gateway: str
    counts: dict[str, int]
    """Rows of the latest plan by manifest status."""
    planned: int
    """Rows in the plan."""
    posts: int
    """POSTs sent by this run."""
    cost_usd: float | None
    """What the ledger of this OUT has settled; None when no price is known."""
    elapsed_s: float
    exit_code: int = 0
    stopped: str | None = None
    """Why the run sent nothing more, in one line."""

    def frame(self) -> pd.DataFrame:
        """The manifest, with absolute file paths."""
        return read_manifest(Path(self.out))

    @property
    def state_name(self) -> str:
        """The name of the Prefect state: Completed, or CompletedWithFailures."""
        return "CompletedWithFailures" if any(self.counts.get(name) for name in FAILED) else "Completed"


class RunStopped(StopError):  # noqa: N818 - it names what happened to the run
    """The run was stopped before its plan was done; `summary` says how far it came."""

    def __init__(self, summary: RunSummary) -> None:
        Exception.__init__(self, summary)
        self.summary = summary
        self.message = f"stopped: {summary.stopped}"
        self.remedy = ""

    def __str__(self) -> str:
        return self.message


def exit_code(stop: Stop | None, *, num_left: int) -> int:
    """0 nothing retryable or unknown is left of this run's rows, 1 some is, 3 or 130 by the stop."""
    if stop is not None:
        return stop.exit_code
    return 1 if num_left else 0
