"""Posters of the clips of an OUT, drawn in the decoder's worker processes.

Before `write.py`. A clip without one shows its first frame, so posters may be missing at any time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path

from reelsweep.tasks.artifacts.disk import write_whole
from reelsweep.tasks.artifacts.facts import InvalidVideo
from reelsweep.tasks.artifacts.probe import Prober
from reelsweep.tasks.gallery.cells import poster_name

AT_A_TIME = 2
"""Each keeps a worker busy."""


def missing_posters(out: Path) -> list[Path]:
    """Clips below `out` that have no poster, in the order of their names."""
    clips = sorted((out / "videos").glob("[0-9a-f][0-9a-f]/*"))
    return [clip for clip in clips if not (out / poster_name(clip.stem)).exists()]


def draw_posters(
    out: Path,
    clips: Iterable[Path],
    prober: Prober,
    *,
    goes_on: Callable[[], bool] = lambda: True,
    on_drawn: Callable[[], None] = lambda: None,
) -> None:
    """Draw a poster of each clip while `goes_on`; one that cannot be drawn is left out. Blocks.

    Raises TroubleError when they cannot be written or no worker starts.
    """
    with ThreadPoolExecutor(AT_A_TIME, thread_name_prefix="reelsweep-poster") as threads:
        for _ in threads.map(partial(_draw, out, prober, goes_on), clips):
            on_drawn()


def _draw(out: Path, prober: Prober, goes_on: Callable[[], bool], clip: Path) -> None:
    if goes_on():
        with suppress(InvalidVideo):
            write_whole(out / poster_name(clip.stem), prober.poster(clip), durable=False)
