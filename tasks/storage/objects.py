"""The files below one URL (`s3://bucket/prefix`, and what else fsspec reaches): whole objects, confirmed.

Every method blocks: call it in a thread. What fails and may pass is tried again with growing pauses; what
does not pass is a TroubleError whose words hold no key.
"""

from __future__ import annotations

import base64
import importlib
import io
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, TypeVar, cast

from reelsweep.prompts.errors import TroubleError
from reelsweep.prompts.remote import Refusal, refusal

T = TypeVar("T")
Tag = tuple[int, str]
"""Size in bytes, and a text that changes with the content (an ETag, a time)."""
PAUSES_S = (0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0)
"""Between tries; the last one again and again."""
LOOK_PATIENCE_S = 15.0
"""How long a question is repeated: somebody waits for its answer."""
PUT_PATIENCE_S = 600.0
"""How long an upload is repeated: what is uploaded was paid for."""
AGAIN = "Run the same command again: nothing is bought twice, and what is kept here is stored then."
_OPTIONS: dict[str, dict[str, Any]] = {
    "s3": {
        "config_kwargs": {
            "max_pool_connections": 32,
            "connect_timeout": 10,
            "read_timeout": 60,
            "retries": {"total_max_attempts": 2},
        },
    }
}


class UnreachableError(TroubleError):
    """The place fails, not the object: what is asked for next would fail too."""


class _Reading(io.RawIOBase):
    """An object that is read; whatever its file system raises becomes a TroubleError."""

    def __init__(self, opened: Any, url: str, name: str) -> None:
        self._opened = opened
        self._url, self._name = url, name

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        try:
            return self._opened.read(size)
        except Exception as error:
            raise _trouble("read", self._url, self._name, refusal(error, self._url)) from None

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self._opened.seek(offset, whence)

    def tell(self) -> int:
        return self._opened.tell()

    def close(self) -> None:
        self._opened.close()
        super().close()


