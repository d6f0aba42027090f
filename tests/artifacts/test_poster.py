"""The picture that stands for a clip, drawn where clips are decoded."""

from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor

import pytest
from PIL import Image
from reelsweep.tasks.artifacts.facts import InvalidVideo
from reelsweep.tasks.artifacts.poster import SIDE
from reelsweep.tasks.artifacts.probe import Prober


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


def test_posters_start_no_more_workers_than_a_prober_has(render, save) -> None:
    """A worker takes 60 MB: threads that draw at once wait for one another."""
    path = save(render())
    with Prober(1) as own, ThreadPoolExecutor(3) as threads:
        assert len(set(threads.map(own.poster, [path] * 6))) == 1
        assert len(own.worker_pids) == 1
