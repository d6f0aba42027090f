"""Clips that look like an earlier one: exact for every threshold, and far from quadratic (pure).

After `phash`, before the content checks. Greedy in the order given: a clip is kept, or repeats the earliest
kept clip within the threshold. Two hashes that differ in at most T bits agree in one of T + 1 bands of bits
(pigeonhole), so only clips that share a band are compared; where bands are too narrow to tell clips apart,
blocks of hashes are compared instead, with the same result.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from reelsweep.tasks.artifacts.phash import HEX_PER_FRAME, NUM_FRAMES

if TYPE_CHECKING:
    from numpy.typing import NDArray

CHUNK = 1_024
"""Clips that are compared with each other at once."""
BLOCK = 2_048
"""Kept clips that a chunk is compared with at once, where bands do not help."""
BITS = NUM_FRAMES * HEX_PER_FRAME * 4
KEY_BITS = 32
FEW = 16
"""Bands help while they name at most one kept clip in so many."""


def near_duplicates(phashes: Sequence[str | None], threshold: float) -> list[int | None]:
    """For each clip the index of the earlier kept one it repeats; None where it is kept, or has no hash.

    `threshold` is a `distance`: 0 finds only what looks the same in every frame. ValueError for hashes of
    another kind.
    """
    return Originals(threshold).add(phashes)


class Originals:
    """The clips kept so far, in order; memory is about 270 bytes for each at a threshold of 0.05."""

    def __init__(self, threshold: float) -> None:
        self._max_bits = int(threshold * BITS + 1e-9)
        num_bands = min(max(self._max_bits + 1, NUM_FRAMES), BITS)
        edges = [band * BITS // num_bands for band in range(num_bands + 1)]
        self._bands = [_Band(first, last) for first, last in pairwise(edges)]
        self._words = np.empty((0, NUM_FRAMES), np.uint64)
        self._places: list[int] = []
        self._seen = 0

    def add(self, phashes: Sequence[str | None]) -> list[int | None]:
        """As `near_duplicates`, of the clips that come next; indices count all that were ever added."""
        found: list[int | None] = [None] * len(phashes)
        hashed = [at for at, phash in enumerate(phashes) if phash is not None]
        for start in range(0, len(hashed), CHUNK):
            places = hashed[start : start + CHUNK]
            words = _words([phashes[at] or "" for at in places])
            for at, repeated in zip(places, self._take(words, places), strict=True):
                found[at] = repeated
        self._seen += len(phashes)
        return found

    def _take(self, words: NDArray[np.uint64], places: Sequence[int]) -> list[int | None]:
        """One chunk: what repeats a kept clip, then what repeats another of the chunk; the rest is kept."""
        earlier = self._earliest_kept(words)
        new = np.flatnonzero(earlier == len(self._words))
        within = _earliest_within(words[new], self._max_bits)
        answers: list[int | None] = [None] * len(words)
        for at, kept in enumerate(earlier.tolist()):
            answers[at] = self._places[kept] if kept < len(self._words) else None
        for at, kept in zip(new.tolist(), within.tolist(), strict=True):
            answers[at] = None if kept < 0 else self._seen + places[int(new[kept])]
        kept = new[within < 0]
        for band in self._bands:
            band.keep(words[kept], len(self._words))
        self._words = np.concatenate([self._words, words[kept]])
        self._places += [self._seen + places[at] for at in kept.tolist()]
        return answers

    def _earliest_kept(self, words: NDArray[np.uint64]) -> NDArray[np.int64]:
        """For each hash the first kept clip within the threshold, or how many are kept."""
        found = np.full(len(words), len(self._words))
        for new, kept in self._candidates(words):
            near = _num_bits(words[new], self._words[kept]) <= self._max_bits
            np.minimum.at(found, new[near], kept[near])
        return found

    def _candidates(self, words: NDArray[np.uint64]) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
        spans = [band.find(words) for band in self._bands]
        if sum(int((last - first).sum()) for first, last in spans) * FEW > len(words) * len(self._words):
            yield from self._blocks(words)
            return
        for band, (first, last) in zip(self._bands, spans, strict=True):
            yield band.pairs(first, last)

    def _blocks(self, words: NDArray[np.uint64]) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
        """Every pair whose first frames do not differ too much already, a block of kept clips at a time."""
        for start in range(0, len(self._words), BLOCK):
            block = self._words[start : start + BLOCK]
            near = np.zeros((len(words), len(block)), np.uint8)
            for frame in (0, NUM_FRAMES // 2, NUM_FRAMES - 1):
                near += np.bitwise_count(words[:, frame, None] ^ block[None, :, frame])
            new, kept = np.nonzero(near <= self._max_bits)
            yield new, kept + start


class _Band:
    """Some bits of all kept hashes, sorted: who agrees in them is found by bisection."""

    def __init__(self, first: int, last: int) -> None:
        self._bits = slice(first, last)
        self._keys = np.empty(0, np.uint32)
        self._kept = np.empty(0, np.int32)

    def find(self, words: NDArray[np.uint64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """For each hash the span of those that agree with it."""
        keys = self._of(words)
        return np.searchsorted(self._keys, keys, "left"), np.searchsorted(self._keys, keys, "right")

    def pairs(
        self, first: NDArray[np.int64], last: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The spans as pairs of a new hash and a kept one."""
        sizes = last - first
        new = np.repeat(np.arange(len(sizes)), sizes)
        within = np.arange(len(new)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        return new, self._kept[first[new] + within].astype(np.int64)

    def keep(self, words: NDArray[np.uint64], num_kept: int) -> None:
        """Add hashes, whose numbers begin at `num_kept`."""
        keys = self._of(words)
        order = np.argsort(keys, kind="stable")
        at = np.searchsorted(self._keys, keys[order], "right")
        self._keys = np.insert(self._keys, at, keys[order])
        self._kept = np.insert(self._kept, at, (order + num_kept).astype(np.int32))

    def _of(self, words: NDArray[np.uint64]) -> NDArray[np.uint32]:
        """The band's bits of each hash as one number; of a wide band the first 32 are enough."""
        bits = np.unpackbits(words.view(np.uint8), axis=1)[:, self._bits][:, :KEY_BITS]
        padded = np.zeros((len(words), KEY_BITS), np.uint8)
        padded[:, : bits.shape[1]] = bits
        return np.packbits(padded, axis=1).view(np.uint32)[:, 0]


def _words(phashes: Sequence[str]) -> NDArray[np.uint64]:
    """One 64-bit word for each frame, as the hash writes it."""
    for phash in phashes:
        if len(phash) * 4 != BITS:
            raise ValueError(f"got a hash of {len(phash)} hex digits, expected {BITS // 4}")
    packed = np.frombuffer(bytes.fromhex("".join(phashes)), np.uint8)
    return packed.reshape(len(phashes), BITS // 8).view(np.uint64)


def _num_bits(one: NDArray[np.uint64], other: NDArray[np.uint64]) -> NDArray[np.int64]:
    return np.bitwise_count(one ^ other).sum(axis=1, dtype=np.int64)


def _earliest_within(words: NDArray[np.uint64], max_bits: int) -> NDArray[np.int64]:
    """For each hash the first kept one before it within the threshold, -1 where it is kept itself."""
    differing = np.zeros((len(words), len(words)), np.uint16)
    for frame in range(NUM_FRAMES):
        differing += np.bitwise_count(words[:, frame, None] ^ words[None, :, frame])
    near = np.triu(differing <= max_bits, 1)
    found = np.full(len(words), -1)
    for at in np.flatnonzero(near.any(axis=1)):
        if found[at] < 0:
            found[near[at] & (found < 0)] = at
    return found
