"""`reelsweep status [OUT]`: counts, spend and what is in flight, from the ledger, also during a run."""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter
from reelsweep.flows.commands.screen import print_json
from reelsweep.flows.out.outs import LookedInto, OpenOut, is_only_to_look_at, look_into, open_out
from reelsweep.flows.out.places import find_out, reconcile_with
from reelsweep.flows.prepare import RUNS
from reelsweep.flows.reporting.display import escape_terminal
from reelsweep.prompts.errors import ReelsweepError, TroubleError
from reelsweep.prompts.wording import count
from reelsweep.tasks.ledger.records import Picture
from reelsweep.tasks.manifest.outfile import NAME, OutFacts, read_out
from reelsweep.tasks.manifest.picture import read_published

OPEN_WORDS = {"unknown": "unknown", "waiting": "paid for and not here"}


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
    found = [status_of(out, ledger)] if out is not None else _all(ledger)
    if json:
        print_json(found[0] if out is not None else {"runs": found})
        return 0
    for line in (line for document in found for line in status_lines(document)):
        sys.stdout.write(line + "\n")
    if not found:
        sys.stdout.write(f"No runs below {RUNS}/. Make one: reelsweep run example:\n")
    return 0


def _all(ledger: str | None) -> list[dict[str, Any]]:
    return [listed(path, ledger) for path in found_outs(RUNS)]


def found_outs(folder: Path) -> list[Path]:
    """Output folders below `folder`, newest last."""
    marks = [*folder.glob(f"*/{NAME}"), *folder.glob(f"*/*/{NAME}")]
    return [mark.parent for mark in sorted(marks, key=lambda mark: mark.stat().st_mtime)]


def status_of(out: str | Path, ledger: str | None = None) -> dict[str, Any]:
    """One OUT's numbers. Raises ReelsweepError where neither its ledger nor its files tell them."""
    if is_only_to_look_at(out, ledger):
        return _looked_at(out, ledger)
    try:
        with open_out(out, ledger) as opened:
            return _document(out, ledger, opened.facts, _picture(opened))
    except TroubleError:
        # a full disk still tells what is in it
        with suppress(ReelsweepError), look_into(out, ledger) as opened:
            return _document(out, ledger, opened.facts, _picture(opened))
        raise


def listed(out: Path, ledger: str | None = None) -> dict[str, Any]:
    """One of several: where its ledger cannot be asked its files are, else it is said why not.

    `ledger` is that of the OUTs that have none in them.
    """
    try:
        facts = read_out(find_out(out))
        return status_of(out, ledger if facts is not None and facts.ledger == "named" else None)
    except ReelsweepError as error:
        with suppress(ReelsweepError):
            return _published(out, error)
        return {"out": str(out), "error": error.message, "remedy": error.remedy}


def _looked_at(out: str | Path, ledger: str | None) -> dict[str, Any]:
    """The numbers of an OUT that cannot be written to."""
    note = "it cannot be written to; its ledger was only read"
    try:
        with look_into(out, ledger) as opened:
            document = _document(out, ledger, opened.facts, _picture(opened))
            remedy = document["remedy"] and f"where it can be written to, {document['remedy']}"
            return {**document, "note": note, "remedy": remedy}
    except TroubleError as error:
        return _published(out, error)


def _published(out: str | Path, error: ReelsweepError) -> dict[str, Any]:
    """What the files say, and why it is not the ledger: what helps against that comes before all else."""
    facts = read_out(find_out(out))
    if facts is None:
        raise error
    document = _document(out, None, facts, read_published(str(out)))
    note = f"as its files were last published: {error}"
    return {**document, "source": "files", "note": note, "remedy": None}


def _picture(opened: OpenOut | LookedInto) -> Picture:
    return asyncio.run(opened.ledger.picture(opened.facts.out_id))


def _document(out: str | Path, ledger: str | None, facts: OutFacts, picture: Picture) -> dict[str, Any]:
    tally = picture.tally
    return {
        "out": str(out),
        "table": facts.table,
        "ended": facts.ended,
        "counts": {name: number for name, number in sorted(tally.counts.items()) if number},
        "posts": tally.posts,
        "in_flight": tally.in_flight,
        "cost_usd": tally.cost_musd / 1e6,
        "reserved_usd": tally.reserved_musd / 1e6,
        "open": [asdict(one) for one in picture.open_at],
        "remedy": _remedy(out, ledger, facts) if picture.open_at else None,
        "source": "ledger",
        "note": None,
    }


def _remedy(out: str | Path, ledger: str | None, facts: OutFacts) -> str:
    """What to do about what is open: of a sandbox that has ended nothing can be asked."""
    again = "`reelsweep run` with --on-unknown resubmit makes again what is unknown"
    if facts.gateway_kind == "sandbox":
        return again
    return f"`{reconcile_with(str(out), ledger)}` asks for what is open; {again}"


def status_lines(document: dict[str, Any]) -> list[str]:
    """One OUT: a line of numbers, where they come from when not from its ledger, and what is open where."""
    if "error" in document:
        return [escape_terminal(f"{document['out']}: {document['error']} {document['remedy']}".rstrip())]
    notes = [document["note"]] if document["note"] else []
    notes += [open_line(one) for one in document["open"]]
    notes += [document["remedy"]] if document["remedy"] else []
    return [status_line(document), *(escape_terminal(f"  {note}") for note in notes)]


def open_line(one: dict[str, Any]) -> str:
    """What one gateway has left open."""
    told = [f"{one[name]} {words}" for name, words in OPEN_WORDS.items() if one[name]]
    left = f" ({one['num_left']} not in the latest plan)" if one["num_left"] else ""
    return f"{', '.join(told)} at {one['gateway'][:200]}{left}"


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
