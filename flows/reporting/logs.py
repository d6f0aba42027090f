"""Logging on the command line: our words to the display, Prefect's to its server, secrets to neither.

Imports no Prefect, so that `before_prefect` can come first.
"""

from __future__ import annotations

import json
import logging
import os
import re
import traceback
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote, quote_plus

from reelsweep.flows.reporting.display import Display, Level

HIDDEN = "[secret]"


def before_prefect() -> None:
    """Call before the first import of Prefect: on a terminal that import reports to its makers.

    A user who has set DO_NOT_TRACK keeps what it says.
    """
    os.environ.setdefault("DO_NOT_TRACK", "1")


class Redactor(logging.Filter):
    """Replaces known secrets wherever they occur, also quoted for a URL or for JSON.

    As a filter it changes every record in place and lets it through; `redacting` covers a whole process.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        super().__init__()
        self._spellings: set[str] = set()
        self._pattern: re.Pattern[str] | None = None
        for secret in secrets:
            self.add(secret)

    def add(self, secret: str) -> None:
        """From now on `secret` is hidden. Blank ones are not secrets."""
        if secret.strip():
            self._spellings |= spell(secret) | spell(secret.strip())
            longest_first = sorted(self._spellings, key=len, reverse=True)
            self._pattern = re.compile("|".join(map(re.escape, longest_first)))

    def redact(self, text: str) -> str:
        """`text` without the secrets."""
        return text if self._pattern is None else self._pattern.sub(HIDDEN, text)

    def filter(self, record: logging.LogRecord) -> bool:
        """Redact the message and the traceback of a record."""
        if self._pattern is not None:
            record.msg, record.args = self.redact(record.getMessage()), None
            record.exc_text = self._redact_traceback(record)
            if record.stack_info:
                record.stack_info = self.redact(record.stack_info)
        return True

    def _redact_traceback(self, record: logging.LogRecord) -> str | None:
        """The traceback as text; formatters use it instead of making their own."""
        if record.exc_text or not record.exc_info or record.exc_info[0] is None:
            return record.exc_text and self.redact(record.exc_text)
        return self.redact("".join(traceback.format_exception(*record.exc_info)).rstrip("\n"))


def spell(secret: str) -> set[str]:
    """The ways a secret may be written."""
    return {
        secret,
        quote(secret, safe=""),
        quote(secret),
        quote_plus(secret),
        json.dumps(secret)[1:-1],
        json.dumps(secret, ensure_ascii=False)[1:-1],
        repr(secret)[1:-1],
    }


@contextmanager
def redacting(redactor: Redactor) -> Generator[None]:
    """Redact every record of this process for the block, whatever logger makes it and handler takes it.

    Prefect sends its records to its server, so a filter on a handler of ours would come too late.
    """
    make = logging.getLogRecordFactory()

    def make_redacted(*args: Any, **kwargs: Any) -> logging.LogRecord:
        record = make(*args, **kwargs)
        redactor.filter(record)
        return record

    logging.setLogRecordFactory(make_redacted)
    try:
        yield
    finally:
        logging.setLogRecordFactory(make)


class DisplayHandler(logging.Handler):
    """Shows records as notes: one line each, without a traceback."""

    def __init__(self, display: Display) -> None:
        super().__init__()
        self._display = display

    def emit(self, record: logging.LogRecord) -> None:
        """Show a record; a display that fails is reported like any handler's failure."""
        try:
            self._display.note(first_line(record), level_of(record))
        except Exception:
            self.handleError(record)


def first_line(record: logging.LogRecord) -> str:
    """The first line of a message; of a captured warning, what it says and not where."""
    line, _, _ = record.getMessage().strip().partition("\n")
    if record.name == "py.warnings":
        line = line.split(": ", 1)[-1]
    return line


def level_of(record: logging.LogRecord) -> Level:
    """Debug and info are notes, critical is an error."""
    if record.levelno >= logging.ERROR:
        return "error"
    return "warning" if record.levelno >= logging.WARNING else "info"


QUIET = ("prefect.flow_runs", "prefect.task_runs")
"""Loggers of runs: what they say is on Prefect's page, and here in the display's own words."""


@contextmanager
def logging_to(display: Display, redactor: Redactor | None = None) -> Generator[Redactor]:
    """Logging for one command: ours from INFO on, everybody else's from WARNING on, Python's warnings too.

    Task runs log to Prefect's server only what went wrong: a line per task run costs a quarter of its CPU.
    PREFECT_LOGGING_LEVEL=DEBUG shows all that Prefect says.
    """
    redactor = redactor or Redactor()
    with redacting(redactor), handled_by(DisplayHandler(display)), captured_warnings():
        if os.environ.get("PREFECT_LOGGING_LEVEL", "").upper() == "DEBUG":
            yield redactor
            return
        with levels({"prefect": logging.WARNING, "prefect.task_runs": logging.ERROR}), kept_apart(QUIET):
            yield redactor


@contextmanager
def handled_by(handler: logging.Handler) -> Generator[None]:
    """The root logger has this handler and no other for the block."""
    root = logging.getLogger()
    before = root.handlers[:]
    root.handlers[:] = [handler]
    try:
        with levels({"": logging.WARNING, "reelsweep": logging.INFO}):
            yield
    finally:
        root.handlers[:] = before


@contextmanager
def levels(wanted: dict[str, int]) -> Generator[None]:
    """Loggers at these levels for the block."""
    before = {name: logging.getLogger(name).level for name in wanted}
    for name, level in wanted.items():
        logging.getLogger(name).setLevel(level)
    try:
        yield
    finally:
        for name, level in before.items():
            logging.getLogger(name).setLevel(level)


@contextmanager
def kept_apart(names: Iterable[str]) -> Generator[None]:
    """Loggers that reach their own handlers only, for the block."""
    before = {name: logging.getLogger(name).propagate for name in names}
    for name in before:
        logging.getLogger(name).propagate = False
    try:
        yield
    finally:
        for name, propagate in before.items():
            logging.getLogger(name).propagate = propagate


@contextmanager
def captured_warnings() -> Generator[None]:
    """Python's warnings become records for the block."""
    logging.captureWarnings(True)
    try:
        yield
    finally:
        logging.captureWarnings(False)
