"""`reelsweep status [OUT]`: counts, spend and what is in flight, from the ledger, also during a run."""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter
from reelsweep.flows.commands.screen import print_json
from reelsweep.flows.out.outs import open_out
from reelsweep.flows.prepare import RUNS
from reelsweep.flows.reporting.display import escape_terminal
from reelsweep.prompts.errors import TroubleError
from reelsweep.prompts.wording import count
from reelsweep.tasks.manifest.outfile import NAME


def status(
    out: str | None = None,
    *,
    ledger: str | None = None,
    json: Annotated[bool, Parameter(negative=())] = False,
) -> int:
    """Show counts, spend and what is in flight; without OUT, the runs below runs/.

    Parameters
    ----------
    out
        An output folder.
    ledger
        Its ledger, when that is not OUT/ledger.db.
    json
        Print one JSON object on stdout.
    """
    outs = [out] if out is not None else found_outs(RUNS)
    found = [status_of(path, ledger) for path in outs]
    if json:
        print_json(found[0] if out is not None else {"runs": found})
        return 0
    for document in found:
        sys.stdout.write(status_line(document) + "\n")
    if not found:
        sys.stdout.write(f"No runs below {RUNS}/. Make one: reelsweep run example:\n")
    return 0


def found_outs(folder: Path) -> list[Path]:
    """Output folders below `folder`, newest last."""
    marks = [*folder.glob(f"*/{NAME}"), *folder.glob(f"*/*/{NAME}")]
    return [mark.parent for mark in sorted(marks, key=lambda mark: mark.stat().st_mtime)]


def status_of(out: str | Path, ledger: str | None = None) -> dict[str, Any]:
    """One OUT's numbers."""
    with open_out(out, ledger) as opened:
        with suppress(TroubleError):  # a full disk still tells what is in it
            asyncio.run(opened.ledger.bury_dead())
        tally = asyncio.run(opened.ledger.tally(opened.facts.out_id))
    return {
        "out": str(out),
        "table": opened.facts.table,
        "ended": opened.facts.ended,
        "counts": {name: number for name, number in sorted(tally.counts.items()) if number},
        "posts": tally.posts,
        "in_flight": tally.in_flight,
        "cost_usd": tally.cost_musd / 1e6,
        "reserved_usd": tally.reserved_musd / 1e6,
    }


def status_line(document: dict[str, Any]) -> str:
    """One OUT in one line."""
    counts = ", ".join(f"{number} {name}" for name, number in document["counts"].items()) or "nothing planned"
    money = f"{document['cost_usd']:.2f} USD spent"
    if document["reserved_usd"]:
        money += f", {document['reserved_usd']:.2f} reserved"
    elif not document["cost_usd"]:
        money = "no cost known"
    flight = f", {document['in_flight']} in flight" if document["in_flight"] else ""
    return escape_terminal(
        f"{document['out']}: {counts}{flight}; {count(document['posts'], 'POST')}, {money}"
    )
