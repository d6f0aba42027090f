"""Files that are whole or absent: write beside, fsync, rename; and disk errors a user can act on."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

from reelsweep.prompts.errors import TroubleError

REMEDIES = {
    errno.ENOSPC: "Free some space, then run the same command again.",
    errno.EDQUOT: "Free some of the quota, then run the same command again.",
    errno.EFBIG: "Raise the limit on the size of files (`ulimit -f`), then run the same command again.",
    errno.EROFS: "Make it writable or choose another --out, then run the same command again.",
    errno.EACCES: "Make it writable or choose another --out, then run the same command again.",
    errno.EPERM: "Make it writable or choose another --out, then run the same command again.",
}


@contextmanager
def trouble(what: str, path: Path) -> Generator[None]:
    """An OSError inside becomes a TroubleError: `cannot <what> <path>: <why>`, with the remedy."""
    try:
        yield
    except OSError as error:
        why = error.strerror or type(error).__name__
        remedy = REMEDIES.get(error.errno or 0, "Mend the disk, then run the same command again.")
        raise TroubleError(f"cannot {what} {path}: {why}.", remedy) from error


def write_whole(path: Path, content: bytes, *, durable: bool = True) -> None:
    """`path` holds `content` afterwards, or what it held before. Raises TroubleError."""
    beside = path.with_name(f".{path.name}.{os.getpid()}.new")
    with trouble("write", path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with beside.open("wb") as file:
                file.write(content)
                file.flush()
                if durable:
                    os.fsync(file.fileno())
            beside.replace(path)
        except BaseException:
            with suppress(OSError):
                beside.unlink()
            raise
        if durable:
            fsync_folder(path.parent)


def fsync_folder(folder: Path) -> None:
    """The folder's entries are on disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folder(folder: Path) -> None:
    """Make `folder`, durably; its parent may be new too."""
    if folder.is_dir():
        return
    folder.mkdir(parents=True, exist_ok=True)
    fsync_folder(folder.parent)


def sha256_of(path: Path) -> str:
    """The sha256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
