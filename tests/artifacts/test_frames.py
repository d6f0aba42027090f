"""What enters the hash of a clip's frames, and what does not."""

from __future__ import annotations

import av
import pytest
from reelsweep.tasks.artifacts.frames import FrameHash


def framed(pixels: str, fill: int = 7, padding: int = 0, width: int = 50, height: int = 20) -> av.VideoFrame:
    """A frame with every visible byte `fill` and every byte between the rows `padding`."""
    frame = av.VideoFrame(width, height, pixels)
    for plane in frame.planes:
        row = bytes([fill]) * plane.width + bytes([padding]) * (plane.line_size - plane.width)
        plane.update(row * plane.height)
    return frame


def hashed(*frames: av.VideoFrame) -> str:
    """The hash of a clip of these frames."""
    clip = FrameHash()
    for frame in frames:
        clip.add(frame)
    return clip.hexdigest()


def test_bytes_between_the_rows_do_not_enter() -> None:
    """How a decoder aligns its rows depends on the machine; the hash does not."""
    frame = framed("yuv420p")
    assert any(plane.line_size > plane.width for plane in frame.planes)
    assert hashed(framed("yuv420p", padding=255)) == hashed(frame)


@pytest.mark.parametrize(("old", "new"), [("yuvj420p", "yuv420p"), ("yuvj444p", "yuv444p")])
def test_the_old_names_of_full_range_do_not_enter(old: str, new: str) -> None:
    """The same samples are the same pictures, whatever a container says of their range."""
    assert hashed(framed(old)) == hashed(framed(new))


@pytest.mark.parametrize(
    "other",
    [
        [framed("yuv420p", fill=8)],
        [framed("yuv444p")],
        [framed("yuv420p", width=20, height=50)],
        [framed("yuv420p")] * 2,
        [],
    ],
)
def test_samples_format_size_and_number_enter(other: list[av.VideoFrame]) -> None:
    """Whatever one can see, and how many there are of it, changes the hash."""
    assert hashed(*other) != hashed(framed("yuv420p"))


def test_the_order_of_frames_enters() -> None:
    """A clip played backwards is another clip."""
    one, two = framed("yuv420p", fill=1), framed("yuv420p", fill=2)
    assert hashed(one, two) != hashed(two, one)


def test_interleaved_formats_are_hashed_by_component() -> None:
    """Packed pixels of every order with the same colours are the same pictures."""
    assert hashed(framed("gbrp")) == hashed(framed("gbrp").reformat(format="rgb24"))
