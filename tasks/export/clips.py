"""Clips on their way from an OUT into an export: the original bytes, or an error and nothing.

Below both formats. Whatever is copied is hashed on the way and held against the manifest.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterable
from typing import BinaryIO

from reelsweep.prompts.errors import OutError, TroubleError
from reelsweep.tasks.export.place import Place, in_reading
from reelsweep.tasks.export.shards import Sample
from reelsweep.tasks.export.threads import in_threads

SHOWN = 5
_BLOCK_BYTES = 2**20
Tick = Callable[[int], None]
"""Is told of samples that are done."""


class Hashing(io.RawIOBase):
    """A file that is read once, hashed on the way."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._digest = hashlib.sha256()

    def readable(self) -> bool:
        """It is."""
        return True

    def read(self, size: int = -1) -> bytes:
        """The next bytes."""
        block = self._file.read(size)
        self._digest.update(block)
        return block

    @property
    def sha256(self) -> str:
        """The hash of what was read so far."""
        return self._digest.hexdigest()


def hash_file(place: Place, name: str) -> tuple[int, str]:
    """Size and sha256 of a file's bytes. Raises TroubleError."""
    size, digest = 0, hashlib.sha256()
    with in_reading(f"{place}, {name}"), place.open(name) as file:
        while block := file.read(_BLOCK_BYTES):
            size += len(block)
            digest.update(block)
    return size, digest.hexdigest()


def copy_clip(place: Place, sample: Sample, target: BinaryIO) -> None:
    """The clip's bytes into `target`. Raises TroubleError when they are not those of the manifest."""
    with in_reading(f"{place}, {sample.source}"), place.open(sample.source) as file:
        source = Hashing(file)
        while block := source.read(_BLOCK_BYTES):
            target.write(block)
    check_hash(place, sample, source.sha256)


def check_hash(place: Place, sample: Sample, sha256: str) -> None:
    """Raises TroubleError when the bytes are not those of the manifest."""
    if sha256 != sample.sha256:
        raise TroubleError(
            f"{place}: {sample.source} has changed since it was checked.", "See: reelsweep verify OUT."
        )


def check_clips(place: Place, samples: Iterable[Sample], tick: Tick) -> None:
    """Every clip is there with size and bytes as in the manifest. Raises OutError that names the others."""

    def trouble(sample: Sample) -> str | None:
        size = place.size(sample.source)
        if size is None:
            return f"{sample.source} is missing"
        is_whole = size == sample.size_bytes and hash_file(place, sample.source) == (size, sample.sha256)
        tick(1)
        return None if is_whole else f"{sample.source} has changed"

    found = [wrong for wrong in in_threads(trouble, samples) if wrong]
    if found:
        more = f", and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
        raise OutError(
            f"{place}: {', '.join(found[:SHOWN])}{more}; nothing was written.",
            f"List all: reelsweep verify {place}. Restore them, or leave them out with --filter.",
        )
