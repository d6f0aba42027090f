"""An OUT, wherever it is: the one seam between a folder of this machine and a bucket.

Files are made on the *desk*, a folder of this machine. Where OUT is a folder it is its own desk, and what is
whole there is in OUT; a bucket's desk is a staging folder, and what is whole there is handed over.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol, TypeVar

from reelsweep.tasks.artifacts.disk import fsync_folder, make_folder, sha256_of, trouble, write_whole
from reelsweep.tasks.ledger.place import is_on_network

T = TypeVar("T")


class Out(Protocol):
    """One OUT. Its text is what a person calls it; names of files are relative to it. Methods block."""

    @property
    def desk(self) -> Path:
        """The folder of this machine where files are made and read."""
        ...

    @property
    def is_shared(self) -> bool:
        """Whether other machines may write here, so that a lock of this machine's guards nothing."""
        ...

    def begin(self) -> None:
        """Make ready to be written to."""
        ...

    def read(self, name: str) -> bytes | None:
        """The bytes of a file; None where there is none."""
        ...

    def write(self, name: str, content: bytes) -> None:
        """Replace a file, whole and for good."""
        ...

    def create(self, name: str, content: bytes) -> bool:
        """Write a file unless there is one; whether this call wrote it."""
        ...

    def has(self, name: str) -> bool:
        """Whether there is a file of this name."""
        ...

    def has_clip(self, name: str) -> bool:
        """Whether the clip of a success is there, as cheaply as can be told."""
        ...

    def is_whole(self, name: str, sha256: str, size_bytes: int | None) -> bool:
        """Whether the clip of this name is there with these bytes, as far as that costs no download."""
        ...

    def find(self, folder: str, stem: str) -> str | None:
        """The name of the file in `folder` whose name without suffix is `stem`."""
        ...

    def fetch(self, name: str) -> Path:
        """A file of OUT as a file of this machine, at its place on the desk."""
        ...

    def keep(self, part: Path, name: str, sha256: str) -> None:
        """Make a finished part the file `name`, whole and to stay; the part is gone."""
        ...

    def hand_over(self, name: str) -> None:
        """What the desk has under `name` is in OUT; a clip then leaves the desk."""
        ...

    def bring(self, names: Sequence[str]) -> None:
        """The desk's files of these names are those of OUT, where another machine has replaced them."""
        ...

    def publish(self, last: Sequence[str]) -> None:
        """Everything on the desk but clips is in OUT; the files that speak of others `last`, in order."""
        ...

    def clear(self) -> None:
        """No clip is left on the desk that belongs elsewhere."""
        ...

    async def off_loop(self, blocking: Callable[[], T]) -> T:
        """What `blocking` returns, run where waiting disturbs nobody."""
        ...

    def report_to(self, on_note: Callable[[str], None]) -> None:
        """Tell a person, from any thread, what is waited for."""
        ...

    def give_up(self) -> None:
        """Repeat nothing that fails from now on: the run is cut off."""
        ...

    def close(self) -> None:
        """Let go of threads."""
        ...


class FolderOut:
    """A folder of this machine, or of a network file system: what is whole on the desk is in OUT."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __str__(self) -> str:
        return str(self._folder)

    @property
    def desk(self) -> Path:
        """The folder itself."""
        return self._folder

    @property
    def is_shared(self) -> bool:
        """Whether it lies on a network file system."""
        return is_on_network(self._folder)

    def begin(self) -> None:
        """Make the folder."""
        with trouble("make", self._folder):
            self._folder.mkdir(parents=True, exist_ok=True)

    def read(self, name: str) -> bytes | None:
        """The bytes of a file."""
        try:
            return (self._folder / name).read_bytes()
        except FileNotFoundError:
            return None

    def write(self, name: str, content: bytes) -> None:
        """Replace a file at once and for good."""
        write_whole(self._folder / name, content)

    def create(self, name: str, content: bytes) -> bool:
        """Write a file that is not there; the caller holds OUT's lock."""
        if self.has(name):
            return False
        self.write(name, content)
        return True

    def has(self, name: str) -> bool:
        """Whether there is a file."""
        return os.access(f"{self._folder}/{name}", os.F_OK)

    has_clip = has

    def is_whole(self, name: str, sha256: str, size_bytes: int | None) -> bool:  # noqa: ARG002 - hashed
        """Whether the file has this hash."""
        path = self._folder / name
        return path.is_file() and sha256_of(path) == sha256

    def find(self, folder: str, stem: str) -> str | None:
        """The first of the files with this stem."""
        names = sorted(path for path in (self._folder / folder).glob(f"{stem}.*") if path.is_file())
        return names[0].relative_to(self._folder).as_posix() if names else None

    def fetch(self, name: str) -> Path:
        """Where the file is."""
        return self._folder / name

    def keep(self, part: Path, name: str, sha256: str) -> None:
        """Rename, durably. A file that is already there is kept if its bytes are right.

        That also answers for a part that an earlier call has moved. Raises TroubleError.
        """
        target = self._folder / name
        with trouble("store", target):
            if _holds(target, sha256):
                part.unlink(missing_ok=True)
            else:
                _fsync_file(part)
                make_folder(target.parent)
                part.replace(target)
            fsync_folder(target.parent)

    def hand_over(self, name: str) -> None:
        """Nothing to do: it is there."""

    def bring(self, names: Sequence[str]) -> None:
        """Nothing to do: they are there."""

    def publish(self, last: Sequence[str]) -> None:
        """Nothing to do: all is there."""

    def clear(self) -> None:
        """Nothing to do: clips belong here."""

    async def off_loop(self, blocking: Callable[[], T]) -> T:
        """In one of the loop's own threads."""
        return await asyncio.to_thread(blocking)

    def report_to(self, on_note: Callable[[str], None]) -> None:
        """Nothing is waited for."""

    def give_up(self) -> None:
        """Nothing is repeated."""

    def close(self) -> None:
        """Nothing to let go of."""


def as_out(out: Path | Out) -> Out:
    """The OUT that a folder is."""
    return FolderOut(out) if isinstance(out, Path) else out


def _holds(path: Path, sha256: str) -> bool:
    try:
        return sha256_of(path) == sha256
    except FileNotFoundError:  # also when another row's upload takes it off a desk meanwhile
        return False


def _fsync_file(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
