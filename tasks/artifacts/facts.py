"""What is known about a stored clip: values only (pure)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from reelsweep.prompts.errors import ReelsweepError


class InvalidVideo(ReelsweepError):  # noqa: N818
    """The file is not a whole, decodable video. `reason` says why, in one line."""

    def __init__(self, reason: str) -> None:
        Exception.__init__(self, reason)
        self.reason = reason
        self.message = reason
        self.remedy = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What decoding a clip to its end has shown; the names are the manifest's."""

    mime_type: str
    width: int
    """Pixels of the first frame."""
    height: int
    duration_s: float | None
    fps: float | None
    """Mean rate as the container gives it."""
    num_frames: int
    """Frames that were decoded."""
    codec: str
    has_audio: bool
    frames_sha256: str
    """Over the decoded frames: equal after re-muxing (see `frames`)."""
    phash: str
    """Perceptual hashes of evenly spaced frames, hex (see `phash`)."""
    black_share: float | None = None
    """Share of the frames that are black; this and the next two as `content` measures them."""
    frozen_share: float | None = None
    """The longest freeze, as a share of the frames."""
    audio_peak_dbfs: float | None = None
    """How loud the clip gets; None without a sound track."""
    notes: tuple[str, ...] = ()
    """What is odd about the file but does not spoil it."""

    def columns(self) -> dict[str, Any]:
        """The facts by manifest column, `notes` as a list: what JSON can hold."""
        return {**asdict(self), "notes": list(self.notes)}

    @classmethod
    def from_columns(cls, columns: Mapping[str, Any]) -> Facts:
        """The facts that `columns` came from."""
        values: dict[str, Any] = dict(columns)
        values["notes"] = tuple(values.get("notes", ()))
        return cls(**values)
