"""How one generation ended for the caller: a value for the window, the shell and the log."""

from __future__ import annotations

from dataclasses import dataclass

from reelsweep.tasks.gateway.outcome import Outcome
from reelsweep.tasks.ledger.records import FINAL, ManifestStatus, Standing

_ONE_LINE = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class RowEnd:
    """The end of one pass over one generation.

    `retry_in_s` asks for another pass after minutes (no account free, a known server error): the
    only ends that Prefect retries.
    """

    status: ManifestStatus
    error_type: str | None = None
    message: str = ""
    retry_in_s: float | None = None
    unbilled: bool = False
    """The failure cost nothing and may pass: the next run sends the row again."""

    @property
    def is_final(self) -> bool:
        """Nothing is left to do for this row, now or later."""
        return self.status in FINAL and not self.unbilled

    @property
    def line(self) -> str:
        """One line for people."""
        text = ": ".join(part for part in (self.status, self.error_type, self.message) if part)
        return " ".join(text.split())[:_ONE_LINE]


def end_of_standing(standing: Standing) -> RowEnd:
    """The end of a row that this run does not touch."""
    return RowEnd(status=standing.status)


def end_of_outcome(status: ManifestStatus, outcome: Outcome, retry_in_s: float | None = None) -> RowEnd:
    """The end of a row by the outcome of its attempt."""
    return RowEnd(
        status=status,
        error_type=outcome.error_type,
        message=outcome.error_message or "",
        retry_in_s=retry_in_s,
        unbilled=outcome.billed == "no" and outcome.retry in ("backoff", "backoff_long"),
    )
