"""The display: what reaches a person, and what never does."""

from __future__ import annotations

import io
import json
import unicodedata
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reelsweep.flows.out.places import reconcile_with
from reelsweep.flows.reporting.bar import BarDisplay
from reelsweep.flows.reporting.display import Progress, SilentDisplay, escape_terminal
from reelsweep.flows.reporting.lines import JsonDisplay, LineDisplay
from reelsweep.flows.reporting.terminal import open_display
from reelsweep.flows.reporting.wording import describe_duration, describe_line, describe_usd, list_remedies
from reelsweep.flows.summary import RunSummary

HALF = Progress(
    planned=10,
    done=3,
    failed=1,
    refused=1,
    in_flight=4,
    rate_per_min=2.5,
    eta_s=125,
    spent_usd=3.2,
    reserved_usd=3.2,
    waiting="cool-down 12 s",
)
SUMMARY = RunSummary(
    run_id="r1",
    out="runs/table",
    manifest="runs/table/manifest.parquet",
    gateway="https://gateway.example.com",
    counts={"success": 7, "refused": 2, "unknown": 1},
    planned=10,
    posts=11,
    cost_usd=8.8,
    elapsed_s=200.0,
    reconcile="reelsweep reconcile runs/table",
)


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


class Clock:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@given(st.text(alphabet=st.characters(codec=None)) | st.text("\x1b[]0;m\x07\\\x9b\x9dPa\n\u202e\ud800"))
def test_nothing_that_moves_a_terminal_survives(text: str) -> None:
    """Escaped text has no control, direction, line-break or surrogate character, and can be encoded."""
    escaped = escape_terminal(text)
    categories = {unicodedata.category(char) for char in escaped}
    assert not categories & {"Cc", "Cs", "Zl", "Zp"}
    assert not set(escaped) & set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\ufeff")
    assert escaped.encode().decode() == escaped
    assert escape_terminal(escaped) == escaped


@pytest.mark.parametrize(
    ("given_text", "shown"),
    [
        ("a\x1b[31mred\x1b[0m b", "ared b"),
        ("\x1b]0;new title\x07text", "text"),
        ("\x1b]8;;https://example.com\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x9b2Jgone", "gone"),
        ("one\r\n\ttwo\u2028three", "one two three"),
        ("user\u202egpj.exe", "usergpj.exe"),
        ("[red]not markup[/red]", "[red]not markup[/red]"),
        ("👩‍👩‍👧 é 日本", "👩‍👩‍👧 é 日本"),
        ("half \ud83d", "half \ufffd"),
        ("\x1b]0;never closed", ""),
    ],
)
def test_sequences_go_and_words_stay(given_text: str, shown: str) -> None:
    """Escape sequences vanish whole, what a person wrote stays as it is."""
    assert escape_terminal(given_text) == shown


def test_lines_are_throttled_but_the_end_is_shown() -> None:
    """Plain lines come on change only, at least ten seconds apart, and the end comes at once."""
    stream, clock = io.StringIO(), Clock()
    display = LineDisplay(stream, clock=clock)
    display.update(HALF)
    clock.now_s = 5
    display.update(replace(HALF, done=4))
    clock.now_s = 11
    display.update(replace(HALF, done=5))
    clock.now_s = 30
    display.update(replace(HALF, done=5, eta_s=1.0, rate_per_min=9.0))
    clock.now_s = 31
    display.update(replace(HALF, done=8, in_flight=0))
    display.update(replace(HALF, done=8, in_flight=0))
    lines = stream.getvalue().splitlines()
    assert [line.split(":")[0] for line in lines] == ["5 of 10", "7 of 10", "10 of 10"]
    assert lines[0] == (
        "5 of 10: 3 done, 1 failed, 1 refused; 4 in flight; 2.5/min; 2 min 5 s left; "
        "$3.20 spent, $3.20 reserved; cool-down 12 s"
    )


