"""Real files told apart: re-muxed, re-encoded, drawn from another seed, drawn from another prompt."""

from __future__ import annotations

import io
from collections.abc import Callable
from itertools import combinations
from pathlib import Path

import av
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reelsweep.tasks.artifacts.likeness import LEAST, NEAR, Look, distance, likeness
from reelsweep.tasks.artifacts.phash import HEX_PER_FRAME, NUM_FRAMES
from reelsweep.tasks.artifacts.probe import Prober
from reelsweep.tasks.sandbox.render import render_clip

Save = Callable[..., Path]
PROMPTS = ("a red kite over dunes", "a fox in the snow", "neon city at night")


def encoded(clip: bytes, crf: int, size: tuple[int, int] | None = None) -> bytes:
    """The clip through another encoder: all pictures are new, and look the same."""
    out = io.BytesIO()
    with av.open(io.BytesIO(clip)) as source, av.open(out, "w", format="mp4") as target:
        played = source.streams.video[0]
        stream = target.add_stream("libx264", rate=played.average_rate, options={"crf": str(crf)})
        stream.width, stream.height = size or (played.width, played.height)
        stream.pix_fmt = "yuv420p"
        for frame in source.decode(video=0):
            scaled = frame.reformat(stream.width, stream.height, "yuv420p")
            scaled.pts = None
            target.mux(stream.encode(scaled))
        target.mux(stream.encode())
    return out.getvalue()


@pytest.fixture
def look(prober: Prober, save: Save) -> Callable[..., object]:
    """What the manifest would keep of a clip."""

    async def look(clip: bytes) -> Look:
        path = save(clip)
        facts = await prober.probe(path)
        return Look(sha256=f"{hash(clip):x}", frames_sha256=facts.frames_sha256, phash=facts.phash)

    return look


async def test_a_copy_is_bit_identical_and_a_re_muxed_one_frame_identical(look, remux) -> None:
    """The same bytes; the same packets in QuickTime, Matroska and fragmented MP4."""
    clip = render_clip("m", PROMPTS[0], 1)
    original = await look(clip)
    assert likeness(original, await look(clip)) == "bit-identical"
    fragments = {"movflags": "frag_keyframe+empty_moov"}
    for other in (remux(clip, "mov"), remux(clip, "matroska"), remux(clip, "mp4", fragments)):
        copy = await look(other)
        assert (likeness(original, copy), distance(original, copy)) == ("frame-identical", 0)


@pytest.mark.parametrize("prompt", PROMPTS)
async def test_a_re_encoded_clip_is_near(look, prompt: str) -> None:
    """Another quality (to where it falls apart) and another size: new frames, the same look."""
    clip = render_clip("m", prompt, 1)
    original = await look(clip)
    copies = [encoded(clip, 18), encoded(clip, 28), encoded(clip, 40)]
    copies += [encoded(clip, 23, (160, 90)), encoded(clip, 23, (640, 360))]
    for copy in [await look(one) for one in copies]:
        assert likeness(original, copy) == "near"
        assert LEAST <= distance(original, copy) <= NEAR * 0.6


async def test_other_seeds_and_other_prompts_are_different(look) -> None:
    """Every pair of three prompts and three seeds."""
    looks = [await look(render_clip("m", prompt, seed)) for prompt in PROMPTS for seed in (1, 2, 3)]
    for one, other in combinations(looks, 2):
        assert likeness(one, other) == "different"


HEX = NUM_FRAMES * HEX_PER_FRAME
looks = st.builds(
    lambda frames, bits: Look(sha256=f"{frames}{bits}", frames_sha256=f"{frames}", phash=f"{bits:0{HEX}x}"),
    st.integers(0, 3),
    st.sampled_from([0, 1, 3, 1 << 200, (1 << 4 * HEX) - 1]),
)


@given(looks, looks, looks)
def test_distance_is_a_metric_of_frames(a: Look, b: Look, c: Look) -> None:
    """Zero for the same frames only, symmetric, no detour shorter, at most one."""
    assert (distance(a, b) == 0) == (a.frames_sha256 == b.frames_sha256)
    assert distance(a, b) == distance(b, a) <= 1


@given(st.permutations(range(4)), st.lists(st.integers(0, 2 ** (4 * HEX) - 1), min_size=4, max_size=4))
def test_no_detour_is_shorter(order: list[int], bits: list[int]) -> None:
    """The triangle inequality, also where hashes agree and frames do not."""
    made = [
        Look(sha256=str(i), frames_sha256=str(i), phash=f"{number:0{HEX}x}") for i, number in enumerate(bits)
    ]
    a, b, c = (made[i] for i in order[:3])
    assert distance(a, c) <= distance(a, b) + distance(b, c) + 1e-12
