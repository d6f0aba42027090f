"""How alike two clips are, from what the manifest keeps of each (pure).

For `reproduce`, `seedcheck` and everyone who asks whether two clips are one: no file is opened.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from reelsweep.tasks.artifacts import phash

Likeness = Literal["bit-identical", "frame-identical", "near", "different"]
"""The same file; the same pictures in another file; alike to the eye; another clip."""

NEAR = 0.2
"""Clips up to here apart look alike. Measured on the sandbox (README of this folder): re-encoded to what one
would still use, a clip is at most 0.11 from itself; two different clips are 0.46 apart in the median."""

LEAST = 1 / (8 * phash.NUM_FRAMES * phash.HEX_PER_FRAME)
"""Half a bit of the hashes: how far clips are apart whose hashes agree and whose frames do not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What the manifest keeps of one clip, by its columns."""

    sha256: str
    frames_sha256: str
    phash: str


def distance(one: Look, other: Look) -> float:
    """How far two clips are apart: 0 (the same frames) to 1. A metric.

    With equal `frames_sha256` 0, else the share of bits in which the `phash`es differ, and `LEAST` where
    they agree. ValueError for hashes of different kinds.
    """
    if one.frames_sha256 == other.frames_sha256:
        return 0.0
    return max(LEAST, phash.distance(one.phash, other.phash))


def likeness(one: Look, other: Look) -> Likeness:
    """How alike two clips are, in the words of `reproduction.parquet`."""
    if one.sha256 == other.sha256:
        return "bit-identical"
    apart = distance(one, other)
    if not apart:
        return "frame-identical"
    return "near" if apart <= NEAR else "different"
