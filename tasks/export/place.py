"""A folder to read from or to write to, and one of this machine.

Below everything that exports and verifies; `remote.py` has one behind a URL. A file under its final name is
whole, on both: here it is written beside, fsynced and renamed; there it is put as one object.
"""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal, Protocol, cast

from reelsweep.prompts.errors import OutError, TroubleError
from reelsweep.tasks.manifest.beside import beside, in_trouble, replace_durably, sync, sync_folder

Write = Callable[[BinaryIO], None]


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing below a place; `name` is relative, with slashes."""

    name: str
    kind: Literal["file", "link", "other"]
    size_bytes: int


class Place(Protocol):
    """A folder. Methods block; `open`, `put` and `size` may be called from several threads."""

    def entries(self) -> Iterator[Entry]:
        """Everything below that is no folder; links are named, never followed."""
        ...

    def size(self, name: str) -> int | None:
        """The size of a file; None where there is none (a link is none)."""
        ...

    def open(self, name: str) -> BinaryIO:
        """A file, to be read. Raises TroubleError."""
        ...

    def put(self, name: str, write: Write) -> None:
        """Make `name` hold what `write` writes, whole or not at all. Raises TroubleError."""
        ...

    def remove(self, name: str) -> None:
        """Take a file away."""
        ...

    @contextmanager
    def claimed(self) -> Generator[None]:
        """Be the only one on this machine who writes here, for the block. Raises OutError."""
        ...


class LocalPlace:
    """A folder of this machine."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def __str__(self) -> str:
        return str(self.root)

    def entries(self) -> Iterator[Entry]:
        """See `Place`."""
        with in_reading(str(self.root)):
            yield from self._entries("")

    def _entries(self, below: str) -> Iterator[Entry]:
        with os.scandir(self.root / below) as found:
            for each in sorted(found, key=lambda entry: entry.name):
                name = below + each.name
                if each.is_dir(follow_symlinks=False):
                    yield from self._entries(f"{name}/")
                elif each.is_symlink():
                    yield Entry(name, "link", 0)
                else:
                    is_file = each.is_file(follow_symlinks=False)
                    yield Entry(
                        name, "file" if is_file else "other", each.stat(follow_symlinks=False).st_size
                    )

    def size(self, name: str) -> int | None:
        """See `Place`."""
        try:
            found = (self.root / name).lstat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        return found.st_size if stat.S_ISREG(found.st_mode) else None

    def open(self, name: str) -> BinaryIO:
        """See `Place`; a link and a pipe are refused."""
        path = self.root / name
        with in_reading(str(path)):
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                os.close(descriptor)
                raise TroubleError(f"{path} is no ordinary file.", "Put the file itself there.")
            return os.fdopen(descriptor, "rb")

    def put(self, name: str, write: Write) -> None:
        """See `Place`."""
        path = self.root / name
        with in_trouble(path.parent):
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                with beside(path).open("wb") as file:
                    write(cast(BinaryIO, file))
                    file.flush()
                    sync(file.fileno())
                replace_durably(path)
            except BaseException:
                with suppress(OSError):
                    beside(path).unlink()
                raise
            sync_folder(path.parent)

    def remove(self, name: str) -> None:
        """See `Place`."""
        with in_trouble(self.root):
            (self.root / name).unlink(missing_ok=True)

    @contextmanager
    def claimed(self) -> Generator[None]:
        """See `Place`. The lock is the folder's own, so that no file of it is left in what is handed over."""
        is_new = not self.root.exists()
        if not is_new and not self.root.is_dir():
            raise OutError(f"{self} is a file.", "Name a folder that is empty or not there yet.")
        with in_trouble(self.root):
            self.root.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise OutError(f"Another export is writing to {self.root}.", "Wait for it to end.") from None
        try:
            yield
        finally:
            os.close(descriptor)
            if is_new:
                with suppress(OSError):  # it stays where anything was written
                    self.root.rmdir()


@contextmanager
def in_reading(what: str) -> Generator[None]:
    """An OSError while reading becomes a TroubleError."""
    try:
        yield
    except OSError as error:
        raise TroubleError(f"cannot read {what}: {error.strerror or error}.") from error
