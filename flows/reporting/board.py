"""What Prefect's page shows of a run: one progress artifact, one summary, one table of failures, one event.

On the side, with a short patience: a server that is gone costs nothing but its pictures.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

from prefect.artifacts import (
    acreate_markdown_artifact,
    acreate_progress_artifact,
    acreate_table_artifact,
    aupdate_progress_artifact,
)
from prefect.events import emit_event
from reelsweep.flows.reporting.display import Progress
from reelsweep.flows.summary import RunSummary
from reelsweep.prompts.wording import count
from reelsweep.tasks.gateway.strata import Change
from reelsweep.tasks.purchase.ends import RowEnd

PAUSE_S = 10.0
PATIENCE_S = 5.0


@dataclass(slots=True)
class Board:
    """The artifacts of one run."""

    _progress_id: UUID | None = None
    _next_at: float = 0.0
    _telling: asyncio.Task[Any] | None = None
    _gone: bool = field(default=False)

    async def update(self, progress: Progress) -> None:
        """Throttled: at most one update every 10 s, never waited for."""
        now = time.monotonic()
        if self._gone or now < self._next_at or (self._telling is not None and not self._telling.done()):
            return
        self._next_at = now + PAUSE_S
        self._telling = asyncio.create_task(self._tell(self._show(progress)))

    async def close(self, summary: RunSummary, failures: Sequence[tuple[str, RowEnd]]) -> None:
        """The summary, the failures and the event."""
        if self._telling is not None:
            await self._tell(self._telling)
        await self._tell(acreate_markdown_artifact(markdown_summary(summary), key="reelsweep-summary"))
        if failures:
            await self._tell(acreate_table_artifact(failure_table(failures), key="reelsweep-failures"))
        if not self._gone:
            _emit("reelsweep.run.finished", summary.run_id, summary.out, summary.model_dump())
            if summary.stop_reason == "budget":
                _emit("reelsweep.budget.exhausted", summary.run_id, summary.out, summary.model_dump())

    def changed(self, run_id: str, out: str, gateway: str, change: Change) -> None:
        """The event of a result from another stratum than the first."""
        if not self._gone:
            _emit("reelsweep.fingerprint.changed", run_id, out, change_payload(gateway, change))

    async def _show(self, progress: Progress) -> None:
        ended = progress.done + progress.failed + progress.refused + progress.unknown
        percent = 100.0 * ended / progress.planned if progress.planned else 100.0
        if self._progress_id is None:
            self._progress_id = await acreate_progress_artifact(percent, key="reelsweep-progress")
        else:
            await aupdate_progress_artifact(self._progress_id, percent)

    async def _tell(self, telling: Coroutine[Any, Any, Any] | asyncio.Task[Any]) -> None:
        """Say it to the server; whatever goes wrong there is not the run's concern."""
        if self._gone:
            if asyncio.iscoroutine(telling):
                telling.close()
            return
        try:
            async with asyncio.timeout(PATIENCE_S):
                await telling
        except Exception:
            self._gone = True


def _emit(event: str, run_id: str, out: str, payload: dict[str, Any]) -> None:
    """An event about this run; Prefect adds flow run and deployment, which automations can infer from it."""
    resource = {
        "prefect.resource.id": f"reelsweep.run.{run_id}",
        "prefect.resource.name": Path(out).name,
        "reelsweep.out": out,
    }
    emit_event(event, resource=resource, payload=payload)


def change_payload(gateway: str, change: Change) -> dict[str, Any]:
    """What an automation may say about a change of the gateway."""
    return {
        "gateway": gateway,
        "model": change.model,
        "first": str(change.first),
        "now": str(change.now),
        "strata": change.num_seen,
    }


def line(summary: RunSummary) -> str:
    """The counts in one line."""
    counts = ", ".join(f"{number} {status}" for status, number in summary.counts.items())
    return f"{counts or 'nothing planned'}; {count(summary.posts, 'POST')}"


def markdown_summary(summary: RunSummary) -> str:
    """The run's end as Markdown: nothing in it comes from a table or a gateway."""
    rows = "\n".join(f"| {status} | {number} |" for status, number in summary.counts.items())
    cost = "unknown" if summary.cost_usd is None else f"{summary.cost_usd:.2f} USD"
    return (
        f"## {count(summary.planned, 'row')}, {count(summary.posts, 'POST')}, cost {cost}\n\n"
        f"| status | rows |\n|---|---|\n{rows}\n\n`{summary.manifest}`\n"
        + (f"\nTable: {summary.changes}.\n" if summary.changes else "")
        + (f"\n{escape_markdown(summary.stopped)}\n" if summary.stopped else "")
    )


def failure_table(failures: Sequence[tuple[str, RowEnd]]) -> list[dict[str, Any]]:
    """One line per failed row, text escaped for Markdown cells."""
    return [
        {
            "row": escape_markdown(name),
            "status": end.status,
            "error": end.error_type or "",
            "message": escape_markdown(end.message),
        }
        for name, end in failures
    ]


def escape_markdown(text: str) -> str:
    """Text as text: no markup, no link, no cell border, no line break."""
    return "".join(f"\\{char}" if char in "\\`*_{}[]<>()#+-.!|~" else char for char in " ".join(text.split()))