@pytest.mark.parametrize("kind", [LineDisplay, JsonDisplay])
def test_the_last_word_of_a_run_that_was_stopped_is_shown(kind: Callable[..., Any]) -> None:
    """Rows that ended since the last line are in it, though the plan is not done; once, and no more."""
    stream = io.StringIO()
    display = kind(stream, clock=Clock())
    display.update(Progress(planned=20))
    display.update(Progress(planned=20, done=3))
    display.update(Progress(planned=20, done=4, is_last=True))
    display.update(Progress(planned=20, done=4, is_last=True))
    first, last = stream.getvalue().splitlines()
    assert ("4 of 20: 4 done" in last) == (kind is LineDisplay)
    assert kind is LineDisplay or json.loads(last)["done"] == 4
    assert first != last


def test_json_lines_are_objects_with_a_time_and_an_event() -> None:
    """Each line of JSON stands alone: an instant, its kind, its facts, all in ASCII."""
    stream = io.StringIO()
    display = JsonDisplay(stream)
    display.update(HALF)
    display.note("a\u2028b \x1b[31m \ud800", "warning")
    display.summary(SUMMARY)
    documents = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert stream.getvalue().isascii()
    assert [document["event"] for document in documents] == ["progress", "note", "summary"]
    assert documents[0]["waiting"] == "cool-down 12 s"
    assert documents[1]["level"] == "warning"
    assert documents[2]["counts"] == SUMMARY.counts
    assert documents[2]["remedies"] == list_remedies(SUMMARY)
    assert all(document["at"].endswith("+00:00") for document in documents)


def test_the_bar_shows_counts_pace_and_money_and_goes_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal the bar has all figures; notes stand above it; at the end it is erased."""
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setenv("TERM", "xterm-256color")
    stream = Terminal()
    with BarDisplay(stream, clock=Clock()) as bar:
        bar.update(HALF)
        drawn = stream.getvalue()
        bar.note("row \x1b]0;x\x07p-1 [bold]failed[/bold]", "error")
    shown = ("5/10", "50%", "3 done", "1 failed", "1 refused", "4 in flight", "2 min 5 s left", "$3.20 spent")
    assert [part for part in shown if part not in drawn] == []
    assert "row p-1 [bold]failed[/bold]" in stream.getvalue()
    assert "\x1b]0;" not in stream.getvalue()
    assert stream.getvalue().endswith("\x1b[1A\x1b[2K" * 2)


def test_a_narrow_terminal_cuts_and_does_not_wrap(monkeypatch: pytest.MonkeyPatch) -> None:
    """The bar takes two lines however narrow the terminal is, so that it can be erased."""
    monkeypatch.setenv("COLUMNS", "50")
    monkeypatch.setenv("TERM", "xterm-256color")
    stream = Terminal()
    with BarDisplay(stream, clock=Clock()) as bar:
        bar.update(HALF)
        drawn = stream.getvalue()
    assert drawn.count("\n") == 1


def test_the_summary_names_places_and_remedies() -> None:
    """At the end stand the counts, the cost, the manifest, the page and what to do about unknown rows."""
    stream = io.StringIO()
    LineDisplay(stream).summary(SUMMARY)
    text = stream.getvalue()
    for part in ("7 success", "11 POSTs in 3 min 20 s", "$8.80", SUMMARY.manifest, "runs/table/index.html"):
        assert part in text
    assert "`reelsweep reconcile runs/table` asks" in text
    assert "--on-unknown resubmit" in text
    assert "failed" not in text


def test_why_a_run_stopped_comes_first() -> None:
    """A stopped run says so in the first line of its summary."""
    stream = io.StringIO()
    LineDisplay(stream).summary(SUMMARY.model_copy(update={"stopped": "the key was refused (401)"}))
    assert stream.getvalue().startswith("stopped: the key was refused (401)\n")


@pytest.mark.parametrize(
    ("make", "kind"), [(io.StringIO, LineDisplay), (Terminal, BarDisplay)], ids=["file", "terminal"]
)
def test_the_stream_decides_the_display(
    make: Callable[[], io.StringIO], kind: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A terminal gets the bar, a file or a dumb terminal lines, and both JSON when asked for."""
    monkeypatch.setenv("TERM", "xterm")
    with open_display(stream=make()) as display:
        assert type(display) is kind
    with open_display("json", make()) as display:
        assert type(display) is JsonDisplay
    monkeypatch.setenv("TERM", "dumb")
    with open_display(stream=make()) as display:
        assert type(display) is LineDisplay


