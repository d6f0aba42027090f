"""Black, frozen and silent, measured on clips made for it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
from av.video.frame import VideoFrame
from reelsweep.tasks.artifacts.content import Pictures, Sound, luma_points
from reelsweep.tasks.artifacts.facts import Facts
from reelsweep.tasks.artifacts.probe import Prober
from reelsweep.tasks.sandbox.clip import describe_clip
from reelsweep.tasks.sandbox.render import draw_clip


def frame(level: int, pixels: str = "gray") -> VideoFrame:
    """A flat picture."""
    picture = VideoFrame.from_ndarray(np.full((90, 160), level, np.uint8), format="gray")
    return picture if pixels == "gray" else picture.reformat(format=pixels)


@pytest.mark.parametrize(
    ("look", "sound", "black", "frozen", "peak"),
    [
        ("moving", "none", (0, 0), (0, 0.2), None),
        ("black", "none", (1, 1), (1, 1), None),
        ("frozen", "tone", (0, 0), (0.8, 1), (-20, 0)),
        ("moving", "silence", (0, 0), (0, 0.2), (-120, -120)),
    ],
)
async def test_a_decoded_clip_says_what_can_be_seen_and_heard_of_it(
    prober: Prober,
    save: Callable[[bytes], Path],
    look: str,
    sound: str,
    black: tuple[float, float],
    frozen: tuple[float, float],
    peak: tuple[float, float] | None,
) -> None:
    """Encoded and decoded again, in the worker: shares of black and frozen frames, the highest sample."""
    clip = describe_clip("m", "p", 1, "320x180", 1.0).model_copy(update={"look": look, "sound": sound})
    facts = await prober.probe(save(draw_clip(clip)))
    assert black[0] <= (facts.black_share or 0) <= black[1]
    assert frozen[0] <= (facts.frozen_share or 0) <= frozen[1]
    assert (facts.audio_peak_dbfs is None) == (peak is None)
    assert peak is None or peak[0] <= (facts.audio_peak_dbfs or 0) <= peak[1]


def test_the_longest_freeze_counts() -> None:
    """Ten frames, five of them alike in a row: half of the clip is frozen."""
    pictures = Pictures()
    for level in (10, 50, 90, 90, 90, 90, 90, 130, 170, 210):
        pictures.add(frame(level))
    assert (pictures.frozen_share, pictures.black_share) == (0.5, 0.1)


def test_a_slow_change_is_no_freeze() -> None:
    """Frames are held against the first of a freeze, so half a level a frame adds up."""
    pictures = Pictures()
    for step in range(40):
        pictures.add(frame(60 + step // 2))
    assert pictures.frozen_share == 0.1


@pytest.mark.parametrize("pixels", ["gray", "yuv420p", "yuv444p10le", "gray16le", "rgb24", "nv12", "yuyv422"])
def test_brightness_is_read_from_any_pixel_format(pixels: str) -> None:
    """A mid grey is a mid grey, whatever the layout and the bits."""
    points = luma_points(frame(128, pixels))
    assert points.dtype == np.uint8
    assert 105 <= points.mean() <= 131
    assert points.size <= 81 * 46


@pytest.mark.parametrize(("kind", "full"), [("fltp", 1.0), ("s16p", 2**15), ("s32", 2**31), ("u8", 255)])
def test_loudness_is_the_same_in_every_sample_format(kind: str, full: float) -> None:
    """Full scale is 0 dBFS, and nothing is louder."""
    dtype = {"fltp": np.float32, "s16p": np.int16, "s32": np.int32, "u8": np.uint8}[kind]
    samples = np.full((1, 64), full if kind in ("fltp", "u8") else full - 1, dtype)
    sound = Sound()
    sound.add(av.AudioFrame.from_ndarray(samples, format=kind, layout="mono"))
    assert -0.1 <= sound.peak_dbfs <= 0


def test_facts_of_an_older_reelsweep_have_no_measures() -> None:
    """What was not measured is null, never a made-up value."""
    known = {"mime_type": "video/mp4", "width": 1, "height": 1, "duration_s": 1.0, "fps": 1.0}
    known |= {"num_frames": 1, "codec": "h264", "has_audio": False, "frames_sha256": "", "phash": ""}
    facts = Facts.from_columns(known)
    assert (facts.black_share, facts.frozen_share, facts.audio_peak_dbfs) == (None, None, None)
