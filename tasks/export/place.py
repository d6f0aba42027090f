"""A folder to read from or to write to: on this machine, or behind any fsspec URL.

Below everything that exports and verifies. A file under its final name is whole, on both: here it is written
beside, fsynced and renamed; elsewhere it is made in a temporary file first and put as one object.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal, Protocol, cast
from urllib.parse import urlsplit, urlunsplit

import fsspec
from reelsweep.prompts.errors import OutError, ReelsweepError, SettingsError, TroubleError
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


def open_place(where: str | Path) -> Place:
    """The folder at a path or an fsspec URL. Raises SettingsError for a URL nobody can open."""
    text = str(where)
    if "://" not in text:
        return LocalPlace(Path(text))
    if text.startswith("file://"):
        return LocalPlace(Path(urlsplit(text).path))
    return RemotePlace(text)


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


class RemotePlace:
    """A folder behind an fsspec URL, such as `s3://bucket/path`."""

    def __init__(self, url: str) -> None:
        self._shown = _without_secrets(url)
        scheme = url.partition("://")[0]
        try:
            found = cast("tuple[Any, str]", fsspec.url_to_fs(url))
        except ImportError as error:
            raise SettingsError(
                f"{self._shown}: no reader for {scheme}:// is installed.",
                "Install the package fsspec names for it; for s3:// that is `pip install 'reelsweep[s3]'`.",
            ) from error
        except ValueError as error:
            raise SettingsError(
                f"{self._shown}: {scheme}:// is not known.", "Give a path or an fsspec URL."
            ) from error
        self._fs, root = found
        self._root = root.rstrip("/")

    def __str__(self) -> str:
        return self._shown

    def entries(self) -> Iterator[Entry]:
        """See `Place`."""
        with self._in_trouble("list"):
            self._fs.invalidate_cache()
            found: dict[str, dict[str, Any]] = self._fs.find(self._root, detail=True)
        for path in sorted(found):
            name = path.removeprefix(self._root).lstrip("/")
            if name and not name.endswith("/"):
                yield Entry(name, "file", int(found[path].get("size") or 0))

    def size(self, name: str) -> int | None:
        """See `Place`."""
        with self._in_trouble("look at"):
            try:
                info: dict[str, Any] = self._fs.info(self._path(name))
            except FileNotFoundError:
                return None
        return int(info["size"]) if info.get("type") == "file" else None

    def open(self, name: str) -> BinaryIO:
        """See `Place`."""
        with self._in_trouble("read"):
            return cast(BinaryIO, self._fs.open(self._path(name), "rb"))

    def put(self, name: str, write: Write) -> None:
        """See `Place`. A stream of fsspec's would be completed when it fails; this puts a whole object."""
        with tempfile.TemporaryDirectory(prefix="reelsweep-") as folder:
            path = Path(folder) / "object"
            with in_trouble(path.parent), path.open("wb") as file:
                write(cast(BinaryIO, file))
            with self._in_trouble("write"):
                self._fs.put_file(str(path), self._path(name))
                self._fs.invalidate_cache()
                self._confirm(name, path.stat().st_size)

    def remove(self, name: str) -> None:
        """See `Place`."""
        with self._in_trouble("remove from"), suppress(FileNotFoundError):
            self._fs.rm_file(self._path(name))

    @contextmanager
    def claimed(self) -> Generator[None]:
        """See `Place`; object stores have no locks: two exports of the same thing write the same bytes."""
        yield

    def _confirm(self, name: str, size_bytes: int) -> None:
        if self.size(name) != size_bytes:
            raise TroubleError(f"{self._shown}: {name} did not arrive whole.", "Run the same command again.")

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}"

    @contextmanager
    def _in_trouble(self, what: str) -> Generator[None]:
        """Whatever a store's client raises, in one line without its text, which may hold addresses."""
        try:
            yield
        except ReelsweepError:
            raise
        except Exception as error:
            reason = f"{type(error).__name__}{_status(error)}"
            raise TroubleError(
                f"cannot {what} {self._shown}: {reason}.",
                "Check the address, the network and the credentials; the same command goes on where it was.",
            ) from error


@contextmanager
def in_reading(what: str) -> Generator[None]:
    """An OSError while reading becomes a TroubleError."""
    try:
        yield
    except OSError as error:
        raise TroubleError(f"cannot read {what}: {error.strerror or error}.") from error


def copy_bytes(source: BinaryIO, target: BinaryIO) -> None:
    """Every byte of one file into another."""
    shutil.copyfileobj(source, target, 2**20)


def _status(error: Exception) -> str:
    return f" ({error.strerror})" if isinstance(error, OSError) and error.strerror else ""


def _without_secrets(url: str) -> str:
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
