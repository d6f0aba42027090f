"""`reelsweep reconcile OUT`: bring open attempts to their end without paying again."""

from __future__ import annotations

import asyncio
import shlex
import sys
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from reelsweep.flows.access import SANDBOX
from reelsweep.flows.commands.screen import print_json
from reelsweep.flows.options import DEFAULT_KEY_ENV, RunOptions
from reelsweep.flows.out.gallery import draw
from reelsweep.flows.out.outs import OpenOut, open_out
from reelsweep.flows.out.places import find_out, only_writer, reconcile_with
from reelsweep.flows.planning.claim import refuse_older
from reelsweep.flows.planning.seeds import seed_honoured
from reelsweep.flows.recovery.asked import Access, all_asked, open_elsewhere
from reelsweep.flows.recovery.bill import Meaning, parse_mapping
from reelsweep.flows.recovery.left import Left, left_at, next_line
from reelsweep.flows.recovery.rebuild import Rebuilt
from reelsweep.flows.recovery.rebuild import rebuild as rebuild_ledger
from reelsweep.flows.recovery.reconcile import Reconciled, reconcile_out
from reelsweep.flows.recovery.settling import as_document, as_lines, read_joined, settle
from reelsweep.flows.reporting.display import escape_terminal
from reelsweep.prompts.errors import SettingsError
from reelsweep.prompts.pricing import Price
from reelsweep.tasks.manifest.publisher import Publisher
from reelsweep.tasks.manifest.read import kept_facts


def reconcile(
    out: str,
    *,
    gateway: str | None = None,
    api_key_env: str = DEFAULT_KEY_ENV,
    ledger: str | None = None,
    price: str | None = None,
    bill: str | None = None,
    bill_columns: str | None = None,
    rebuild: Annotated[bool, Parameter(negative=())] = False,
    json: Annotated[bool, Parameter(negative=())] = False,
) -> int:
    """Ask about unknown attempts, read kept transcripts again, download what was not stored. Never POSTs.

    Parameters
    ----------
    out
        An output folder.
    gateway
        The gateway that made it, or the profile that says where it is now (or sandbox:PORT). When not given,
        the one of its latest run, and the others where something is open, as you have named them here before;
        one you have not is sent nothing. While anything is open at any of them, the exit code is 1.
    api_key_env
        The environment variable that holds the key.
    ledger
        Its ledger, when that is not OUT/ledger.db.
    price
        US dollars a generation or a second, to settle what turns out to be billed by whoever is asked (where
        gateways differ, name one with --gateway); with --rebuild, to reserve for what may have been sent
        (else the dearest that the files know of).
    bill
        A file of what the gateway charged, CSV or JSON Lines: attempts that were maybe billed are settled by
        it, and it is shown what is in one and not in the other. The gateway is not asked.
    bill_columns
        The bill's columns where their names do not tell: key=COL,cost=COL,status=COL,time=COL.
        Amounts are US dollars, or cents where the column's name says so.
    rebuild
        Make a lost ledger anew from the manifest and the clips. What may have been sent since the manifest
        was written becomes unknown. The gateway is not asked.
    json
        Print one JSON object on stdout.
    """
    if rebuild:
        return _rebuild(out, ledger, None if price is None else Price.parse(price), as_json=json)
    if bill is not None:
        return _by_bill(out, ledger, Path(bill), parse_mapping(bill_columns), as_json=json)
    if bill_columns is not None:
        raise SettingsError("--bill-columns names the columns of a bill, and there is none.", "Give --bill.")
    parsed = None if price is None else Price.parse(price)
    with open_out(out, ledger) as opened:
        refuse_older(opened.storage, opened.ledger)
        options = RunOptions(gateway=gateway or "", api_key_env=api_key_env)
        accesses = all_asked(opened, options)
        done = [_ask(opened, to, parsed) for to in accesses]
        elsewhere = open_elsewhere(opened, accesses)
        _publish(opened)
        left = _left(opened)
    looked_at, counts = sum(it.looked_at for it in done), Counter[str]()
    for it in done:
        counts.update(it.counts)
    if json:
        counted = {"looked_at": looked_at, "counts": dict(counts), **asdict(left)}
        print_json({**counted, "elsewhere": elsewhere})
    else:
        told = [_line(looked_at, counts, left), *(_line_elsewhere(*item) for item in elsewhere.items())]
        words = ("--gateway", shlex.quote(gateway)) if gateway and gateway.startswith(SANDBOX) else ()
        _tell([*told, next_line(partial(reconcile_with, find_out(out), ledger, *words), left, "gateways")])
    return 1 if left.is_open else 0


