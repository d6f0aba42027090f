"""Where files of one OUT are, and how they get there: whole or not at all.

After `download` and `probe`, before the ledger settles. Every method blocks: call it in a thread
(`off_loop`). Trouble is a TroubleError, and nothing half-written ever has a final name.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Collection
from pathlib import Path
from typing import TypeVar

from reelsweep.tasks.artifacts.disk import make_folder, trouble, write_whole
from reelsweep.tasks.storage.out import Out, as_out

T = TypeVar("T")

ATTEMPT_ID = re.compile(r"[0-9A-Za-z-]{1,64}")
TRANSCRIPT = re.compile(rf"{ATTEMPT_ID.pattern}\.sse")
SHA256 = re.compile(r"[0-9a-f]{64}")
SUFFIX = re.compile(r"\.[0-9a-z]{1,8}")
SIDECAR = ".json"


class Store:
    """The files of one OUT, made on its desk; `out` is that folder."""

    def __init__(self, out: Path | Out) -> None:
        self.storage = as_out(out)
        self.out = self.storage.desk

    async def off_loop(self, blocking: Callable[[], T]) -> T:
        """What `blocking` returns, run in a thread where it may wait for the disk or the network."""
        return await self.storage.off_loop(blocking)

    def close(self) -> None:
        """Let go of threads; what waits for the network is given up and stays on the desk."""
        self.storage.close()

    def part(self, attempt_id: str, choice_idx: int) -> Path:
        """Where the video of one choice is downloaded to; its folder exists."""
        folder = self._parts
        with trouble("make", folder):
            folder.mkdir(parents=True, exist_ok=True)
        return folder / self._part_name(attempt_id, choice_idx)

    def place(self, part: Path, sha256: str, suffix: str) -> str:
        """Move a whole part to its final name and return that, relative to OUT: `videos/ab/<sha256>.mp4`.

        Durable when it returns, in a bucket confirmed. A file that is already there is kept if its bytes are
        right, which also answers for a part that an earlier call has moved.
        """
        file_name = self.file_name(sha256, suffix)
        self.storage.keep(part, file_name, sha256)
        with trouble("remove", part):
            part.with_name(part.name + SIDECAR).unlink(missing_ok=True)
        return file_name

    def find(self, sha256: str) -> str | None:
        """The name, relative to OUT, of the stored video with this hash."""
        return self.storage.find(f"videos/{_checked(SHA256, sha256)[:2]}", sha256)

    def fetch(self, file_name: str) -> Path:
        """A stored video as a file of this machine; `hand_over` it afterwards."""
        return self.storage.fetch(file_name)

    def hand_over(self, file_name: str) -> None:
        """A stored video is in OUT, wherever that is."""
        self.storage.hand_over(file_name)

    def file_name(self, sha256: str, suffix: str) -> str:
        """The name, relative to OUT, that `place` will give."""
        return f"videos/{_checked(SHA256, sha256)[:2]}/{sha256}{_checked(SUFFIX, suffix)}"

    def reject(self, part: Path, sha256: str) -> str:
        """Keep bytes that are no clip as `rejected/<sha256>`, out of the data set; returns that name."""
        name = f"rejected/{_checked(SHA256, sha256)}"
        target = self.out / name
        with trouble("store", target):
            make_folder(target.parent)
            part.replace(target)
            part.with_name(part.name + SIDECAR).unlink(missing_ok=True)
        return name

    def discard(self, part: Path) -> None:
        """Forget a part and what was noted about it: the next download starts from nothing."""
        with trouble("remove", part):
            part.unlink(missing_ok=True)
            part.with_name(part.name + SIDECAR).unlink(missing_ok=True)

    def sweep_parts(self, keep: Collection[tuple[str, int]] = ()) -> int:
        """Remove the parts of everything but the (attempt, choice) pairs in `keep`; how many files went."""
        kept = {self._part_name(*pair) for pair in keep}
        swept = 0
        with trouble("sweep", self._parts):
            for path in self._parts.glob("*") if self._parts.is_dir() else ():
                if path.name.removesuffix(SIDECAR) not in kept:
                    path.unlink(missing_ok=True)
                    swept += 1
        return swept

    def put_input(self, content: bytes, suffix: str) -> str:
        """Keep an image of a prompt as `inputs/<sha256><suffix>`; returns the sha256."""
        sha256 = hashlib.sha256(content).hexdigest()
        path = self.out / "inputs" / f"{sha256}{_checked(SUFFIX, suffix)}"
        if not path.exists():
            write_whole(path, content)
        return sha256

    def input_path(self, sha256: str) -> Path | None:
        """The kept image with this hash, brought to the desk if another machine has kept it."""
        name = self.storage.find("inputs", _checked(SHA256, sha256))
        return self.storage.fetch(name) if name else None

    def write_transcript(self, attempt_id: str, content: bytes) -> str:
        """Keep a response body; returns its file name below `transcripts/`."""
        name = self.transcript_name(attempt_id)
        write_whole(self.out / "transcripts" / name, content)
        return name

    @staticmethod
    def transcript_name(attempt_id: str) -> str:
        """Where the response body of an attempt is kept, if it is, below `transcripts/`."""
        return f"{_checked(ATTEMPT_ID, attempt_id)}.sse"

    def has_transcript(self, attempt_id: str) -> bool:
        """Whether the response body of an attempt is kept, also where nobody could write that down."""
        return self.storage.has(f"transcripts/{self.transcript_name(attempt_id)}")

    def read_transcript(self, name: str | None) -> bytes | None:
        """A kept response body; None where there is none, and for a name that is none of ours."""
        is_ours = name is not None and TRANSCRIPT.fullmatch(name) is not None
        return self.storage.read(f"transcripts/{name}") if is_ours else None

    @property
    def _parts(self) -> Path:
        return self.out / "videos" / ".part"

    def _part_name(self, attempt_id: str, choice_idx: int) -> str:
        return f"{_checked(ATTEMPT_ID, attempt_id)}-{choice_idx:d}"


def _checked(pattern: re.Pattern[str], text: str) -> str:
    """`text`, which becomes part of a path: our own ids and hashes only."""
    if not pattern.fullmatch(text):
        raise ValueError(f"{text!r} is not fit for a file name")
    return text
