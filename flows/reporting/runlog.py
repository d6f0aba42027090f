"""What the log of a flow run has of a run that nobody watches: notes as they come, and the summary.

In the place of a display where a deployment was asked for. Progress is on Prefect's page.
"""

from __future__ import annotations

import logging

from prefect.logging import get_run_logger
from reelsweep.flows.reporting.display import Level, SilentDisplay, escape_terminal
from reelsweep.flows.reporting.wording import describe_summary, list_remedies
from reelsweep.flows.summary import RunSummary

LEVELS = {"info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


class RunLog(SilentDisplay):
    """Writes to the log of the flow run it was made in; shows no progress."""

    def __init__(self) -> None:
        self._logger = get_run_logger()

    def note(self, text: str, level: Level = "info") -> None:
        """One line."""
        self._logger.log(LEVELS[level], "%s", escape_terminal(text))

    def summary(self, summary: RunSummary) -> None:
        """A line each for counts, cost, places and remedies."""
        for name, value in describe_summary(summary):
            self.note(f"{name}: {value}")
        for remedy in list_remedies(summary):
            self.note(remedy)
