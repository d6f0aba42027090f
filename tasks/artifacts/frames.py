"""`frames_sha256`: one hash over the pictures of a clip, whatever container carries them.

The sha256 of, for each decoded frame in the order of display: `<width>x<height> <pixel format>\\n`, then the
rows of each plane without their padding. The format is the decoder's own, with the old full-range names
(`yuvj420p`) spelled as what they hold (`yuv420p`), because a container may say the range where the codec
does not; frames in formats that interleave their components are converted to `gbrp` first. Times, the
container and the sound do not enter.
"""

from __future__ import annotations

import hashlib

import numpy as np
from av.video.frame import VideoFrame
from av.video.plane import VideoPlane

VERSION = b"reelsweep frames 1\n"
FULL_RANGE = {"yuvj420p": "yuv420p", "yuvj422p": "yuv422p", "yuvj444p": "yuv444p", "yuvj440p": "yuv440p"}
FALLBACK = "gbrp"


class FrameHash:
    """The running hash of a clip's frames."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256(VERSION)

    def add(self, frame: VideoFrame) -> None:
        """Take the next frame."""
        if not _has_a_plane_per_component(frame):
            frame = frame.reformat(format=FALLBACK)
        name = FULL_RANGE.get(frame.format.name, frame.format.name)
        self._hash.update(f"{frame.width}x{frame.height} {name}\n".encode())
        for plane, component in zip(frame.planes, frame.format.components, strict=True):
            self._add_plane(plane, (component.bits + 7) // 8)

    def hexdigest(self) -> str:
        """The hash so far, 64 hex digits."""
        return self._hash.hexdigest()

    def _add_plane(self, plane: VideoPlane, sample_bytes: int) -> None:
        row_bytes = plane.width * sample_bytes
        rows = np.frombuffer(memoryview(plane), np.uint8, count=plane.line_size * plane.height)
        visible = rows.reshape(plane.height, plane.line_size)[:, :row_bytes]
        self._hash.update(visible.tobytes())


def _has_a_plane_per_component(frame: VideoFrame) -> bool:
    components = frame.format.components
    return len(frame.planes) == len(components) and all(
        component.plane == index for index, component in enumerate(components)
    )
