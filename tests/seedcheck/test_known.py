"""The record of what is known: many writers, one file, nothing lost."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from reelsweep.prompts.errors import SettingsError
from reelsweep.tasks.seedcheck.known import NAME, Known, home_folder, keep, read_known


def known(model: str = "m", **fields: Any) -> Known:
    """One experiment."""
    values = {
        "gateway": "https://video.example.com",
        "model": model,
        "verdict": "honoured",
        "reason": "",
        "same": 0.0,
        "other": 0.5,
        "checked_at": datetime(2026, 3, 1, tzinfo=UTC),
        "evidence": "runs/seedcheck/x",
    }
    return Known(**{**values, **fields})


def test_what_is_kept_is_known(tmp_path: Path) -> None:
    """In a folder that is made; the last experiment on one model replaces the one before."""
    home = tmp_path / "not" / "yet"
    assert read_known(home) == ()
    keep(home, known("b"))
    keep(home, known("a"))
    keep(home, known("b", verdict="ignored"))
    assert [(one.model, one.honoured) for one in read_known(home)] == [("a", "yes"), ("b", "no")]


def test_an_experiment_that_tells_nothing_replaces_none_that_does(tmp_path: Path) -> None:
    """A refused prompt does not make a known gateway unknown; it is kept where nothing else is."""
    keep(tmp_path, known(verdict="cannot tell"))
    assert [one.honoured for one in read_known(tmp_path)] == [None]
    keep(tmp_path, known())
    keep(tmp_path, known(verdict="cannot tell"))
    assert [one.honoured for one in read_known(tmp_path)] == ["yes"]


def test_writers_at_once_lose_nothing(tmp_path: Path) -> None:
    """Each one's finding is there."""
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: keep(tmp_path, known(f"m{number}")), range(24)))
    assert len(read_known(tmp_path)) == 24


@pytest.mark.parametrize("text", ["{", "[]", '{"format_version": 2, "seeds": []}', '{"seeds": [{}]}'])
def test_a_record_that_cannot_be_read_is_told(tmp_path: Path, text: str) -> None:
    """Damaged, or of a newer Reelsweep: never overwritten by guess."""
    (tmp_path / NAME).write_text(text)
    with pytest.raises(SettingsError, match=NAME):
        keep(tmp_path, known())
    assert (tmp_path / NAME).read_text() == text


def test_the_home_is_the_users_unless_named(tmp_path: Path) -> None:
    """`REELSWEEP_HOME`, also with a tilde; empty is not named."""
    assert home_folder({"REELSWEEP_HOME": str(tmp_path)}) == tmp_path
    assert home_folder({"REELSWEEP_HOME": "~/x"}) == Path.home() / "x"
    assert home_folder({"REELSWEEP_HOME": " "}) == home_folder({}) == Path.home() / ".reelsweep"
