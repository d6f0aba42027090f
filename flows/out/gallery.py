"""The gallery of an OUT whose ledger is at hand: drawn beside its tables, with the command for each row.

Between `manifesting` (or the command `gallery`) and `tasks.gallery`.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
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
from reelsweep.tasks.ledger.records import PlanRow
from reelsweep.tasks.manifest.publisher import Lines
from reelsweep.tasks.storage.out import Out

MAX_PAYLOAD_CHARS = 20_000
"""A longer request makes no command for a shell; `reelsweep show` has it."""
POSTERS_S = 5.0
"""What a run spends on posters at its end; `reelsweep gallery` draws the rest."""


def draw(out: Out, lines: Lines, running: bool) -> None:
    """Write the gallery from the tables just published; a Publisher calls it."""
    name = called(out)
    again = None if running else list_commands(lines, name, lambda sha256: out.find("inputs", sha256))
    write_gallery(out, name=name, again=again, running=running)


def called(out: Out) -> str:
    """What a person calls the folder here: its path from where they are, if it is below."""
    folder, here = Path(str(out)), Path.cwd()
    return str(folder.relative_to(here)) if folder.is_relative_to(here) else str(out)


def list_commands(lines: Lines, name: str, images: Images) -> Mapping[str, str]:
    """By what is asked of whom (`asked_of`), the command that makes it again into a folder beside `name`.

    Memory holds the commands, and of the requests those alone that follow or are followed.
    """
    commands: dict[str, str] = {}
    following: list[tuple[PlanRow, str]] = []
    followed: Mapping[str, str] = {}

    def take(plan: PlanRow, gateway: str) -> None:
        if len(plan.payload) <= MAX_PAYLOAD_CHARS:
            with suppress(KeyError):  # it follows a row beyond those of the page
                asked = asked_of(plan.request_fingerprint, gateway)
                command = command_for(plan, gateway, name, _payloads(followed, gateway), images)
                commands.update({} if command is None else {asked: command})

    for line in islice(lines(), MAX_ROWS):
        if line.plan.follows is None:
            take(line.plan, line.gateway)
        else:
            following.append((line.plan, line.gateway))
    if following:
        followed = _followed(lines, following)
    for plan, gateway in following:
        take(plan, gateway)
    return commands


def _followed(lines: Lines, following: Sequence[tuple[PlanRow, str]]) -> Mapping[str, str]:
    """The requests that others follow, by `asked_of`."""
    wanted = {asked_of(plan.follows or "", gateway) for plan, gateway in following}
    named = (
        (asked_of(line.plan.request_fingerprint, line.gateway), line.plan.payload)
        for line in islice(lines(), MAX_ROWS)
    )
    return {asked: payload for asked, payload in named if asked in wanted}


def _payloads(followed: Mapping[str, str], gateway: str) -> Payloads:
    return lambda fingerprint: followed[asked_of(fingerprint, gateway)]


def draw_some_posters(out: Out, prober: Prober) -> None:
    """Draw the posters that a few seconds allow; a page without them is whole too. Blocks."""
    give_up_at = time.monotonic() + POSTERS_S
    with suppress(TroubleError):
        clips = missing_posters(out.desk)
        draw_posters(out.desk, clips, prober, goes_on=lambda: time.monotonic() < give_up_at)
