"""The error tree: one root, a branch only where a caller acts differently.

ReelsweepError                 anything Reelsweep says no to; `message` and `remedy` are one line each
├── UsageError                 the table, the options or the settings are wrong; nothing was sent (exit 2)
│   ├── TableError             the prompt table, with every problem found (`problems`)
│   ├── SettingsError          an option, a variable, a profile
│   └── OutError               OUT, its lock or its ledger does not fit this command
├── StopError                  the run must send nothing more (exit 3)
└── TroubleError               the machine failed us: disk, database, file system (exit 1)

Every error survives pickling: its facts are its arguments.
"""

from __future__ import annotations

from dataclasses import dataclass


class ReelsweepError(Exception):
    """Something Reelsweep says no to.

    `message` says what was received and what was allowed; `remedy` says what to do, or is empty.
    """

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message, remedy)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message} {self.remedy}".strip()


class UsageError(ReelsweepError):
    """The table, the options or the settings are wrong; nothing was sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing wrong with a prompt table.

    `row` is the 1-based data row (the header is not counted), or None for the table as a whole.
    """

    row: int | None
    column: str | None
    message: str
    table: str | None = None
    """The file among several that are one table."""

    def __str__(self) -> str:
        place = ", ".join(part for part in (self.row and f"row {self.row}", self.column) if part)
        return f"{place}: {self.message}" if place else self.message


MAX_PROBLEMS = 1000
"""Looking for problems stops here: a table cut at the wrong delimiter has one in every row."""
_PRINTED = 50


class TableError(UsageError):
    """A prompt table that cannot be used, with every problem found in it; the message holds the first 50."""

    def __init__(self, table: str, problems: tuple[Problem, ...]) -> None:
        Exception.__init__(self, table, problems)
        self.table = table
        self.problems = problems
        self.remedy = ""
        self.message = "\n".join(f"{each.table or table}: {each}" for each in problems[:_PRINTED])
        if len(problems) > _PRINTED:
            self.message += f"\n{table}: and {len(problems) - _PRINTED} more"

    def __str__(self) -> str:
        return self.message


class SettingsError(UsageError):
    """An option, an environment variable or a gateway profile is wrong."""


class OutError(UsageError):
    """The output folder, its lock or its ledger does not fit this command."""


class StopError(ReelsweepError):
    """The run must send nothing more: budget, quota, authentication or the breaker."""


class TroubleError(ReelsweepError):
    """The machine failed us: disk, database or file system. What is recorded stays recorded."""
