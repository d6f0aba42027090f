"""A prompt never crosses splits, whatever the table looks like and however it grows."""

from __future__ import annotations

import hashlib
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from reelsweep.tasks.export.recipe import parse_splits
from reelsweep.tasks.export.splits import Grouped, assign, group_names

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
SPLITS = parse_splits("train=0.5,val=0.25,test=0.25")
IDS = st.one_of(st.none(), st.sampled_from("abcdef"))
TEXTS = st.sampled_from(["A boat", "a  BOAT ", "A kite", "A fox", "Ein Fuß", "EIN FUSS", None])


@st.composite
def rows(draw: st.DrawFn) -> list[Grouped]:
    """Rows with few ids and texts, each planned later than the one before."""
    cells = draw(st.lists(st.tuples(IDS, TEXTS, st.integers(0, 40)), max_size=30))
    return [
        Grouped((prompt_id, prompt), f"r{request}", None, NOON + timedelta(seconds=place))
        for place, (prompt_id, prompt, request) in enumerate(cells)
    ]


def folded(value: Any) -> Any:
    return value and " ".join(value.casefold().split())


@given(rows())
def test_rows_that_agree_in_any_column_are_in_one_split(some: list[Grouped]) -> None:
    """The same id or the same text, case and white space aside: the same split."""
    names = group_names(some)
    for left, left_name in zip(some, names, strict=True):
        for right, right_name in zip(some, names, strict=True):
            pairs = zip(left.values, right.values, strict=True)
            if any(a is not None and folded(a) == folded(b) for a, b in pairs):
                assert left_name == right_name


@given(rows(), st.randoms())
def test_the_order_of_rows_does_not_matter(some: list[Grouped], random: Any) -> None:
    """A table that was re-ordered is split as before."""
    names = dict(zip(some, group_names(some), strict=True))
    shuffled = random.sample(some, len(some))
    assert dict(zip(shuffled, group_names(shuffled), strict=True)) == names


@given(rows())
def test_a_table_that_grows_moves_nothing_by_itself(some: list[Grouped]) -> None:
    """A later row joins a group or makes its own; of two that it ties the later joins the other."""
    before = group_names(some[:-1])
    first = {name: before.index(name) for name in before}
    for old, new in zip(before, group_names(some), strict=False):
        assert new == old or first[new] < first[old]


def test_unrelated_rows_are_groups_of_their_own() -> None:
    """Grouping ties no more than it must: no column in common, no common group."""
    some = [Grouped((f"p{n}", f"text {n}"), f"r{n}", None, NOON) for n in range(200)]
    assert len(set(group_names(some))) == 200


def test_an_edit_stays_with_the_row_it_edits() -> None:
    """A row that follows another one is in its group, with another id and another text."""
    parent = Grouped(("a", "A boat"), "r1", None, NOON)
    child = Grouped(("b", "Make it red"), "r2", "r1", NOON + timedelta(seconds=1))
    assert group_names([parent, child]) == ["a", "a"]


def test_the_hash_is_the_one_that_is_documented() -> None:
    """Whoever reads the card can compute the split: eight bytes of a sha256, as a share of all."""
    for name in ("kite", "boat", "fox", "ärger"):
        digest = hashlib.sha256(f"reelsweep split 1\n{name}".encode()).digest()
        point = int.from_bytes(digest[:8], "big") / 2**64
        wanted = "train" if point < 0.5 else "val" if point < 0.75 else "test"
        assert assign(name, SPLITS) == wanted


def test_splits_get_their_shares() -> None:
    """Of ten thousand groups each split has its part, to within two percent of all."""
    counts = Counter(assign(f"prompt {n}", SPLITS) for n in range(10_000))
    assert abs(counts["train"] - 5_000) < 200
    assert abs(counts["val"] - 2_500) < 200
    assert abs(counts["test"] - 2_500) < 200
