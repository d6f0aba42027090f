"""Which candidates are opened, whatever comes of them and in whatever order it is known."""

from __future__ import annotations

from array import array
from random import Random

from hypothesis import given
from hypothesis import strategies as st
from reelsweep.flows.selection.acceptance import Acceptance, Candidate, State, state_of
from reelsweep.tasks.ledger.records import Made

LOOKS = [f"{Random(n).getrandbits(512):0128x}" for n in range(6)]
"""Hashes far from each other: a look that two clips share is a near-duplicate."""
fates = st.one_of(
    st.sampled_from(LOOKS).map(lambda look: Candidate("made", (look,))),
    st.just(Candidate("made", ())),
    st.just(Candidate("made", (None,))),
    st.just(Candidate("used")),
    st.just(Candidate("hopeless")),
)
tables = st.lists(st.lists(fates, min_size=1, max_size=7), min_size=1, max_size=4)


def acceptance(table: list[list[Candidate]], need: int) -> Acceptance:
    """Rows of candidates, none of them open."""
    sizes = [len(row) for row in table]
    firsts = array("Q", [sum(sizes[:row]) for row in range(len(sizes))])
    return Acceptance(need=need, firsts=firsts, num_candidates=sum(sizes), max_distance=0.05)


def made_in_full(table: list[list[Candidate]], need: int, order: Random) -> Acceptance:
    """Open, end in any order, open more, settle, until there is nothing to do."""
    told, fate = acceptance(table, need), [candidate for row in table for candidate in row]
    under_way = [place for row in range(len(table)) for place in told.open_more(row)]
    while under_way:
        place = under_way.pop(order.randrange(len(under_way)))
        told.tell(place, fate[place])
        under_way += told.open_more(told.row_of(place))
        if not under_way:
            told.settle()
            under_way = [place for row in range(len(table)) for place in told.open_more(row)]
    return told


@given(tables, st.integers(1, 4), st.integers(0, 2**32), st.integers(0, 2**32))
def test_what_is_made_does_not_depend_on_what_ends_first(
    table: list[list[Candidate]], need: int, one: int, other: int
) -> None:
    """Two orders of ends lead to the same candidates, and so to the same dataset."""
    first, second = (made_in_full(table, need, Random(seed)) for seed in (one, other))
    assert first.opened == second.opened


@given(tables, st.integers(1, 4), st.integers(0, 2**32))
def test_a_run_cut_anywhere_goes_on_to_the_same_candidates(
    table: list[list[Candidate]], need: int, cut: int
) -> None:
    """What was made before the cut is told again; nothing is made that a whole run does not make."""
    fate = [candidate for row in table for candidate in row]
    whole = made_in_full(table, need, Random(0))
    before = [place for place in whole.opened if Random(cut + place).random() < 0.5]
    resumed = acceptance(table, need)
    first = [place for row in range(len(table)) for place in resumed.open_more(row)]
    assert set(first) <= set(whole.opened)
    for place in before:
        resumed.tell(place, fate[place])
    assert {place for row in range(len(table)) for place in resumed.open_more(row)} <= set(whole.opened)


@given(tables, st.integers(1, 4), st.integers(0, 2**32))
def test_no_more_are_open_than_are_still_needed(table: list[list[Candidate]], need: int, seed: int) -> None:
    """Accepted and open together never pass the goal, so no clip is bought that may be too many."""
    told, fate, order = acceptance(table, need), [each for row in table for each in row], Random(seed)
    under_way = [place for row in range(len(table)) for place in told.open_more(row)]
    while under_way:
        for row, places in enumerate(table):
            mine = [place for place in under_way if told.row_of(place) == row]
            assert len(mine) <= min(need, len(places))
        place = under_way.pop(order.randrange(len(under_way)))
        told.tell(place, fate[place])
        under_way += told.open_more(told.row_of(place))


def test_a_clip_that_looks_like_one_of_another_row_is_made_up_once_all_are_known() -> None:
    """The earlier row keeps its clip; the later one gets a fresh candidate, and is then not short."""
    table = [
        [Candidate("made", (LOOKS[0],))],
        [Candidate("made", (LOOKS[0],)), Candidate("made", (LOOKS[1],))],
    ]
    told = made_in_full(table, 1, Random(0))
    assert (sorted(told.opened), told.num_short()) == ([0, 1, 2], 0)


def test_spare_candidates_are_those_that_rejects_would_open() -> None:
    """Of a row that has enough none; of others all that are left, unless none of theirs can be replaced."""
    table = [[Candidate("used")] * 4] * 3
    told = acceptance(table, 2)
    for row in range(3):
        assert len(list(told.open_more(row))) == 2
    for place in (0, 1):
        told.tell(place, Candidate("made", (None,)))
    for place in (8, 9):
        told.tell(place, Candidate("hopeless"))
    assert list(told.spare()) == [6, 7]


def test_how_a_generation_counts() -> None:
    """What may still come is open; what the request causes is hopeless; the rest is used up or made."""
    cases: dict[tuple[str, bool, str | None, str | None], State] = {
        ("unknown", True, "maybe", None): "open",
        ("success", False, "yes", None): "made",
        ("refused", False, "maybe", "input"): "hopeless",
        ("refused", False, "maybe", "output"): "used",
        ("failed", False, "no", None): "hopeless",
        ("failed", False, "yes", None): "used",
        ("invalid_output", False, "yes", None): "used",
    }
    for (status, is_open, billed, refused_at), state in cases.items():
        made = Made(status=status, is_open=is_open, billed=billed, refused_at=refused_at, num_purchases=1)
        assert state_of(made) == state
