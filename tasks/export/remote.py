"""A folder behind a URL, such as `s3://bucket/path`, to read from or to write to."""

from __future__ import annotations

import tempfile
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from reelsweep.prompts.errors import SettingsError
from reelsweep.prompts.remote import shown_url
from reelsweep.tasks.export.place import Entry, Write
from reelsweep.tasks.manifest.beside import in_trouble
from reelsweep.tasks.storage.objects import Objects


class RemotePlace:
    """A `Place` of objects; each is put whole, and confirmed."""

    def __init__(self, url: str) -> None:
        if shown_url(url) != url or "::" in url:
            raise SettingsError(
                f"{shown_url(url)} holds more than a scheme, a bucket and a path.",
                "Give credentials by the environment, never in an address.",
            )
        self._objects = Objects(url)

    def __str__(self) -> str:
        return str(self._objects)

    def entries(self) -> Iterator[Entry]:
        """Every object below; there are no links among them."""
        return (Entry(name, "file", size_bytes) for name, size_bytes in self._objects.walk().items())

    def size(self, name: str) -> int | None:
        """The size of an object; None where there is none."""
        tag = self._objects.tag(name)
        return tag and tag[0]

    def open(self, name: str) -> BinaryIO:
        """An object, to be read from its start."""
        return self._objects.open(name)

    def put(self, name: str, write: Write) -> None:
        """Make it in a file of this machine, then put it: fsspec completes a stream even when it fails."""
        with tempfile.TemporaryDirectory(prefix="reelsweep-") as folder:
            path = Path(folder) / "object"
            with in_trouble(path.parent), path.open("wb") as file:
                write(cast(BinaryIO, file))
            self._objects.put(path, name)

    def remove(self, name: str) -> None:
        """Take an object away."""
        self._objects.remove(name)

    @contextmanager
    def claimed(self) -> Generator[None]:
        """Nothing: a bucket has no locks, and two exports of the same thing write the same bytes."""
        yield
