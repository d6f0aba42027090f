"""Recorded bodies over a socket: what was read from a file is also what a run makes of it.

The project's own transcripts, and those recorded elsewhere where they lie beside the project; each with
its addresses moved to a gateway of the test's own, which serves a clip only where the video is expected.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pandas as pd
import pytest

OWN = Path(__file__).parents[1] / "contract" / "transcripts"
RECORDED = Path(__file__).parents[2].parent / "shared" / "wire-samples"
FOLDERS = {folder.name: folder for folder in (OWN, RECORDED) if folder.is_dir()}
_ORIGIN = re.compile(rb"https?:(?://|\\/\\/)[^/\s\"'<>\\)\]`]+")


@dataclass(frozen=True)
class Recording:
    """One body and what is expected of it."""

    name: str
    body: bytes
    facts: dict[str, Any]

    @property
    def status(self) -> str:
        return self.facts["expected"]["status"]

    @property
    def video_path(self) -> str:
        return urlsplit(self.facts["expected"]["video_url"] or "").path

    @property
    def is_plain(self) -> bool:
        """A 200 whose video's path stands in the body as it is and stays when the host is replaced."""
        return self.facts["http_status"] == 200 and len(self.video_path) > 1 and self._path in self.body

    @property
    def _path(self) -> bytes:
        return self.video_path.encode()

    def at(self, origin: str) -> bytes:
        """The body with every address moved to `origin`."""
        return _ORIGIN.sub(origin.encode(), self.body)


def recordings(folder: Path) -> list[Recording]:
    """All of a folder."""
    return [
        Recording(path.stem, path.with_suffix(".sse").read_bytes(), json.loads(path.read_text()))
        for path in sorted(folder.glob("*.json"))
    ]


@dataclass(frozen=True)
class Replay:
    """Runs a table with one row per recording; every POST is answered by the recording it names."""

    make: Callable[..., Any]
    gateway: Any
    respond: Callable[..., bytes]
    clip: bytes

    async def run(self, chosen: list[Recording], **options: Any) -> Any:
        by_name = {recording.name: recording for recording in chosen}
        videos = {recording.video_path for recording in chosen}

        def answer(asked: Any) -> bytes:
            if asked.method == "GET":
                found = urlsplit(asked.path).path in videos
                return (
                    self.respond(self.clip, content_type="video/mp4")
                    if found
                    else self.respond(b"", status=404)
                )
            facts = by_name[asked.prompt].facts
            body = by_name[asked.prompt].at(self.gateway.origin)
            return self.respond(body, status=facts["http_status"], content_type=facts["content_type"])

        self.gateway.answer = answer
        table = pd.DataFrame({"prompt": list(by_name), "prompt_id": list(by_name)})
        return await self.make(table, gateway=self.gateway.base_url, **options)


@pytest.fixture
def replay(
    make: Callable[..., Any],
    own_gateway: Any,
    respond: Callable[..., bytes],
    clip: bytes,
    loopback_only: list[str],
) -> Replay:
    """A replay of recordings, with no way out of this machine."""
    return Replay(make, own_gateway, respond, clip)


@pytest.mark.parametrize("folder", FOLDERS.values(), ids=FOLDERS)
async def test_a_recorded_success_is_stored(folder: Path, replay: Replay) -> None:
    """Whatever the dialect, the clip is fetched from the expected address and stored, with one POST each."""
    chosen = [one for one in recordings(folder) if one.status == "succeeded" and one.is_plain]
    summary = await replay.run(chosen)
    frame = summary.frame()
    assert dict(zip(frame["prompt_id"], frame["status"], strict=True)) == dict.fromkeys(
        (one.name for one in chosen), "success"
    )
    assert len(replay.gateway.posts) == summary.posts == len(chosen) >= 15
    assert summary.exit_code == 0


@pytest.mark.parametrize("folder", FOLDERS.values(), ids=FOLDERS)
async def test_a_recorded_cut_is_held(folder: Path, replay: Replay) -> None:
    """A body without an end leaves its row unknown; running again sends no POST."""
    chosen = [one for one in recordings(folder) if one.status == "incomplete"][:9]
    summary = await replay.run(chosen, canary=0)
    again = await replay.run(chosen, canary=0)
    assert summary.counts == again.counts == {"unknown": len(chosen)}
    assert (summary.posts, again.posts, again.exit_code) == (len(chosen), 0, 1)
    assert len(chosen) >= 5


@pytest.mark.parametrize("folder", FOLDERS.values(), ids=FOLDERS)
async def test_a_recorded_refusal_is_a_refusal_for_video_and_a_text_for_text(
    folder: Path, replay: Replay, tmp_path: Path
) -> None:
    """The same body that refuses a video is, where text was asked for, the text that came."""
    chosen = [one for one in recordings(folder) if b"may violate our guardrails" in one.body]
    video = await replay.run(chosen, canary=0, out=str(tmp_path / "video"))
    text = await replay.run(chosen, canary=0, out=str(tmp_path / "text"), output="text")
    assert chosen
    assert video.counts == {"refused": len(chosen)}
    assert set(video.frame()["refused_at"]) == {"likeness"}
    assert video.exit_code == text.exit_code == 0
    assert text.counts == {"success": len(chosen)}
    assert text.frame()["text"].str.contains("may violate our guardrails").all()
