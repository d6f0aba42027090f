"""The gallery of an OUT whose ledger is at hand: drawn beside its tables, with the command for each row.

Between `manifesting` (or the command `gallery`) and `tasks.gallery`.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from itertools import islice
from pathlib import Path

from reelsweep.flows.out.again import Images, Payloads, command_for
from reelsweep.prompts.errors import TroubleError
from reelsweep.tasks.artifacts.probe import Prober
from reelsweep.tasks.gallery.cells import MAX_ROWS
from reelsweep.tasks.gallery.posters import draw_posters, missing_posters
from reelsweep.tasks.gallery.record import asked_of
from reelsweep.tasks.gallery.write import write_gallery
from reelsweep.tasks.ledger.records import Line, PlanRow
from reelsweep.tasks.manifest.publisher import Lines
from reelsweep.tasks.storage.out import Out

MAX_PAYLOAD_CHARS = 20_000
"""A longer request makes no command for a shell; `reelsweep show` has it."""
POSTERS_S = 5.0
"""What a run spends on posters at its end; `reelsweep gallery` draws the rest."""


def draw(out: Out, lines: Lines, running: bool) -> None:
    """Write the gallery from the tables just published; a Publisher calls it."""
    name = called(out)
    again = None if running else list_commands(lines(), name, lambda sha256: out.find("inputs", sha256))
    write_gallery(out, name=name, again=again, running=running)


def called(out: Out) -> str:
    """What a person calls the folder here: its path from where they are, if it is below."""
    folder, here = Path(str(out)), Path.cwd()
    return str(folder.relative_to(here)) if folder.is_relative_to(here) else str(out)


def list_commands(lines: Iterable[Line], name: str, images: Images) -> Mapping[str, str]:
    """By what is asked of whom (`asked_of`), the command that makes it again into a folder beside `name`."""
    known = {
        asked_of(line.plan.request_fingerprint, line.gateway): (line.plan, line.gateway)
        for line in islice(lines, MAX_ROWS)
    }
    commands: dict[str, str] = {}
    for asked, (plan, gateway) in known.items():
        if len(plan.payload) <= MAX_PAYLOAD_CHARS:
            with suppress(KeyError):  # it follows a row beyond those of the page
                command = command_for(plan, gateway, name, _payloads(known, gateway), images)
                commands |= {} if command is None else {asked: command}
    return commands


def _payloads(known: Mapping[str, tuple[PlanRow, str]], gateway: str) -> Payloads:
    return lambda fingerprint: known[asked_of(fingerprint, gateway)][0].payload


def draw_some_posters(out: Out, prober: Prober) -> None:
    """Draw the posters that a few seconds allow; a page without them is whole too. Blocks."""
    give_up_at = time.monotonic() + POSTERS_S
    with suppress(TroubleError):
        clips = missing_posters(out.desk)
        draw_posters(out.desk, clips, prober, goes_on=lambda: time.monotonic() < give_up_at)
