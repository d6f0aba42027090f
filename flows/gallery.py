"""The gallery of an OUT whose ledger is at hand: drawn beside its tables, with the command for each row.

Between `manifesting` (or the command `gallery`) and `tasks.gallery`.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from reelsweep.prompts.again import again_command
from reelsweep.prompts.errors import TroubleError
from reelsweep.tasks.artifacts.probe import Prober
from reelsweep.tasks.gallery.posters import draw_posters, missing_posters
from reelsweep.tasks.gallery.write import write_gallery
from reelsweep.tasks.ledger.records import Line
from reelsweep.tasks.manifest.publisher import Lines
from reelsweep.tasks.storage.out import Out

MAX_PAYLOAD_CHARS = 20_000
"""A longer request makes no command for a shell; `reelsweep show` has it."""
POSTERS_S = 5.0
"""What a run spends on posters at its end; `reelsweep gallery` draws the rest."""


def draw(out: Out, lines: Lines, running: bool) -> None:
    """Write the gallery from the tables just published; a Publisher calls it."""
    name = called(out)
    again = None if running else list_commands(lines(), name)
    write_gallery(out, name=name, again=again, running=running)


def called(out: Out) -> str:
    """What a person calls the folder here: its path from where they are, if it is below."""
    folder, here = Path(str(out)), Path.cwd()
    return str(folder.relative_to(here)) if folder.is_relative_to(here) else str(out)


def list_commands(lines: Iterable[Line], out: str) -> Mapping[str, str]:
    """By request fingerprint, the command that makes it again."""
    return {
        line.plan.request_fingerprint: again_command(
            json.loads(line.plan.payload),
            prompt_id=line.plan.prompt_id,
            output=line.plan.output,
            gateway=line.gateway,
            out=out,
        )
        for line in lines
        if len(line.plan.payload) <= MAX_PAYLOAD_CHARS
    }


async def draw_some_posters(out: Out, prober: Prober) -> None:
    """Draw the posters that a few seconds allow; a page without them is whole too."""
    with suppress(TimeoutError, TroubleError):
        async with asyncio.timeout(POSTERS_S):
            await draw_posters(out.desk, await asyncio.to_thread(missing_posters, out.desk), prober)
