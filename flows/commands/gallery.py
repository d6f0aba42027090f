"""`reelsweep gallery OUT`: posters and page of what an OUT holds, to look at in a browser."""

from __future__ import annotations

import sys
import webbrowser
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from reelsweep.flows.commands.meter import metering
from reelsweep.flows.commands.screen import print_json
from reelsweep.flows.out.gallery import called, draw
from reelsweep.flows.out.outs import open_out
from reelsweep.flows.out.places import find_out, only_writer
from reelsweep.flows.reporting.display import escape_terminal
from reelsweep.tasks.artifacts.probe import Prober
from reelsweep.tasks.gallery.posters import AT_A_TIME, draw_posters, missing_posters
from reelsweep.tasks.gallery.write import PAGE, write_gallery
from reelsweep.tasks.manifest.write import PARQUET
from reelsweep.tasks.storage.out import FolderOut, Out


def gallery(
    out: str,
    *,
    ledger: str | None = None,
    open: Annotated[bool, Parameter(negative=())] = False,
    json: Annotated[bool, Parameter(negative=())] = False,
) -> int:
    """Write the contact sheet of an output folder anew: index.html, to open without a server or a network.

    A run writes it too, with the posters it has time for. This draws those that are missing; the folder may
    be a copy, without a ledger (then the records lack the command that makes a clip again).

    Parameters
    ----------
    out
        An output folder.
    ledger
        Its ledger, when that is not OUT/ledger.db.
    open
        Show it in a browser.
    json
        Print one JSON object on stdout.
    """
    storage = find_out(out)
    num_posters = _draw_posters(storage.desk)
    _write(out, storage, ledger)
    page = storage.desk / PAGE
    address = page.as_uri() if isinstance(storage, FolderOut) else f"{storage}/{PAGE}"
    if json:
        print_json({"out": str(storage), "page": address, "posters": num_posters})
    else:
        sys.stdout.write(escape_terminal(address) + "\n")
    if open and not webbrowser.open(page.as_uri()):
        sys.stderr.write("No browser was found here; open the address in one.\n")
    return 0


def _draw_posters(folder: Path) -> int:
    """Draw what is missing, with its progress on stderr; how many were to be drawn."""
    clips = missing_posters(folder)
    if clips:
        with metering() as meter, Prober(AT_A_TIME) as prober:
            tick = meter("posters", len(clips))
            draw_posters(folder, clips, prober, on_drawn=lambda: tick(1))
    return len(clips)


def _write(out: str, storage: Out, ledger: str | None) -> None:
    if ledger is None and isinstance(storage, FolderOut) and not storage.has("ledger.db"):
        write_gallery(storage, name=called(storage))
        return
    with (
        open_out(out, ledger) as opened,
        only_writer(opened.storage, opened.ledger),
        opened.ledger.state(opened.facts.out_id) as state,
    ):
        opened.storage.bring(PARQUET)
        draw(opened.storage, state.lines, False)
        opened.storage.publish((*PARQUET, PAGE))
