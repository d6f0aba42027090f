"""An OUT in a bucket: made on a staging folder of this machine, handed over object by object.

A clip is downloaded, decoded and made durable on the desk as in any folder, then uploaded under the name of
its hash and confirmed; only then the ledger hears of it, and it leaves the desk. What is found on the desk
after a crash is uploaded without network to the gateway. Another machine needs nothing of it.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from reelsweep.prompts.errors import OutError, TroubleError
from reelsweep.prompts.remote import shown_url
from reelsweep.tasks.artifacts.disk import make_folder, trouble
from reelsweep.tasks.storage.objects import PUT_PATIENCE_S, Objects
from reelsweep.tasks.storage.out import FolderOut

T = TypeVar("T")
UPLOADS = 8
"""At a time: each holds its file in memory."""
CLIPS = "videos"
LEAVES = (CLIPS, "transcripts", "rejected")
"""Folders whose files leave the desk when they are in OUT; all others are read here again."""
PART_S = 30 * 86_400.0
"""A download that nothing was added to for so long was finished elsewhere, or its address is dead."""
_HASH = re.compile(r"[0-9a-f]{64}")
_PLAIN = re.compile(r"[^0-9A-Za-z._-]+")


def checked_url(url: str) -> str:
    """The URL of an OUT. Raises OutError for one that holds a secret or cannot be written to."""
    scheme = url.partition("://")[0]
    if shown_url(url) != url or "::" in url or "#" in url:
        raise OutError(
            f"--out: {shown_url(url)} holds more than a scheme, a bucket and a path.",
            "Give credentials by the environment, never in an address.",
        )
    if scheme in ("http", "https"):
        raise OutError(f"--out: {url} cannot be written to.", "Name a folder or a bucket such as s3://…")
    return url.rstrip("/")


def desk_of(url: str, staging: Path) -> Path:
    """The staging folder of an OUT below `staging`: the same for every run of this user's on this machine."""
    stem = _PLAIN.sub("-", url.rpartition("/")[2])[:40]
    return staging / f"{stem}-{hashlib.sha256(url.encode()).hexdigest()[:16]}"


