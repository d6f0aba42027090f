"""Files that are always whole: written beside, fsynced, renamed over what was there.

Below every writer of this folder. The caller holds OUT's lock, so the name beside is its own;
what a killed run left under it is overwritten.
"""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from reelsweep.prompts.errors import TroubleError


def beside(path: Path) -> Path:
    """The hidden neighbour that becomes `path` when it is whole."""
    return path.with_name(f".{path.name}.part")


def replace_durably(path: Path) -> None:
    """Make the neighbour, already fsynced, the file; the folder's fsync is `sync_folder`'s."""
    beside(path).replace(path)


def write_durably(path: Path, content: bytes) -> None:
    """Replace `path` by `content` at once and for good. Raises TroubleError; the old file stays."""
    with in_trouble(path.parent):
        write_beside(path, content)
        replace_durably(path)
        sync_folder(path.parent)


def write_beside(path: Path, content: bytes) -> None:
    """Write and fsync the neighbour of `path`."""
    with beside(path).open("wb") as file:
        file.write(content)
        file.flush()
        sync(file.fileno())


def sync(descriptor: int) -> None:
    """Bring one open file to the disk."""
    os.fsync(descriptor)


def sync_folder(folder: Path) -> None:
    """Bring the renames in `folder` to the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def in_trouble(folder: Path) -> Generator[None]:
    """Turn what the file system says into a TroubleError with a remedy."""
    try:
        yield
    except OSError as error:
        raise TroubleError(
            f"cannot write in {folder}: {error.strerror or error}; the files there are as they were.",
            "Free space or permission there, then run the same command again.",
        ) from error
