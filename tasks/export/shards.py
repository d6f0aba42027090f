"""Samples in their order, cut into shards by size. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from reelsweep.tasks.export.recipe import Share

MAX_SAMPLES = 5_000
"""In one shard: hubs and file systems are slow with more than 10,000 files in a folder."""
KEY_DIGITS = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One clip on its way into a dataset."""

    key: str
    """Names the sample in the export; the same in every export of the same result."""
    split: str
    source: str
    """The clip's name below OUT."""
    sha256: str
    size_bytes: int
    row: int
    """Its row of the manifest."""

    @property
    def suffix(self) -> str:
        """The clip's suffix, with the dot."""
        return "." + self.source.rpartition(".")[2]

    @property
    def name(self) -> str:
        """The clip's name in a shard."""
        return self.key + self.suffix


@dataclass(frozen=True, slots=True, kw_only=True)
class Shard:
    """Samples that are written together."""

    split: str
    index: int
    samples: tuple[Sample, ...]

    @property
    def name(self) -> str:
        """`train-000000`."""
        return f"{self.split}-{self.index:06d}"

    @property
    def size_bytes(self) -> int:
        """The clips' bytes."""
        return sum(sample.size_bytes for sample in self.samples)


def sample_key(gateway: str, fingerprint: str, choice_idx: int) -> str:
    """What a result is called for ever: half of a sha256 over what was asked, where, and which choice."""
    text = f"reelsweep sample 1\n{gateway}\n{fingerprint}\n{choice_idx}"
    return hashlib.sha256(text.encode()).hexdigest()[:KEY_DIGITS]


def cut(samples: Iterable[Sample], splits: Sequence[Share], shard_bytes: int) -> list[Shard]:
    """Every split's samples by key, which is as good as shuffled, cut before a shard grows too large.

    A clip that is larger than a shard gets one of its own.
    """
    by_split: dict[str, list[Sample]] = {share.name: [] for share in splits}
    for sample in samples:
        by_split[sample.split].append(sample)
    return [
        Shard(split=split, index=index, samples=tuple(part))
        for split, members in by_split.items()
        for index, part in enumerate(_parts(sorted(members, key=lambda each: each.key), shard_bytes))
    ]


def _parts(samples: Iterable[Sample], shard_bytes: int) -> Iterator[list[Sample]]:
    part: list[Sample] = []
    size = 0
    for sample in samples:
        if part and (size + sample.size_bytes > shard_bytes or len(part) == MAX_SAMPLES):
            yield part
            part, size = [], 0
        part.append(sample)
        size += sample.size_bytes
    if part:
        yield part
