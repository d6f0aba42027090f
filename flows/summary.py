"""What a run came to: the summary that callers get, and the exit code it speaks of."""

from __future__ import annotations

import pandas as pd
from pydantic import BaseModel, ConfigDict
from reelsweep.prompts.errors import StopError
from reelsweep.tasks.manifest.read import read_manifest
from reelsweep.tasks.purchase.stops import Stop, StopReason

FAILED = frozenset({"failed", "invalid_output", "failed_to_download", "unknown", "skipped_parent"})


class Changes(BaseModel):
    """What the plan asks for beside the last one of this OUT, in rows; an order of their own is no change."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    new: int
    edited: int
    """In the place of another row of the same prompt, or carrying other columns."""
    removed: int
    """No longer asked for; they stay in the manifest with `in_plan` false."""

    def __str__(self) -> str:
        counts = ((self.new, "new"), (self.edited, "edited"), (self.removed, "removed"))
        found = ", ".join(f"{number} {name}" for number, name in counts if number)
        return f"{found} since the last run" if found else "unchanged since the last run"


class RunSummary(BaseModel):
    """The result of `bulk`, persisted as JSON."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    run_id: str
    out: str
    manifest: str
    gateway: str
    counts: dict[str, int]
    """Rows of this run's plan by manifest status."""
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
    stop_reason: StopReason | None = None
    """The same in one word."""
    strata: dict[str, dict[str, int]] = {}
    """Results of this OUT by model asked for and stratum, `served_model@system_fingerprint`."""
    accepted: int = 0
    """Rows of the latest plan that are successes and passed the content checks."""
    rejected: dict[str, int] = {}
    """Successes that did not, by the first check they failed."""
    acceptance: dict[str, tuple[int, int]] = {}
    """With `accept`: accepted rows and rows made, of the prompts with the smallest share of accepted ones."""
    num_short: int | None = None
    """With `accept`: prompts and combinations that have fewer accepted generations than were wanted."""
    reconcile: str = ""
    """The command that asks about unknown rows, as a shell takes it and without a password; empty where
    nobody can be asked, since the sandbox has ended with the run."""
    num_mute: int = 0
    """Of the unknown rows, those whose cost a bill has settled and that have no task id to ask by."""
    num_used_up: int = 0
    """Of the unknown rows, those that have had as many purchases as `max_purchases` allows."""
    most_purchases: int = 0
    """The most purchases that one of those has had."""
    changes: Changes | None = None
    """None where this OUT had no plan before."""

    def frame(self) -> pd.DataFrame:
        """The manifest, with absolute file paths."""
        return read_manifest(self.out)

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
