"""The candidates of a row: what it asks for, then fresh ones."""

from __future__ import annotations

from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reelsweep.prompts.candidates import candidates
from reelsweep.prompts.errors import SettingsError
from reelsweep.prompts.seeds import derive_seed
from reelsweep.prompts.settings import PlanSettings, find_overrides

rows = st.tuples(
    st.text(max_size=8), st.lists(st.integers(0, 9), max_size=4, unique=True), st.none() | st.integers(1, 3)
)


@given(rows, st.integers(0, 12), st.integers(0, 12))
def test_more_candidates_begin_with_the_same(
    row: tuple[str, list[int], int | None], few: int, many: int
) -> None:
    """Asking for more keeps those there were; what the row asks for comes first, and none comes twice."""
    few, many = sorted((few, many))
    first, second = list(candidates(*row, few)), list(candidates(*row, many))
    assert first == list(islice(second, len(first)))
    assert len(second) == max(many, (len(row[1]) or 1) * (row[2] or 1))
    assert len(set(second)) == len(second)


def test_fresh_candidates_take_derived_seeds_or_the_next_sample() -> None:
    """With seeds the derived ones from index 0, those in use left out; without, samples go on."""
    derived = [derive_seed("fox", index) for index in range(3)]
    assert list(candidates("fox", [7, derived[1]], None, 4)) == [
        (7, 0), (derived[1], 0), (derived[0], 0), (derived[2], 0),
    ]  # fmt: skip
    assert list(candidates("fox", [], 2, 3)) == [(None, 0), (None, 1), (None, 2)]


def test_more_candidates_than_can_be_meant_are_refused() -> None:
    """A slip is refused before its plan fills the memory."""
    with pytest.raises(SettingsError, match=r"1,000,000,000 candidates for each row"):
        find_overrides(PlanSettings(num_candidates=1_000_000_000))