class Objects:
    """The objects below `url`. Credentials are the file system's own affair (environment, profile, role)."""

    def __init__(
        self,
        url: str,
        *,
        on_note: Callable[[str], None] = lambda _text: None,
        put_patience_s: float = PUT_PATIENCE_S,
    ) -> None:
        self.url = url.rstrip("/")
        self.on_note = on_note
        self._scheme, _, self._root = self.url.partition("://")
        self._put_patience_s = put_patience_s
        self._given_up = threading.Event()
        self._lock = threading.Lock()
        self._opened: Any = None

    def __str__(self) -> str:
        return self.url

    def read(self, name: str) -> bytes | None:
        """The bytes of an object; None where there is none."""
        return self._ask("read", name, lambda: self._files.cat_file(self._key(name)))

    def tag(self, name: str, patience_s: float = LOOK_PATIENCE_S) -> Tag | None:
        """What tells one state of an object from another; None without one."""
        return self._ask("look at", name, lambda: self._tag(name), patience_s)

    def sizes(self, folder: str) -> dict[str, int]:
        """The objects in a folder: names relative to the URL, sizes in bytes."""
        found = self._ask("list", folder, lambda: self._files.ls(self._key(folder), detail=True))
        files = (entry for entry in found or () if entry["type"] == "file")
        return {f"{folder}/{entry['name'].rpartition('/')[2]}": int(entry["size"]) for entry in files}

    def walk(self) -> dict[str, int]:
        """Every object below, in order of their names, and its size in bytes."""
        root = self._key("")
        listed: dict[str, dict[str, Any]] | None = self._ask(
            "list", "", lambda: self._files.find(root, detail=True)
        )
        found = listed or {}
        names = {path: path.partition(f"{root}/")[2] for path in sorted(found)}
        return {name: int(found[path]["size"]) for path, name in names.items() if name}

    def open(self, name: str) -> BinaryIO:
        """An object, to be read from its start.

        Raises TroubleError, here and while it is read, also where there is none.
        """
        opened = self._ask("read", name, lambda: self._files.open(self._key(name), "rb"))
        if opened is None:
            raise TroubleError(f"{self.url}/{name} is not there.", "Restore it.")
        return cast(BinaryIO, _Reading(opened, self.url, name))

    def remove(self, name: str) -> None:
        """Take an object away, if it is there."""
        self._ask("remove", name, lambda: self._files.rm_file(self._key(name)))

    def fetch(self, name: str, path: Path) -> bool:
        """Bring an object into the file `path`; False where there is none."""
        return (
            self._ask("read", name, lambda: (self._files.get_file(self._key(name), str(path)), True)[1])
            or False
        )

    def put(self, path: Path, name: str, sha256: str | None = None) -> Tag:
        """Make the bytes of `path` the object `name`, and be told so: S3 checks `sha256`, all their size."""

        def upload() -> Tag:
            size_bytes = path.stat().st_size
            self._files.put_file(str(path), self._key(name), **self._checksum(sha256))
            return self._confirmed(name, size_bytes)

        try:
            return self._persist("store", name, upload, self._put_patience_s)
        except TroubleError as error:
            raise TroubleError(error.message, f"{error.remedy} {AGAIN}") from None

    def write(self, name: str, content: bytes) -> Tag:
        """Make `content` the object `name`, and be told so."""

        def upload() -> Tag:
            self._files.pipe_file(self._key(name), content)
            return self._confirmed(name, len(content))

        return self._persist("store", name, upload, self._put_patience_s)

    def create(self, name: str, content: bytes) -> bool:
        """Make `content` the object `name` unless there is one; whether this call made it."""

        def make() -> bool:
            try:
                self._files.pipe_file(self._key(name), content, mode="create")
            except FileExistsError:
                return False
            return True

        if self.tag(name) is not None:
            return False
        return self._persist("store", name, make, LOOK_PATIENCE_S)

    def give_up(self) -> None:
        """Repeat nothing from now on: the run is cut off."""
        self._given_up.set()

    @property
    def _files(self) -> Any:
        """The fsspec file system, made when first needed: its packages take half a second to load."""
        with self._lock:
            if self._opened is None:
                fsspec = importlib.import_module("fsspec")
                self._opened = fsspec.filesystem(
                    self._scheme,
                    skip_instance_cache=True,
                    use_listings_cache=False,
                    **_OPTIONS.get(self._scheme, {}),
                )
            return self._opened

    def _key(self, name: str) -> str:
        return f"{self._root}/{name}" if name else self._root

    def _checksum(self, sha256: str | None) -> dict[str, str]:
        """What lets the server refuse bytes that were damaged on their way."""
        if sha256 is None or self._scheme not in ("s3", "s3a"):
            return {}
        return {"ChecksumSHA256": base64.b64encode(bytes.fromhex(sha256)).decode()}

    def _confirmed(self, name: str, size_bytes: int) -> Tag:
        tag = self._tag(name)
        if tag[0] != size_bytes:
            raise OSError(f"{tag[0]} of {size_bytes} bytes arrived")
        return tag

    def _tag(self, name: str) -> Tag:
        info = self._files.info(self._key(name))
        marks = (info.get(key) for key in ("ETag", "etag", "mtime", "created"))
        return int(info["size"]), str(next((mark for mark in marks if mark), ""))

    def _ask(
        self, what: str, name: str, look: Callable[[], T], patience_s: float = LOOK_PATIENCE_S
    ) -> T | None:
        """What `look` finds; None without the object, which is no trouble (without its bucket it is)."""

        def find() -> T | None:
            try:
                return look()
            except FileNotFoundError as error:
                if type(error.__cause__).__name__ == "NoSuchBucket":
                    raise
                return None

        return self._persist(what, name, find, patience_s)

    def _persist(self, what: str, name: str, call: Callable[[], T], patience_s: float) -> T:
        """What `call` returns, after as many tries as fit in `patience_s`."""
        began, tries = time.monotonic(), 0
        while True:
            try:
                done = call()
            except Exception as error:
                refused = refusal(error, self.url)
                pause_s = PAUSES_S[min(tries, len(PAUSES_S) - 1)]
                is_late = time.monotonic() + pause_s - began > patience_s
                if not refused.may_pass or is_late or self._given_up.is_set():
                    raise _trouble(what, self.url, name, refused) from None
            else:
                if tries > 1:
                    self.on_note(f"{self.url} answers again.")
                return done
            if tries == 1:
                self.on_note(f"cannot {what} in {self.url} ({refused.why}); trying again for a while.")
            tries += 1
            self._given_up.wait(pause_s)


def _trouble(what: str, url: str, name: str, refused: Refusal) -> TroubleError:
    kind = UnreachableError if refused.may_pass else TroubleError
    return kind(f"cannot {what} {url}/{name}: {refused.why}.", refused.remedy)
