"""Posters of the clips of an OUT, drawn in the decoder's worker processes.

Before `write.py`. A clip without one shows its first frame, so posters may be missing at any time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from reelsweep.prompts.errors import ReelsweepError
from reelsweep.tasks.artifacts.disk import write_whole
from reelsweep.tasks.artifacts.facts import InvalidVideo
from reelsweep.tasks.artifacts.probe import Prober
from reelsweep.tasks.gallery.cells import poster_name

AT_A_TIME = 4
"""Enough to keep the workers busy."""


def missing_posters(out: Path) -> list[Path]:
    """Clips below `out` that have no poster, in the order of their names."""
    clips = sorted((out / "videos").glob("[0-9a-f][0-9a-f]/*"))
    return [clip for clip in clips if not (out / poster_name(clip.stem)).exists()]


async def draw_posters(
    out: Path, clips: Iterable[Path], prober: Prober, on_drawn: Callable[[], None] = lambda: None
) -> None:
    """Draw a poster of each clip; one that cannot be drawn is left out. Cancel it when it takes too long.

    Raises TroubleError when they cannot be written or no worker starts.
    """
    todo = iter(clips)
    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(AT_A_TIME):
                group.create_task(_draw(out, todo, prober, on_drawn))
    except* ReelsweepError as errors:
        raise errors.exceptions[0] from None


async def _draw(out: Path, todo: Iterator[Path], prober: Prober, on_drawn: Callable[[], None]) -> None:
    for clip in todo:
        with suppress(InvalidVideo):
            poster = await prober.poster(clip)
            await asyncio.to_thread(write_whole, out / poster_name(clip.stem), poster, durable=False)
        on_drawn()