class RemoteOut:
    """An OUT below a URL, with its desk below `staging`."""

    def __init__(self, url: str, staging: Path, *, objects: Objects | None = None) -> None:
        self.objects = objects or Objects(checked_url(url))
        self._folder = FolderOut(desk_of(str(self.objects), staging))
        self._threads = ThreadPoolExecutor(UPLOADS, thread_name_prefix="reelsweep-upload")
        self._handed: dict[str, tuple[int, int]] = {}
        """Files that stay on the desk → (time of change, size) when they were handed over."""
        self._tags: dict[str, tuple[int, str]] = {}
        """Objects that are brought → what they were when the desk had the same."""
        self._listed: dict[str, dict[str, int]] = {}
        """Folders of files named by their hash → sizes, as they were when first asked for."""

    def __str__(self) -> str:
        return str(self.objects)

    @property
    def desk(self) -> Path:
        """The staging folder."""
        return self._folder.desk

    @property
    def is_shared(self) -> bool:
        """Always."""
        return True

    def begin(self) -> None:
        """Make the desk, for this user alone."""
        with trouble("make", self.desk):
            self.desk.mkdir(parents=True, exist_ok=True)
            self.desk.chmod(0o700)
            oldest_ns = (time.time() - PART_S) * 1e9
            for part in self.desk.glob(f"{CLIPS}/.part/*"):
                state = _state(part)
                if state is not None and state[0] < oldest_ns:
                    part.unlink(missing_ok=True)

    def read(self, name: str) -> bytes | None:
        """The bytes of a file that waits on the desk, else of the object."""
        waiting = self._folder.read(name) if name.partition("/")[0] in LEAVES else None
        return self.objects.read(name) if waiting is None else waiting

    def write(self, name: str, content: bytes) -> None:
        """Replace an object."""
        self.objects.write(name, content)

    def create(self, name: str, content: bytes) -> bool:
        """Make an object that is not there, also when two machines do so at once."""
        return self.objects.create(name, content)

    def has(self, name: str) -> bool:
        """Whether there is an object."""
        return self.objects.tag(name) is not None

    def has_clip(self, name: str) -> bool:  # noqa: ARG002 - the bucket is not asked for each of them
        """A clip was confirmed before its row became a success."""
        return True

    def is_whole(self, name: str, sha256: str, size_bytes: int | None) -> bool:
        """Whether the object has this size; its bytes were checked when it was put under its hash."""
        return sha256 in name and self._sizes(name).get(name, -1) == size_bytes

    def find(self, folder: str, stem: str) -> str | None:
        """On the desk or in the bucket."""
        found = self._folder.find(folder, stem)
        names = () if found else self.objects.sizes(folder)
        return found or next((name for name in names if name.startswith(f"{folder}/{stem}.")), None)

    def fetch(self, name: str) -> Path:
        """The file on the desk, brought there if it is not."""
        path = self.desk / name
        if not path.exists():
            with trouble("write", path):
                make_folder(path.parent)
            beside = path.with_name(f".{path.name}.{uuid.uuid4().hex}.part")  # two may want it at once
            try:
                if not self.objects.fetch(name, beside):
                    raise TroubleError(f"{self}/{name} is not there any more.", "Restore it, or reconcile.")
                with trouble("write", path):
                    beside.replace(path)
            finally:
                beside.unlink(missing_ok=True)
        return path

    def keep(self, part: Path, name: str, sha256: str) -> None:
        """Durable on the desk, then uploaded and confirmed, then off the desk."""
        self._folder.keep(part, name, sha256)
        self._upload(name, sha256)

    def hand_over(self, name: str) -> None:
        """Uploaded and confirmed, unless the very bytes are there; what leaves is then off the desk."""
        path = self.desk / name
        if name.partition("/")[0] != CLIPS:
            self._upload(name, None)
        elif path.exists():
            tag = self.objects.tag(name)
            if tag is None or tag[0] != path.stat().st_size:
                self._upload(name, path.stem)
            path.unlink(missing_ok=True)

    def bring(self, names: Sequence[str]) -> None:
        """What another machine has published since is brought to the desk: successors build on it."""
        for name in names:
            tag = self.objects.tag(name, PUT_PATIENCE_S)  # a publication is worth waiting for
            if tag is not None and tag != self._tags.get(name):
                (self.desk / name).unlink(missing_ok=True)
                self.fetch(name)
                self._tags[name] = tag

    def publish(self, last: Sequence[str]) -> None:
        """Transcripts, inputs and all else in folders first: what is published last may name them.

        A file beside the tables is handed over by who writes it: the desk's may be older than the bucket's.
        """
        for name in self._waiting():
            if not self._is_same(name):
                self._upload(name, None)
        for name in last:
            self._upload(name, None)

    def clear(self) -> None:
        """Hand over the clips that a crash left, also of rows that another machine has finished since.

        What cannot be handed over stays for the next run.
        """
        with suppress(TroubleError):
            for path in sorted(self.desk.glob(f"{CLIPS}/[0-9a-f][0-9a-f]/[0-9a-f]*.*")):
                self.hand_over(path.relative_to(self.desk).as_posix())

    async def off_loop(self, blocking: Callable[[], T]) -> T:
        """In a thread for uploads: so many at a time, and none of the loop's own is held."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, blocking)

    def report_to(self, on_note: Callable[[str], None]) -> None:
        """Outages and their ends."""
        self.objects.on_note = on_note

    def give_up(self) -> None:
        """What is on the desk stays there for the next run."""
        self.objects.give_up()

    def close(self) -> None:
        """What waits for the network is given up."""
        self.give_up()
        self._threads.shutdown(wait=True, cancel_futures=True)

    def _waiting(self) -> Iterator[str]:
        for path in sorted(self.desk.rglob("*")):
            name = path.relative_to(self.desk).as_posix()
            folder, *below = name.split("/")
            hidden = any(part.startswith(".") for part in (folder, *below))
            if below and not hidden and folder != CLIPS and path.is_file():
                yield name

    def _is_same(self, name: str) -> bool:
        """Whether the bucket had this image or poster before: what a hash names never changes."""
        path = self.desk / name
        if name in self._handed or name.partition("/")[0] in LEAVES or not _HASH.fullmatch(path.stem):
            return False
        state = _state(path)
        return state is not None and self._sizes(name).get(name) == state[1]

    def _sizes(self, name: str) -> dict[str, int]:
        folder = name.rpartition("/")[0]
        if folder not in self._listed:
            self._listed[folder] = self.objects.sizes(folder)
        return self._listed[folder]

    def _upload(self, name: str, sha256: str | None) -> None:
        path = self.desk / name
        before = _state(path)
        if before is None:
            return self._must_be_there(name)
        if self._handed.get(name) == before:
            return None
        try:
            tag = self.objects.put(path, name, sha256)
        except TroubleError:
            if path.exists():
                raise
            return self._must_be_there(name)
        if name.partition("/")[0] in LEAVES:
            path.unlink(missing_ok=True)
        else:
            self._handed[name], self._tags[name] = before, tag
        return None

    def _must_be_there(self, name: str) -> None:
        """Two rows with the same bytes share a file: the other's upload has taken it off the desk."""
        if not self.has(name):
            raise TroubleError(f"{self.desk / name} is gone and not in {self}.", "Reconcile the output.")


def _state(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_mtime_ns, found.st_size
