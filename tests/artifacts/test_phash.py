"""Perceptual hashes and the distance between clips."""

from __future__ import annotations

import imagehash
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from reelsweep.tasks.artifacts.phash import HEX_PER_FRAME, NUM_FRAMES, distance, evenly_spaced, frame_hash

hashes = st.integers(0, (1 << 4 * NUM_FRAMES * HEX_PER_FRAME) - 1).map(
    lambda n: f"{n:0{NUM_FRAMES * HEX_PER_FRAME}x}"
)


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**32), st.integers(8, 200), st.integers(8, 200))
def test_a_frame_is_hashed_as_imagehash_does(seed: int, width: int, height: int) -> None:
    """Any picture: the same 64 bits, in the same order."""
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width), dtype=np.uint8)
    picture = Image.fromarray(pixels)
    assert frame_hash(picture) == str(imagehash.phash(picture))


@pytest.mark.parametrize("level", [0, 17, 128, 255])
def test_a_flat_picture_hashes_alike_everywhere(level: int) -> None:
    """Only the mean stands out; the last bits of the arithmetic decide nothing."""
    expected = "0000000000000000" if level == 0 else "8000000000000000"
    assert frame_hash(Image.new("L", (160, 90), level)) == expected


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 100_000))
def test_the_frames_that_stand_for_a_clip_are_in_it_and_in_order(num_frames: int) -> None:
    """Eight indices, never past the end; different ones as soon as there are eight frames."""
    picks = evenly_spaced(num_frames)
    assert len(picks) == NUM_FRAMES
    assert list(picks) == sorted(picks)
    assert 0 <= picks[0] <= picks[-1] < num_frames
    assert len(set(picks)) == min(num_frames, NUM_FRAMES)


@settings(deadline=None, max_examples=60)
@given(hashes, hashes)
def test_distance_is_a_distance(a: str, b: str) -> None:
    """Zero to itself only, symmetric, at most one."""
    assert distance(a, a) == 0
    assert distance(a, b) == distance(b, a)
    assert (distance(a, b) == 0) == (a == b)
    assert distance(a, b) <= 1


@settings(deadline=None, max_examples=60)
@given(hashes, hashes, hashes)
def test_no_detour_is_shorter(a: str, b: str, c: str) -> None:
    """The triangle inequality holds, so near and far are consistent."""
    assert distance(a, c) <= distance(a, b) + distance(b, c) + 1e-12


def test_opposite_clips_are_one_apart() -> None:
    """Every bit of every frame differs."""
    assert distance("0" * 128, "f" * 128) == 1
    assert distance("0" * 128, "0" * 64 + "f" * 64) == 0.5


@pytest.mark.parametrize(("a", "b"), [("0" * 128, "0" * 16), ("", ""), ("0" * 16, "0" * 16)])
def test_hashes_of_another_kind_are_not_compared(a: str, b: str) -> None:
    """A hash of another length is an error, never a number that means nothing."""
    with pytest.raises(ValueError, match="expected 128"):
        distance(a, b)
