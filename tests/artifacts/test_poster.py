"""The picture that stands for a clip, drawn where clips are decoded."""

from __future__ import annotations

import io

import pytest
from PIL import Image
from reelsweep.tasks.artifacts.facts import InvalidVideo
from reelsweep.tasks.artifacts.poster import SIDE


def test_a_poster_is_a_small_jpeg_in_the_clips_proportions(prober, render, save) -> None:
    """Large clips are made small, small ones stay; two drawings are the same bytes."""
    for width, height, wanted in ((1280, 720, (SIDE, 216)), (96, 128, (96, 128))):
        path = save(render(width=width, height=height))
        poster = prober.poster(path)
        assert Image.open(io.BytesIO(poster)).format == "JPEG"
        assert Image.open(io.BytesIO(poster)).size == wanted
        assert prober.poster(path) == poster


def test_what_is_no_clip_has_no_poster(prober, render, save) -> None:
    """A page instead of a clip, and a clip without one whole frame, are refused with a reason."""
    for content in (b"<!doctype html>", render()[:600]):
        with pytest.raises(InvalidVideo):
            prober.poster(save(content))


async def test_a_worker_inspects_and_draws_in_turn(prober, render, save) -> None:
    """The same worker answers both questions, also after it refused a file."""
    path = save(render())
    facts = await prober.probe(path)
    with pytest.raises(InvalidVideo):
        prober.poster(save(b"", "empty"))
    assert prober.poster(path)
    assert await prober.probe(path) == facts
