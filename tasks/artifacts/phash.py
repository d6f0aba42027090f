"""`phash`: what a clip looks like, and how far two clips are apart (pure).

Eight frames, evenly spaced (the middle one of each eighth), each hashed as ImageHash's `phash` does with
its defaults: the luma, scaled to 32 x 32 (Lanczos), its discrete cosine transform, of which the 8 x 8 lowest
frequencies are compared with their median. One frame is 16 hex digits, readable by `imagehash.hex_to_hash`;
a clip is its eight frames in a row. SciPy is not needed: the transform is two products with a fixed matrix
(tested equal to ImageHash). Coefficients are rounded to 1e-6, so that the noise of the last bit, which
differs between processors, does not decide in flat pictures.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from reelsweep.tasks.artifacts.facts import Facts

if TYPE_CHECKING:
    import numpy as np
    from PIL.Image import Image

NUM_FRAMES = 8
SIDE = 32
LOW = 8
HEX_PER_FRAME = LOW * LOW // 4


def evenly_spaced(num_frames: int) -> tuple[int, ...]:
    """The indices of the frames that stand for a clip; repeated where it has fewer than eight."""
    return tuple((2 * i + 1) * num_frames // (2 * NUM_FRAMES) for i in range(NUM_FRAMES))


def frame_hash(luma: Image) -> str:
    """The perceptual hash of one picture (mode L), 16 hex digits."""
    import numpy as np
    from PIL.Image import Resampling

    small = luma.resize((SIDE, SIDE), Resampling.LANCZOS)
    pixels = np.asarray(small, dtype=np.float64)
    basis = _cosines()
    low = np.round(basis @ pixels @ basis.T, 6)
    return np.packbits(low > np.median(low)).tobytes().hex()


def distance(one: str | Facts, other: str | Facts) -> float:
    """How far two clips are apart, from their `phash`: 0 (look the same) to 1.

    The share of differing bits, frame by frame at the same relative times. Re-encoding stays below about
    0.1; unrelated clips are near 0.5. ValueError where the two are not hashes of the same kind.
    """
    a, b = (clip.phash if isinstance(clip, Facts) else clip for clip in (one, other))
    if len(a) != len(b) or len(a) != NUM_FRAMES * HEX_PER_FRAME:
        expected = NUM_FRAMES * HEX_PER_FRAME
        raise ValueError(f"got hashes of {len(a)} and {len(b)} hex digits, expected {expected}")
    return (int(a, 16) ^ int(b, 16)).bit_count() / (4 * len(a))


@cache
def _cosines() -> np.ndarray:
    """The first eight rows of the unnormalised DCT-II of 32 samples, as SciPy defines it."""
    import numpy as np

    frequency, sample = np.arange(LOW)[:, None], np.arange(SIDE)[None, :]
    return 2 * np.cos(np.pi * frequency * (2 * sample + 1) / (2 * SIDE))