def test_the_silent_display_writes_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    """A run from Python prints nothing."""
    silent = SilentDisplay()
    silent.update(HALF)
    silent.note("nobody hears this", "error")
    silent.summary(SUMMARY)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 s"),
        (59.6, "1 min"),
        (61, "1 min 1 s"),
        (3600, "1 h"),
        (3661, "1 h 1 min"),
        (7205, "2 h"),
        (90_000, "1 d 1 h"),
        (-3, "0 s"),
    ],
)
def test_a_duration_has_at_most_two_units(seconds: float, words: str) -> None:
    """Durations are read at a glance: the two largest units, without zeros."""
    assert describe_duration(seconds) == words


@pytest.mark.parametrize(
    ("amount", "words"),
    [
        (0, "$0.00"),
        (0.8, "$0.80"),
        (0.0035, "$0.0035"),
        (12.4, "$12.40"),
        (1234.5, "$1,234.50"),
        (0.999, "$1.00"),
    ],
)
def test_small_money_is_not_shown_as_nothing(amount: float, words: str) -> None:
    """Money has cents, and more digits where cents would say zero."""
    assert describe_usd(amount) == words


def test_without_a_price_no_money_is_spoken_of() -> None:
    """Where no price is known the line has no dollar sign."""
    assert "$" not in describe_line(replace(HALF, spent_usd=None, reserved_usd=None))


def test_a_remedy_names_the_folder_as_a_shell_takes_it() -> None:
    """The command in it runs as it stands, also where the folder's name has a space."""
    command = reconcile_with(Path("runs/my cats"), "sqlite:////data/my ledger.db")
    (remedy,) = list_remedies(SUMMARY.model_copy(update={"reconcile": command}))
    assert "`reelsweep reconcile 'runs/my cats' --ledger 'sqlite:////data/my ledger.db'`" in remedy


def test_nobody_is_to_be_asked_who_has_ended_with_the_run() -> None:
    """The remedy for unknown rows of a run's own sandbox is the one that works."""
    (remedy,) = list_remedies(SUMMARY.model_copy(update={"reconcile": ""}))
    assert "reconcile" not in remedy
    assert "`--on-unknown resubmit`" in remedy


@pytest.mark.parametrize("command", ["reelsweep reconcile runs/table", ""])
def test_a_remedy_that_would_send_nothing_is_not_advised(command: str) -> None:
    """Unknown rows that have had all their purchases are bought again only by allowing one more."""
    used_up = {"num_used_up": 1, "most_purchases": 2, "reconcile": command}
    (remedy,) = list_remedies(SUMMARY.model_copy(update=used_up))
    assert "`--on-unknown resubmit --max-purchases 3`" in remedy
    assert "`--on-unknown resubmit`" not in remedy
    some = {**used_up, "counts": {"unknown": 2}}
    (remedy,) = list_remedies(SUMMARY.model_copy(update=some))
    assert remedy.endswith("1 of them only with `--max-purchases 3`")


def test_a_remedy_sends_nobody_to_a_bill_that_has_decided() -> None:
    """Nor to a gateway that cannot be asked."""
    (remedy,) = list_remedies(SUMMARY.model_copy(update={"num_mute": 1}))
    assert "reconcile" not in remedy
    assert "`--on-unknown resubmit`" in remedy
