"""A folder behind an fsspec URL, such as `s3://bucket/path`, to read from or to write to."""

from __future__ import annotations

import tempfile
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, cast

import fsspec
from reelsweep.prompts.errors import ReelsweepError, TroubleError
from reelsweep.prompts.remote import refusal, shown_url
from reelsweep.tasks.export.place import Entry, Write
from reelsweep.tasks.manifest.beside import in_trouble


class RemotePlace:
    """A `Place` of objects; each is put whole, and confirmed."""

    def __init__(self, url: str) -> None:
        self._url = url
        with self._in_trouble("open"):
            files, root = cast("tuple[Any, str]", fsspec.url_to_fs(url, use_listings_cache=False))
        self._files, self._root = files, root.rstrip("/")

    def __str__(self) -> str:
        return shown_url(self._url)

    def entries(self) -> Iterator[Entry]:
        """Every object below, in order of their names."""
        with self._in_trouble("list"):
            found: dict[str, dict[str, Any]] = self._files.find(self._root, detail=True)
        for path in sorted(found):
            name = path.removeprefix(self._root).lstrip("/")
            if name and not name.endswith("/"):
                yield Entry(name, "file", int(found[path].get("size") or 0))

    def size(self, name: str) -> int | None:
        """The size of an object; None where there is none."""
        with self._in_trouble("look at"):
            try:
                info: dict[str, Any] = self._files.info(self._path(name))
            except FileNotFoundError:
                return None
        return int(info["size"]) if info.get("type") == "file" else None

    def open(self, name: str) -> BinaryIO:
        """An object, to be read from its start."""
        with self._in_trouble("read"):
            return cast(BinaryIO, self._files.open(self._path(name), "rb"))

    def put(self, name: str, write: Write) -> None:
        """Make it in a file of this machine, then put it: fsspec completes a stream even when it fails."""
        with tempfile.TemporaryDirectory(prefix="reelsweep-") as folder:
            path = Path(folder) / "object"
            with in_trouble(path.parent), path.open("wb") as file:
                write(cast(BinaryIO, file))
            with self._in_trouble("write"):
                self._files.put_file(str(path), self._path(name))
            if self.size(name) != path.stat().st_size:
                raise TroubleError(f"{self}: {name} did not arrive whole.", "Run the same command again.")

    def remove(self, name: str) -> None:
        """Take an object away."""
        with self._in_trouble("remove from"), suppress(FileNotFoundError):
            self._files.rm_file(self._path(name))

    @contextmanager
    def claimed(self) -> Generator[None]:
        """Nothing: a bucket has no locks, and two exports of the same thing write the same bytes."""
        yield

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
            refused = refusal(error, self._url)
            raise TroubleError(f"cannot {what} {self}: {refused.why}.", refused.remedy) from None
