"""Which clips repeat an earlier one."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reelsweep.tasks.artifacts.duplicates import CHUNK, Originals, near_duplicates
from reelsweep.tasks.artifacts.phash import HEX_PER_FRAME, NUM_FRAMES, distance

DIGITS = NUM_FRAMES * HEX_PER_FRAME
families = st.lists(
    st.one_of(st.none(), st.tuples(st.integers(0, 3), st.sets(st.integers(0, DIGITS * 4 - 1), max_size=60))),
    max_size=40,
)
"""Clips as variations of four: the family, and which bits differ from it."""


def look(family: tuple[int, set[int]] | None) -> str | None:
    """The hash of one variation."""
    if family is None:
        return None
    bits = Random(family[0]).getrandbits(DIGITS * 4)
    for bit in family[1]:
        bits ^= 1 << bit
    return f"{bits:0{DIGITS}x}"


def compared_one_by_one(phashes: Sequence[str | None], threshold: float) -> list[int | None]:
    """What the distance says, every pair looked at."""
    kept: list[int] = []
    found: list[int | None] = []
    for at, phash in enumerate(phashes):
        near = (i for i in kept if phash is not None and distance(phashes[i] or "", phash) <= threshold)
        found.append(next(near, None))
        if phash is not None and found[-1] is None:
            kept.append(at)
    return found


@settings(deadline=None, max_examples=80)
@given(families, st.sampled_from([0.0, 0.02, 0.05, 0.1, 0.3, 1.0]))
def test_duplicates_are_what_the_distance_says(
    clips: list[tuple[int, set[int]] | None], threshold: float
) -> None:
    """The earliest kept clip within the threshold, exactly as if every pair had been looked at."""
    phashes = [look(clip) for clip in clips]
    assert near_duplicates(phashes, threshold) == compared_one_by_one(phashes, threshold)


@settings(deadline=None, max_examples=40)
@given(families, st.integers(0, 40))
def test_it_does_not_matter_in_how_many_pieces_they_come(
    clips: list[tuple[int, set[int]] | None], cut: int
) -> None:
    """Clips added in two calls are judged as in one."""
    phashes = [look(clip) for clip in clips]
    originals = Originals(0.05)
    assert [*originals.add(phashes[:cut]), *originals.add(phashes[cut:])] == near_duplicates(phashes, 0.05)


@pytest.mark.parametrize("threshold", [0.05, 0.3])
def test_many_clips_are_judged_like_few(threshold: float) -> None:
    """Across chunks, with bands that tell clips apart and with bands that do not."""
    random = Random(5)
    clips = [(random.randrange(900), {random.randrange(512) for _ in range(12)}) for _ in range(CHUNK + 500)]
    phashes = [look(clip) for clip in clips]
    found = near_duplicates(phashes, threshold)
    assert found == compared_one_by_one(phashes, threshold)
    assert any(at is not None and at < CHUNK for at in found[CHUNK:])


def test_a_hash_of_another_kind_is_refused() -> None:
    """A hash of another length is an error, never compared."""
    with pytest.raises(ValueError, match="got a hash of 16 hex digits, expected 128"):
        near_duplicates(["0" * 16], 0.05)
