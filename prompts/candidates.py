"""The candidates of a row: what it asks for, then fresh ones, always the same (pure).

Used by `expand`. With `--accept N` a row and a combination of axes may be made more often than the table
says, until enough of them pass the content checks. Where the row has seeds, a fresh candidate takes the
next derived seed (`seeds.derive_seed` of the prompt's id, from index 0, those in use left out), else the
next `sample_idx`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import count, islice

from reelsweep.prompts.seeds import derive_seed

Candidate = tuple[int | None, int]
"""Seed and sample_idx."""


def candidates(
    prompt_id: str, seeds: Sequence[int], samples: int | None, num_candidates: int = 0
) -> Iterator[Candidate]:
    """Every (seed, sample_idx) of a row in order: the asked ones, then fresh ones up to `num_candidates`."""
    if not seeds:
        yield from ((None, sample_idx) for sample_idx in range(max(samples or 1, num_candidates)))
        return
    yield from ((seed, sample_idx) for seed in seeds for sample_idx in range(samples or 1))
    num_fresh = num_candidates - len(seeds) * (samples or 1)
    if num_fresh > 0:
        yield from ((seed, 0) for seed in islice(_fresh_seeds(prompt_id, seeds), num_fresh))


def _fresh_seeds(prompt_id: str, seeds: Sequence[int]) -> Iterator[int]:
    taken = set(seeds)
    for index in count():
        seed = derive_seed(prompt_id, index)
        if seed not in taken:
            taken.add(seed)
            yield seed
