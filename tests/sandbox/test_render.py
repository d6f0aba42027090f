"""Clips: the same bytes for the same request, different pictures for different ones."""

from __future__ import annotations

import hashlib
import io
import itertools
import subprocess
import sys

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reelsweep.tasks.sandbox.boxes import list_boxes
from reelsweep.tasks.sandbox.clip import (
    CAPTION_CHARS,
    Ticket,
    describe_clip,
    parse_size,
    parse_token,
    shorten,
    write_token,
)
from reelsweep.tasks.sandbox.faults import FAULTS, Fault
from reelsweep.tasks.sandbox.render import draw_clip, render_clip

_OTHER_PROCESS = """
import hashlib
from reelsweep.tasks.sandbox.render import render_clip
print(hashlib.sha256(render_clip("sora-2", "a red fox", 7, "160x90", 1.0)).hexdigest())
"""


def frames(video: bytes) -> list[np.ndarray]:
    with av.open(io.BytesIO(video)) as container:
        return [frame.to_ndarray(format="gray") for frame in container.decode(video=0)]


def test_two_processes_draw_the_same_bytes() -> None:
    """A clip is a pure function of its request, also in another process."""
    here = hashlib.sha256(render_clip("sora-2", "a red fox", 7, "160x90", 1.0)).hexdigest()
    there = subprocess.run((sys.executable, "-c", _OTHER_PROCESS), capture_output=True, text=True, check=True)
    assert there.stdout.strip() == here


def test_a_clip_is_what_was_asked() -> None:
    """Size, duration, codec and pixel format are those of a clip that browsers play."""
    video = render_clip("sora-2", "a red fox", 7, "320x180", 2.0)
    with av.open(io.BytesIO(video)) as container:
        stream = container.streams.video[0]
        assert (stream.width, stream.height, stream.codec_context.name) == (320, 180, "h264")
        assert stream.codec_context.pix_fmt == "yuv420p"
        assert container.duration == 2_000_000
    assert len(frames(video)) == 32


def test_the_index_comes_before_the_data() -> None:
    """A player can begin before the whole file is there."""
    names = [name for name, _, _ in list_boxes(render_clip("sora-2", "a red fox", 7, "64x36", 0.5))]
    assert names[0] == b"ftyp"
    assert names.index(b"moov") < names.index(b"mdat")


def test_a_minute_at_full_width_has_room_for_its_index() -> None:
    """The longest clip is written, and its index is still in front."""
    names = [name for name, _, _ in list_boxes(render_clip("sora-2", "a red fox", 7, "1920x16", 60.0))]
    assert names.index(b"moov") < names.index(b"mdat")


@pytest.mark.parametrize("part", ["model", "prompt", "seed", "size", "seconds"])
def test_every_part_of_the_request_changes_the_clip(part: str) -> None:
    """None of model, prompt, seed, size and seconds is without effect."""
    asked = {"model": "sora-2", "prompt": "a fox", "seed": 7, "size": "64x36", "seconds": 0.5}
    other = {"model": "sora-3", "prompt": "a cat", "seed": 8, "size": "64x64", "seconds": 0.75}
    assert render_clip(**asked) != render_clip(**{**asked, part: other[part]})


def test_twelve_seeds_are_twelve_pictures() -> None:
    """Seeds differ in the picture above the caption, not only in the words on it."""
    tops = {
        frames(render_clip("sora-2", "a fox", seed, "64x36", 0.25))[0][:20].tobytes() for seed in range(12)
    }
    assert len(tops) == 12


def test_pictures_move() -> None:
    """No clip is a still: some pixel above the caption changes from each frame to the next."""
    for seed in range(12):
        pictures = frames(render_clip("sora-2", "a fox", seed, "96x64", 0.5))
        assert all(np.any(a[:40] != b[:40]) for a, b in itertools.pairwise(pictures))


def test_a_drift_of_the_model_is_near_but_not_the_same() -> None:
    """Another epoch changes the bytes and hardly the picture."""
    clip = describe_clip("sora-2", "a fox", 3, "160x90", 0.5)
    one, two = (frames(draw_clip(clip.model_copy(update={"epoch": epoch})))[0] for epoch in (0, 1))
    other = frames(render_clip("sora-2", "a fox", 4, "160x90", 0.5))[0]
    drift, distance = (np.abs(one.astype(int) - picture.astype(int)).mean() for picture in (two, other))
    assert 0 < drift < distance / 3


@pytest.mark.parametrize("clip_bytes", [0, 30_000, 100_000])
def test_padding_makes_a_larger_file_of_the_same_pictures(clip_bytes: int) -> None:
    """A padded file has at least the size asked for and decodes to the same frames."""
    plain = render_clip("sora-2", "a fox", 7, "64x36", 0.5)
    padded = render_clip("sora-2", "a fox", 7, "64x36", 0.5, clip_bytes=clip_bytes)
    assert len(padded) >= clip_bytes
    assert [frame.tobytes() for frame in frames(padded)] == [frame.tobytes() for frame in frames(plain)]


def test_few_variants_still_give_each_clip_bytes_of_its_own() -> None:
    """With `variants`, pictures repeat and padded files do not."""
    clips = [describe_clip("m", "p", seed, "64x36", 0.5, variants=2, min_bytes=50_000) for seed in range(20)]
    assert len({clip.picture for clip in clips}) == 2
    assert len({clip.digest for clip in clips}) == 20


@pytest.mark.parametrize(
    "size", ["", "64", "64x", "x36", "65x36", "64x37", "0x0", "8x8", "1922x16", "64X36", "64x36 "]
)
def test_impossible_sizes_are_refused(size: str) -> None:
    """A size that cannot be drawn is an error that shows it."""
    with pytest.raises(ValueError, match="expected"):
        parse_size(size)


@settings(deadline=None)
@given(st.text(), st.integers(-(2**63), 2**63 - 1), st.sampled_from([None, *FAULTS]))
def test_a_ticket_survives_its_token(prompt: str, seed: int, fault: str | None) -> None:
    """Whatever the prompt, the ticket in a URL is the ticket that was written."""
    clip = describe_clip("sora-2", prompt, seed, "64x36", 0.5)
    ticket = Ticket(job="a" * 32, made_at=1.5, clip=clip, fault=Fault(fault=fault) if fault else None)
    assert parse_token(write_token(ticket)) == ticket


@settings(deadline=None)
@given(st.text(alphabet=st.characters(codec="ascii")))
def test_a_foreign_token_is_none(token: str) -> None:
    """A name that is no ticket of ours is recognised as such, whatever it is."""
    assert parse_token(token) is None


@settings(deadline=None)
@given(st.text())
def test_a_caption_is_short_and_in_letters_of_the_font(prompt: str) -> None:
    """What is written on a clip fits, is never empty, and holds no directive."""
    caption = shorten(f"{prompt} [[fault=cut]]")
    assert 0 < len(caption) <= CAPTION_CHARS
    assert "fault=cut" not in caption
    caption.encode("latin-1")