def _ask(opened: OpenOut, to: Access, price: Price | None) -> Reconciled:
    storage, facts, ledger = opened.storage, opened.facts, opened.ledger
    return asyncio.run(reconcile_out(storage, facts, ledger, to.profile, to.gateway, to.key, price))


def _by_bill(out: str, ledger: str | None, path: Path, named: Mapping[Meaning, str], *, as_json: bool) -> int:
    with open_out(out, ledger) as opened:
        refuse_older(opened.storage, opened.ledger)
        asyncio.run(opened.ledger.bury_dead())
        settled = read_joined(path, named, opened.ledger, opened.facts.out_id)
        asyncio.run(settle(opened.ledger, settled.joined))
        _publish(opened)
        left = _left(opened)
    document = {**as_document(settled), **asdict(left)}
    asked = "bill" if settled.joined.undecided else "whole bill"
    if as_json:
        print_json(document)
    else:
        next_step = next_line(partial(reconcile_with, find_out(out), ledger), left, asked)
        _tell([*as_lines(document), f"{left.unknown} rows unknown", next_step])
    return 1 if left.unknown else 0


def _rebuild(out: str, ledger: str | None, price: Price | None, *, as_json: bool) -> int:
    done = rebuild_ledger(find_out(out), ledger, price)
    with open_out(out, ledger) as opened:
        _publish(opened)
        left = _left(opened)
    if as_json:
        print_json({**asdict(done), **asdict(left)})
    else:
        made = (
            f"a new ledger with {done.rows} rows and {done.attempts} attempts; {left.unknown} rows unknown,"
            f" {done.num_held} of them for want of a record; {done.num_unasked} requests were sent for no row"
            f" of the manifest; {done.num_broken} clips are gone or changed"
        )
        next_step = next_line(partial(reconcile_with, find_out(out), ledger), left, "files")
        _tell([made, *_about_money(done), next_step])
    return 1 if left.unknown else 0


def _about_money(done: Rebuilt) -> list[str]:
    if done.is_reserved or not done.num_held:
        return []
    return [
        "no price is known, so a budget does not count them: to reserve them, move the ledger away again and"
        " rebuild with --price"
    ]


def _left(opened: OpenOut) -> Left:
    """What is open at whichever gateway; an OUT without a run has nothing."""
    return asyncio.run(_ask_left(opened))


async def _ask_left(opened: OpenOut) -> Left:
    out_id, ledger = opened.facts.out_id, opened.ledger
    return await left_at(ledger, out_id, [str(run["gateway"]) for run in await ledger.runs(out_id)])


def _tell(lines: Iterable[str]) -> None:
    sys.stdout.write("".join(escape_terminal(line) + "\n" for line in lines))


def _publish(opened: OpenOut) -> None:
    publisher = Publisher(opened.storage, time.monotonic, draw)
    with only_writer(opened.storage, opened.ledger), opened.ledger.state(opened.facts.out_id) as state:
        publisher.publish(
            state.lines,
            state.attempts,
            {**kept_facts(str(opened.storage)), **opened.facts.as_facts()},
            seed_honoured(opened.storage),
        )


def _line_elsewhere(gateway: str, number: int) -> str:
    return f"{number} open at {gateway[:200]}, which was not asked: name it with --gateway"


def _line(looked_at: int, counts: Mapping[str, int], left: Left) -> str:
    told = ", ".join(f"{number} {status}" for status, number in sorted(counts.items()))
    return f"looked at {looked_at} attempts: {told or 'nothing to do'}; {left.unknown} rows unknown"
