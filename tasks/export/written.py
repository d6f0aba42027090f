"""Files of an export as they are written: hashed on the way, so that a record can speak for them."""

from __future__ import annotations

import hashlib
from typing import BinaryIO, cast

from reelsweep.tasks.export.place import Place, Write
from reelsweep.tasks.export.record import Kept


class Hashed:
    """A file that is written once, from its start to its end, hashed on the way."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._digest = hashlib.sha256()
        self.size_bytes = 0

    def write(self, block: bytes) -> int:
        """The next bytes."""
        self._digest.update(block)
        self.size_bytes += len(block)
        return self._file.write(block)

    def tell(self) -> int:
        """Where the next bytes go."""
        return self.size_bytes

    def kept(self, name: str) -> Kept:
        """What was written, by the name it got."""
        return Kept(name=name, size_bytes=self.size_bytes, sha256=self._digest.hexdigest())


def put_hashed(place: Place, name: str, write: Write) -> Kept:
    """Put a file whose hash nobody knows before."""
    seen: list[Hashed] = []

    def write_hashed(target: BinaryIO) -> None:
        seen[:] = [Hashed(target)]
        write(cast(BinaryIO, seen[0]))

    place.put(name, write_hashed)
    return seen[0].kept(name)


def put_bytes(place: Place, name: str, content: bytes) -> Kept:
    """Put a small file."""
    return put_hashed(place, name, lambda target: _write_all(target, content))


def _write_all(target: BinaryIO, content: bytes) -> None:
    target.write(content)
