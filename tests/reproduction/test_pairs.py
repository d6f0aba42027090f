"""What a pair is called, and what pairs add up to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reelsweep.tasks.ledger.records import Line, ResultRecord
from reelsweep.tasks.reproduction.columns import REPRODUCTION
from reelsweep.tasks.reproduction.pairs import pairs_of
from reelsweep.tasks.reproduction.sample import requests_of
from reelsweep.tasks.reproduction.verdicts import tally, wilson

MakeLine = Callable[..., Line]
MakeResult = Callable[..., ResultRecord]
FAR = "f" * 128
CLOSE = "0" * 127 + "1"


def verdicts(*lines: Line) -> list[tuple[str, float | None]]:
    """The verdicts and distances of all pairs."""
    return [(pair.verdict, pair.distance) for pair in pairs_of(requests_of(lines))]


def test_clips_are_called_what_they_are(line: MakeLine, result: MakeResult) -> None:
    """Same bytes, same frames, same look, another clip."""
    found = verdicts(
        line(1, 0, result("ab")),
        line(1, 1, result("ab")),
        line(1, 2, result("ac")),
        line(1, 3, result("xy", CLOSE)),
        line(1, 4, result("xz", FAR)),
    )
    assert found == [("bit-identical", 0), ("frame-identical", 0), ("near", 1 / 512), ("different", 1)]


def test_texts_are_the_same_or_not(line: MakeLine, result: MakeResult) -> None:
    """Letter for letter; how far apart two texts are is not said."""
    said = [result("ab", sha256=None, facts={}, text=text) for text in ("yes", "yes", "no")]
    assert verdicts(*(line(1, idx, one) for idx, one in enumerate(said))) == [
        ("bit-identical", 0),
        ("different", 1),
    ]


@pytest.mark.parametrize(
    ("status", "verdict"),
    [("refused", "failed"), ("invalid_output", "failed"), ("unknown", "open"), ("planned", "open")],
)
def test_a_repetition_without_a_result_is_no_comparison(line: MakeLine, status: str, verdict: str) -> None:
    """It failed, or its end is not known yet; neither has a distance."""
    assert verdicts(line(1), line(1, 1, status=status, results=())) == [(verdict, None)]


def test_what_the_table_has_yet_to_make_is_no_pair(line: MakeLine) -> None:
    """It is the table's row; a repetition that was never sent is one, and open."""
    unsent = {"status": "planned", "attempt": None}
    assert verdicts(line(1), line(1, 1, **unsent)) == []
    assert verdicts(line(1), line(1, 1, in_plan=False, **unsent)) == [("open", None)]


def test_a_repetition_that_another_one_has_replaced_is_no_pair(line: MakeLine, result: MakeResult) -> None:
    """Last week's, for which there was no money, would be open for ever; this week's was made."""
    unsent = {"status": "planned", "attempt": None, "in_plan": False}
    lines = (line(1, 0, result("ab")), line(1, 1, **unsent), line(1, 2, result("ab"), in_plan=False))
    assert verdicts(*lines) == [("bit-identical", 0)]
    assert verdicts(*lines, line(1, 3, **unsent)) == [("bit-identical", 0), ("open", None)]


def test_choices_are_compared_one_by_one(line: MakeLine, result: MakeResult) -> None:
    """Choice 0 with choice 0, choice 1 with choice 1; a choice that is missing the second time has failed."""
    both = (result("ab"), result("cd", choice_idx=1))
    found = verdicts(line(1, 0, results=both, n=2), line(1, 1, results=both[:1], n=2))
    assert found == [("bit-identical", 0), ("failed", None)]


def test_pairs_are_counted_by_who_made_them(line: MakeLine, result: MakeResult) -> None:
    """A change of the gateway between the two is a group of its own, as are requests without a seed."""
    found = tally(
        pairs_of(
            requests_of(
                [
                    *(line(1, idx, result("ab")) for idx in range(3)),
                    line(1, 3, result("xy", CLOSE), mark="fp2"),
                    line(2, 0, seed=None),
                    line(2, 1, result("zz", FAR), seed=None),
                    line(2, 2, seed=None, status="refused", results=(), mark=None),
                ]
            )
        )
    )
    seen = [
        (one.system_fingerprint, one.again_system_fingerprint, one.seeded, dict(one.counts)) for one in found
    ]
    assert seen == [
        ("fp", "fp", False, {"different": 1, "failed": 1}),
        ("fp", "fp", True, {"bit-identical": 2}),
        ("fp", "fp2", True, {"near": 1}),
    ]
    assert found[0].compared == 1


def test_a_row_has_every_declared_column_and_no_other(line: MakeLine) -> None:
    """What is written is what `columns.py` declares."""
    (pair,) = pairs_of(requests_of([line(1), line(1, 1)]))
    row: dict[str, Any] = pair.row()
    assert set(row) == {column.name for column in REPRODUCTION}
    assert not [column.name for column in REPRODUCTION if not column.nullable and row[column.name] is None]


@pytest.mark.parametrize(
    ("successes", "of", "low", "high"),
    [
        (0, 10, 0.0, 0.2775),
        (10, 10, 0.7225, 1.0),
        (5, 10, 0.2366, 0.7634),
        (1, 29, 0.0061, 0.1718),
        (0, 0, 0, 1),
    ],
)
def test_intervals_are_wilsons(successes: int, of: int, low: float, high: float) -> None:
    """Figures of the method as published (Newcombe 1998 has 1 of 29: 0.0061 to 0.1718)."""
    assert wilson(successes, of) == pytest.approx((low, high), abs=5e-5)


@given(st.integers(0, 500), st.integers(1, 500))
def test_an_interval_holds_what_was_seen(successes: int, of: int) -> None:
    """Within 0 and 1, around the share that was counted."""
    successes = min(successes, of)
    low, high = wilson(successes, of)
    assert 0 <= low <= successes / of <= high <= 1
