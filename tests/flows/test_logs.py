"""Logging on the command line: who is heard, and that secrets are not."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import warnings
from collections.abc import Generator
from contextlib import contextmanager
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reelsweep.flows.reporting.display import Level, SilentDisplay
from reelsweep.flows.reporting.logs import HIDDEN, Redactor, before_prefect, logging_to, redacting

SECRET = 'sk-test/+öä"\\ 42'


class Notes(SilentDisplay):
    """A display that keeps what it is told."""

    def __init__(self) -> None:
        self.heard: list[tuple[Level, str]] = []

    def note(self, text: str, level: Level = "info") -> None:
        self.heard.append((level, text))


class Kept(logging.Handler):
    """A handler like Prefect's: it formats records and sends them away."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(self.format(record))


@pytest.fixture(autouse=True)
def _untouched() -> Generator[None]:
    """Prefect's loggers without the levels and handlers they have once another test has imported Prefect."""
    names = [name for name in logging.root.manager.loggerDict if name.split(".")[0] == "prefect"]
    before = [(it, it.level, it.handlers, it.propagate) for it in map(logging.getLogger, names)]
    for logger, *_ in before:
        logger.setLevel(logging.NOTSET)
        logger.handlers, logger.propagate = [], True
    yield
    for logger, level, handlers, propagate in before:
        logger.setLevel(level)
        logger.handlers, logger.propagate = handlers, propagate


@contextmanager
def kept(name: str) -> Generator[list[str]]:
    """What a handler of this logger gets."""
    handler = Kept()
    logging.getLogger(name).addHandler(handler)
    try:
        yield handler.texts
    finally:
        logging.getLogger(name).removeHandler(handler)


@given(st.text(), st.text(min_size=1).filter(str.strip), st.text())
def test_a_secret_is_nowhere_in_redacted_text(before: str, secret: str, after: str) -> None:
    """Whatever surrounds it, a secret is gone, as it is and as JSON and URLs spell it."""
    redactor = Redactor([secret])
    for spelling in (secret, json.dumps(secret)[1:-1], quote(secret, safe="")):
        redacted = redactor.redact(f"{before}{spelling}{after}")
        assert HIDDEN in redacted
        assert not any(secret in part for part in redacted.split(HIDDEN))


@pytest.mark.parametrize("blank", ["", "  ", "\n"])
def test_a_blank_is_no_secret(blank: str) -> None:
    """An empty key hides nothing, so that the log stays readable."""
    assert Redactor([blank]).redact("a b\nc") == "a b\nc"


def test_every_handler_of_the_process_gets_redacted_records() -> None:
    """Arguments, messages and tracebacks are redacted before any handler, Prefect's too, sees them."""
    with redacting(Redactor([SECRET])), kept("prefect.somewhere") as texts:
        logger = logging.getLogger("prefect.somewhere")
        logger.error("the header was %r", {"Authorization": f"Bearer {SECRET}"})
        logger.error("the address was https://example.com/?key=%s", quote(SECRET, safe=""))
        try:
            raise ValueError(f"cannot use {SECRET}")
        except ValueError:
            logger.exception("it failed", stack_info=True)
    assert len(texts) == 3
    assert all(HIDDEN in text for text in texts)
    assert not any("sk-test" in text for text in texts)
    assert "Traceback" in texts[2]


def test_after_the_block_records_are_as_before() -> None:
    """Redaction ends with its block."""
    before = logging.getLogRecordFactory()
    with redacting(Redactor([SECRET])):
        assert logging.getLogRecordFactory() is not before
    assert logging.getLogRecordFactory() is before


def test_who_is_heard_on_the_command_line() -> None:
    """Ours from INFO on, others from WARNING on, runs of Prefect not at all, everything on one line."""
    notes = Notes()
    with logging_to(notes):
        logging.getLogger("reelsweep.server").info("ours\nwith more")
        logging.getLogger("reelsweep.server").debug("too fine")
        logging.getLogger("httpx").info("HTTP Request: POST https://example.com")
        logging.getLogger("prefect.client").info("chatter")
        logging.getLogger("prefect.client").warning("worth knowing")
        logging.getLogger("prefect.flow_runs").error("Encountered exception during execution")
        logging.getLogger("prefect.task_runs.task").error("Finished in state Failed()")
        logging.getLogger("other").critical("broken")
    assert notes.heard == [("info", "ours"), ("warning", "worth knowing"), ("error", "broken")]


def test_the_server_still_hears_of_runs_but_not_of_every_task() -> None:
    """What Prefect sends to its server: the flow's lines, and of task runs only what went wrong."""
    with logging_to(Notes()), kept("prefect.flow_runs") as flow, kept("prefect.task_runs") as task:
        logging.getLogger("prefect.flow_runs").setLevel(logging.INFO)
        logging.getLogger("prefect.flow_runs").info("Beginning flow run")
        logging.getLogger("prefect.task_runs").info("Finished in state Completed()")
        logging.getLogger("prefect.task_runs").error("Finished in state Failed()")
    assert flow == ["Beginning flow run"]
    assert task == ["Finished in state Failed()"]


def test_warnings_are_notes_without_their_place() -> None:
    """A Python warning is one line that says what, not where in whose file."""
    notes = Notes()
    with warnings.catch_warnings(), logging_to(notes):
        warnings.simplefilter("always")
        warnings.warn("this table is odd", UserWarning, stacklevel=1)
    assert notes.heard == [("warning", "UserWarning: this table is odd")]


def test_a_secret_added_later_is_hidden_from_the_display() -> None:
    """The key is known only after logging has begun; from then on it is hidden."""
    notes = Notes()
    with logging_to(notes) as redactor:
        redactor.add(SECRET)
        logging.getLogger("reelsweep").warning("key %s", SECRET)
    assert notes.heard == [("warning", f"key {HIDDEN}")]


def test_logging_is_restored() -> None:
    """Levels, handlers and propagation are after the block what they were before it."""

    def standing() -> list[object]:
        names = ("", "prefect", "prefect.task_runs", "prefect.flow_runs", "reelsweep")
        loggers = [logging.getLogger(name) for name in names]
        return [(each.level, list(each.handlers), each.propagate) for each in loggers]

    before = standing()
    with logging_to(Notes()):
        assert standing() != before
    assert standing() == before


def test_debug_asked_for_is_debug_given(monkeypatch: pytest.MonkeyPatch) -> None:
    """With PREFECT_LOGGING_LEVEL=DEBUG what Prefect says of runs is heard."""
    monkeypatch.setenv("PREFECT_LOGGING_LEVEL", "DEBUG")
    notes = Notes()
    with logging_to(notes):
        logging.getLogger("prefect.flow_runs").error("Encountered exception")
    assert notes.heard == [("error", "Encountered exception")]


def test_prefect_is_told_not_to_report_before_it_is_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    """DO_NOT_TRACK is set unless the user has, and the module that sets it imports no Prefect."""
    monkeypatch.delenv("DO_NOT_TRACK", raising=False)
    code = (
        "import os, sys; from reelsweep.flows.reporting.logs import before_prefect; before_prefect();"
        "print(os.environ['DO_NOT_TRACK'], 'prefect' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True
    )
    assert done.stdout == "1 False\n"
    monkeypatch.setenv("DO_NOT_TRACK", "0")
    before_prefect()
    assert os.environ["DO_NOT_TRACK"] == "0"
