"""An Outcome for people and for the ledger: one JSON object, one manifest status.

`reelsweep explain` prints `explain(...)`; a row's status after an attempt is `manifest_status_of`. Pure.
"""

from __future__ import annotations

from typing import assert_never

from reelsweep.prompts.request import Json
from reelsweep.tasks.gateway.outcome import Outcome
from reelsweep.tasks.ledger.records import ManifestStatus


def explain(outcome: Outcome, manifest_status: ManifestStatus | None = None) -> dict[str, Json]:
    """The JSON object of `reelsweep explain`; without a status, that of the outcome."""
    return {
        "status": outcome.status,
        "video_url": outcome.video_url,
        "task_id": outcome.task_id,
        "status_url": outcome.status_url,
        "progress": list(outcome.progress),
        "retry": outcome.retry,
        "error_code": outcome.error_code,
        "error_message": outcome.error_message,
        "text": outcome.text,
        "manifest_status": manifest_status or manifest_status_of(outcome),
        "notes": list(outcome.notes),
    }


def manifest_status_of(outcome: Outcome) -> ManifestStatus:
    """Where a generation stands after an attempt with this outcome.

    `success` still has to be downloaded and decoded; `in_progress` waits for the gateway's job.
    """
    match outcome.status:
        case "succeeded":
            return "success"
        case "submitted":
            return "in_progress"
        case "incomplete":
            return "unknown"
        case "refused":
            return "refused"
        case "no_video":
            return "failed"
        case "stopped":
            return "planned"
        case "failed":
            return "failed" if outcome.retry == "none" or outcome.billed == "no" else "unknown"
        case _:
            assert_never(outcome.status)
