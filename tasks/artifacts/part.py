"""A download on its way: the bytes so far, their hash, and what is needed to go on from there.

Beside the part lies `<part>.json`: the hash of the URL (never the URL), the strong validator the server
gave, the announced size, and whether the part is whole. Every method but `add` blocks on the disk.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

from reelsweep.tasks.artifacts.disk import trouble, write_whole
from reelsweep.tasks.artifacts.signature import HEAD_BYTES
from reelsweep.tasks.artifacts.store import SIDECAR

READ_BYTES = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """What the server said about the bytes of a part."""

    url_sha256: str = ""
    etag: str | None = None
    """A strong validator, else None."""
    size_bytes: int | None = None
    """As announced; of a whole part, as it is."""
    content_type: str | None = None
    whole: bool = False


class PartFile:
    """The part at `path`, of `url`; made or continued, one writer at a time.

    `size_bytes` and the hash cover what was added, whether it has reached the disk or not.
    """

    def __init__(self, path: Path, url: str) -> None:
        self.path = path
        self.size_bytes = 0
        self.kept_bytes = 0
        """Bytes of an earlier download that this one builds on."""
        self._url_sha256 = hashlib.sha256(url.encode()).hexdigest()
        self.source = Source(url_sha256=self._url_sha256)
        self._hash = hashlib.sha256()
        self._file: BinaryIO | None = None
        self._waiting: list[bytes] = []
        self.waiting_bytes = 0
        self._noted: Source | None = None
        self._lock = threading.Lock()

    @property
    def has_past(self) -> bool:
        """Whether `load` may find something: one look at the folder, no reading."""
        return self.path.exists()

    def load(self) -> None:
        """Take over what an earlier download of the same URL has left, if it can be continued."""
        with trouble("read", self.path):
            source = _read_source(self._sidecar)
            if source is None or source.url_sha256 != self._url_sha256 or not self.path.exists():
                return
            if not _continues(source, self.path.stat().st_size):
                return
            with self.path.open("rb") as file:
                while block := file.read(READ_BYTES):
                    self._hash.update(block)
                    self.size_bytes += len(block)
            self.source = self._noted = source
            self.kept_bytes = self.size_bytes

    @property
    def is_complete(self) -> bool:
        """Whether all announced bytes are here, so that `finish` is all there is to do."""
        return self.size_bytes > 0 and self.size_bytes == self.source.size_bytes

    def restart(self, source: Source = Source()) -> None:
        """Begin again from the first byte, of what `source` says; what was here is gone."""
        with self._lock:
            self._close()
            if self._noted is not None or self.size_bytes:
                with trouble("remove", self.path):
                    self._sidecar.unlink(missing_ok=True)
                    self.path.unlink(missing_ok=True)
            self.source = replace(source, url_sha256=self._url_sha256)
            self._noted = None
            self._hash = hashlib.sha256()
            self._waiting.clear()
            self.size_bytes = self.waiting_bytes = self.kept_bytes = 0

    @property
    def is_fresh(self) -> bool:
        """Whether nothing of it is on disk or in memory, so that `restart` has nothing to remove."""
        return self._noted is None and self._file is None and not self.size_bytes

    def add(self, chunk: bytes) -> None:
        """Take `chunk` into memory; `flush` puts it on the disk."""
        self._waiting.append(chunk)
        self.waiting_bytes += len(chunk)
        self.size_bytes += len(chunk)

    def flush(self) -> None:
        """Everything added is in the file, and the sidecar tells how to go on."""
        with self._lock:
            self._flush(note=True)

    def finish(self) -> bytes:
        """The part is whole and on disk to stay; returns its first bytes.

        A failed fsync forgets the part, since a second one may lie.
        """
        with self._lock:
            self._flush(note=False)
            with trouble("write", self.path):
                file = self._opened()
                try:
                    file.flush()
                    os.fsync(file.fileno())
                except OSError:
                    with suppress(OSError):
                        self.path.unlink()
                    raise
            self._note(replace(self.source, size_bytes=self.size_bytes, whole=True))
            self._close()
            with trouble("read", self.path), self.path.open("rb") as file:
                return file.read(HEAD_BYTES)

    def abandon(self) -> None:
        """Close the file, keeping what was added; never raises."""
        with self._lock:
            with suppress(Exception):
                self._flush(note=True)
            with suppress(OSError):
                self._close()

    @property
    def sha256(self) -> str:
        """Of all bytes added; call it after `finish`."""
        return self._hash.hexdigest()

    @property
    def _sidecar(self) -> Path:
        return self.path.with_name(self.path.name + SIDECAR)

    def _flush(self, *, note: bool) -> None:
        if self._waiting and note and self._noted != self.source:
            self._note(self.source)
        chunks, self._waiting, self.waiting_bytes = self._waiting, [], 0
        with trouble("write", self.path):
            for chunk in chunks:
                self._hash.update(chunk)
                self._opened().write(chunk)
            if chunks:
                self._opened().flush()

    def _opened(self) -> BinaryIO:
        if self._file is None:
            self._file = self.path.open("ab" if self._noted is not None else "wb")
        return self._file

    def _note(self, source: Source) -> None:
        self._opened()
        content = json.dumps(asdict(source), sort_keys=True).encode()
        write_whole(self._sidecar, content, durable=False)
        self.source = self._noted = source

    def _close(self) -> None:
        if self._file is not None:
            file, self._file = self._file, None
            file.close()


def _continues(source: Source, size_bytes: int) -> bool:
    """Whether a part of this size can be completed by what `source` knows."""
    if source.size_bytes == size_bytes:
        return True
    fits = source.size_bytes is None or size_bytes < source.size_bytes
    return fits and source.etag is not None and not source.whole


def _read_source(path: Path) -> Source | None:
    try:
        fields: dict[str, Any] = json.loads(path.read_bytes())
        return Source(**fields)
    except (OSError, ValueError, TypeError):
        return None
