"""Which requests are made again: drawn fairly, always the same, never bought twice."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reelsweep.prompts.fingerprint import request_fingerprint
from reelsweep.tasks.ledger.records import Line
from reelsweep.tasks.reproduction.sample import (
    count_partial,
    draw,
    population,
    requests_of,
    sample_size,
    to_make,
)

MakeLine = Callable[..., Line]
GATEWAY = "https://video.example.com"


def names(requests: list) -> list[str]:
    """The prompts of requests."""
    return [one.first.plan.prompt_id for one in requests]


def test_samples_of_one_request_are_one_request(line: MakeLine) -> None:
    """Lines are grouped by what is asked; the first success is what the others are compared with."""
    lines = [line(1, 0, status="refused"), line(1, 1), line(1, 2), line(2, 0), line(3, 0, status="failed")]
    first, second = requests_of(lines)
    assert (first.first.plan.sample_idx, [o.plan.sample_idx for o in first.others]) == (1, [0, 2])
    assert second.others == ()


def test_what_is_known_in_part_is_no_request(line: MakeLine) -> None:
    """It might be taken for another one, of which it is a sample no more than it is a repetition."""
    whole, other = line(1), line(1, 1)
    partial = replace(other, plan=replace(other.plan, request_fingerprint="0" * 64))
    assert [len(one.others) for one in requests_of([whole, other])] == [1]
    assert [len(one.others) for one in requests_of([whole, partial])] == [0]
    lines = [whole, partial, replace(partial, in_plan=False), replace(partial, status="planned")]
    assert count_partial(lines, GATEWAY) == 1
    assert count_partial(lines, "https://other.example.com") == 0


def test_only_seeded_requests_of_the_plan_are_drawn(line: MakeLine) -> None:
    """Not another gateway's, not those that left the plan; without a seed only where none has one."""
    lines = [
        line(1),
        line(2, seed=None),
        line(3, in_plan=False),
        line(4, gateway="https://other.example.com"),
    ]
    assert names(population(requests_of(lines), GATEWAY)) == ["p1"]
    assert names(population(requests_of(lines[1:]), GATEWAY)) == ["p2"]


def test_a_draw_depends_on_no_order(line: MakeLine) -> None:
    """The same requests give the same sample, however they stand."""
    requests = requests_of([line(number) for number in range(40)])
    assert names(draw(requests, 10)) == names(draw(requests[::-1], 10))


@given(small=st.integers(0, 60), large=st.integers(0, 60))
def test_a_larger_sample_holds_the_smaller(line: MakeLine, small: int, large: int) -> None:
    """Extending a sample never throws away what was bought for it."""
    lines = [line(number, model="rare" if number % 20 == 0 else "m") for number in range(60)]
    low, high = sorted((small, large))
    requests = requests_of(lines)
    assert draw(requests, high)[:low] == draw(requests, low)


def test_every_stratum_is_drawn_in_proportion(line: MakeLine) -> None:
    """Models and fingerprints: each once first, then by their share."""
    marks = ["old"] * 60 + ["new"] * 30 + ["rare"] * 2
    requests = requests_of([line(number, mark=mark) for number, mark in enumerate(marks)])
    counted = [Counter(one.stratum[-1] for one in draw(requests, number)) for number in (3, 20, 46)]
    assert counted[0] == {"old": 1, "new": 1, "rare": 1}
    assert [abs(counts["old"] - 2 * counts["new"]) <= 2 for counts in counted[1:]] == [True, True]


@pytest.mark.parametrize(
    ("number", "of", "expected"), [(0.05, 100, 5), (0.07, 100, 7), (0.05, 1, 1), (20, 7, 7), (1.0, 9, 9)]
)
def test_a_share_is_rounded_up(number: float, of: int, expected: int) -> None:
    """Never more than there are, never none."""
    assert sample_size(number, of) == expected


def test_a_repetition_is_the_next_sample_of_the_same_request(line: MakeLine) -> None:
    """Everything but `sample_idx` and the fingerprint stays, and that is the one a table would give it."""
    (request,) = requests_of([line(1, 0), line(1, 1, status="refused", in_plan=False)][:1])
    row = to_make(request)
    assert row is not None
    assert (row.sample_idx, row.prompt_id, row.seed) == (1, "p1", 1)
    assert row.request_fingerprint == request_fingerprint(json.loads(row.payload), 1)
    assert row.request_fingerprint == line(1, 1).plan.request_fingerprint


@pytest.mark.parametrize(
    ("status", "billed", "made"),
    [
        ("success", "yes", None),
        ("refused", "maybe", None),
        ("failed", "yes", None),
        ("failed", "no", 1),
        ("planned", None, 1),
        ("unknown", "maybe", 1),
        ("failed_to_download", "yes", 1),
    ],
)
def test_a_repetition_is_never_bought_twice(
    line: MakeLine, status: str, billed: str | None, made: int | None
) -> None:
    """One that has ended is there; one that was begun is gone on with; no new one comes beside it."""
    (request,) = requests_of([line(1, 0), line(1, 1, status=status, billed=billed, in_plan=False)])
    row = to_make(request)
    assert (row and row.sample_idx) == made


def test_old_repetitions_do_not_count_where_fresh_ones_are_asked_for(line: MakeLine) -> None:
    """Before that day: the sample after the last. From that day on: one is there."""
    (request,) = requests_of([line(1, 0), line(1, 1), line(1, 2)])
    planned: datetime = request.others[-1].created_at
    later = to_make(request, planned + timedelta(seconds=1))
    assert later is not None and later.sample_idx == 3
    assert to_make(request, planned) is None
