"""What can be seen and heard of a clip while it is decoded anyway: black, frozen, silent.

Runs in the decode worker, beside `frames` and `phash`. The measures are those of ffmpeg's filters: a frame
is black when 98 % of it is darker than a tenth of the luma range (`blackdetect`); a clip is frozen as long
as its frames differ from the first of them by at most one of 255 levels on average (`freezedetect`, whose
default is a quarter of that: an encoder goes on refining a still picture by more); how loud it gets is the
highest sample (`volumedetect`). Brightness is looked at in a grid of some 64 x 36 points, so that a frame
costs microseconds.
"""

from __future__ import annotations

import math

import numpy as np
from av.audio.frame import AudioFrame
from av.video.frame import VideoFrame
from numpy.typing import NDArray

POINTS_ACROSS, POINTS_DOWN = 64, 36
BLACK_LUMA = 0.10
BLACK_POINTS = 0.98
FREEZE_LEVELS = 1.0
FULL_RANGE = 2
"""`AVCOL_RANGE_JPEG`: luma from 0 to 255; otherwise it is from 16 to 235."""
SILENCE_DBFS = -120.0
"""What digital silence is called: JSON has no infinity."""
SHARE_DIGITS = 4

Points = NDArray[np.uint8]


class Pictures:
    """How many frames are black, and how long the longest freeze is."""

    def __init__(self) -> None:
        self._num_frames = 0
        self._num_black = 0
        self._still: Points | None = None
        self._num_still = 0
        self._longest = 0

    def add(self, frame: VideoFrame) -> None:
        """Take the next frame."""
        luma = luma_points(frame)
        self._num_frames += 1
        self._num_black += float(np.mean(luma < _black_level(frame))) >= BLACK_POINTS
        self._num_still = self._num_still + 1 if self._is_still(luma) else 1
        self._longest = max(self._longest, self._num_still)
        if self._num_still == 1:
            self._still = luma

    @property
    def black_share(self) -> float:
        """Share of the frames that are black."""
        return round(self._num_black / self._num_frames, SHARE_DIGITS)

    @property
    def frozen_share(self) -> float:
        """The longest freeze, as a share of the frames; a clip of one frame is frozen."""
        return round(self._longest / self._num_frames, SHARE_DIGITS)

    def _is_still(self, luma: Points) -> bool:
        if self._still is None or self._still.shape != luma.shape:
            return False
        difference = np.abs(luma.astype(np.int16) - self._still)
        return float(np.mean(difference)) <= FREEZE_LEVELS


class Sound:
    """How loud a clip gets."""

    def __init__(self) -> None:
        self._peak = 0.0

    def add(self, frame: AudioFrame) -> None:
        """Take the next samples."""
        samples = frame.to_ndarray()
        if samples.size:
            self._peak = max(self._peak, _peak_of(samples))

    @property
    def peak_dbfs(self) -> float:
        """The highest sample in decibels below full scale, 0 being full; `SILENCE_DBFS` at least."""
        if self._peak <= 0:
            return SILENCE_DBFS
        return round(max(SILENCE_DBFS, 20 * math.log10(self._peak)), 1)


def luma_points(frame: VideoFrame) -> Points:
    """The brightness of a frame in a grid of points, 8 bits each; of YUV the very samples."""
    bits = frame.format.components[0].bits
    name = frame.format.name
    if not name.startswith(("yuv", "gray")) or name.endswith("be") or not 8 <= bits <= 16:
        width, height = min(frame.width, POINTS_ACROSS), min(frame.height, POINTS_DOWN)
        frame, bits = frame.reformat(width=width, height=height, format="gray"), 8
    plane = frame.planes[0]
    sample = np.uint8 if bits == 8 else np.uint16
    count = plane.line_size // np.dtype(sample).itemsize
    rows = np.frombuffer(memoryview(plane), sample, count=count * plane.height).reshape(plane.height, count)
    across, down = max(1, plane.width // POINTS_ACROSS), max(1, plane.height // POINTS_DOWN)
    return (rows[::down, : plane.width : across] >> (bits - 8)).astype(np.uint8)


def _black_level(frame: VideoFrame) -> float:
    if frame.color_range == FULL_RANGE or frame.format.name.startswith("yuvj"):
        return BLACK_LUMA * 255
    return 16 + BLACK_LUMA * 219


def _peak_of(samples: NDArray[np.generic]) -> float:
    """The highest absolute sample, 1 being full scale."""
    wide = samples.astype(np.float64)
    if samples.dtype.kind == "f":
        return float(np.nan_to_num(np.abs(wide)).max())
    middle = 2.0 ** (samples.dtype.itemsize * 8 - 1)
    return float(np.abs(wide - (middle if samples.dtype.kind == "u" else 0)).max() / middle)
