"""`reelsweep reconcile OUT`: bring open attempts to their end without paying again."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from reelsweep.flows.access import SANDBOX, key_of, named_gateway
from reelsweep.flows.bill import Meaning, parse_mapping
from reelsweep.flows.claim import refuse_older
from reelsweep.flows.commands.screen import print_json
from reelsweep.flows.display import escape_terminal
from reelsweep.flows.gallery import draw
from reelsweep.flows.options import DEFAULT_KEY_ENV, RunOptions
from reelsweep.flows.outs import OpenOut, open_out
from reelsweep.flows.places import find_out, only_writer
from reelsweep.flows.rebuild import rebuild as rebuild_ledger
from reelsweep.flows.reconcile import Reconciled, reconcile_out
from reelsweep.flows.seeds import seed_honoured
from reelsweep.flows.settling import as_document, as_lines, read_joined, settle
from reelsweep.prompts.errors import SettingsError
from reelsweep.prompts.pricing import Price
from reelsweep.tasks.gateway.profiles import Profile, load_profile
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
        Where to ask, when the gateway has moved (or sandbox:PORT); else the one of the ledger.
    api_key_env
        The environment variable that holds the key.
    ledger
        Its ledger, when that is not OUT/ledger.db.
    price
        US dollars a generation or a second, to settle what turns out to be billed; with --rebuild, to reserve
        for what may have been sent (else the dearest that the files know of).
    bill
        A CSV file of what the gateway charged: attempts that were maybe billed are settled by it, and it
        is shown what is in one and not in the other. The gateway is not asked.
    bill_columns
        The bill's columns where their names do not tell: key=COL,cost=COL,status=COL,time=COL.
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
    with open_out(out, ledger) as opened:
        refuse_older(opened.storage, opened.ledger)
        latest = asyncio.run(_gateway_of(opened))
        asked = gateway or os.environ.get("REELSWEEP_GATEWAY") or latest
        options = RunOptions(gateway=asked, api_key_env=api_key_env)
        profile, key = _access(options, is_sandbox=opened.facts.gateway_kind == "sandbox")
        parsed = None if price is None else Price.parse(price)
        done = asyncio.run(
            reconcile_out(opened.storage, opened.facts, opened.ledger, profile, latest, key, parsed)
        )
        _publish(opened)
        counts = asyncio.run(opened.ledger.tally(opened.facts.out_id)).counts
        left, unfetched = counts.get("unknown", 0), counts.get("failed_to_download", 0)
    if json:
        print_json({"looked_at": done.looked_at, "counts": dict(done.counts), "unknown": left})
    else:
        sys.stdout.write(_line(done, left) + "\n")
    return 1 if left or unfetched else 0


def _by_bill(out: str, ledger: str | None, path: Path, named: Mapping[Meaning, str], *, as_json: bool) -> int:
    with open_out(out, ledger) as opened:
        refuse_older(opened.storage, opened.ledger)
        asyncio.run(opened.ledger.bury_dead())
        settled = read_joined(path, named, opened.ledger, opened.facts.out_id)
        asyncio.run(settle(opened.ledger, settled.joined))
        _publish(opened)
        left = asyncio.run(opened.ledger.tally(opened.facts.out_id)).counts.get("unknown", 0)
    document = {**as_document(settled), "unknown": left}
    if as_json:
        print_json(document)
    else:
        lines = [*as_lines(document), f"{left} rows unknown"]
        sys.stdout.write("".join(escape_terminal(line) + "\n" for line in lines))
    return 1 if left else 0


def _rebuild(out: str, ledger: str | None, price: Price | None, *, as_json: bool) -> int:
    done = rebuild_ledger(find_out(out), ledger, price)
    with open_out(out, ledger) as opened:
        _publish(opened)
        left = asyncio.run(opened.ledger.tally(opened.facts.out_id)).counts.get("unknown", 0)
    if as_json:
        print_json({**asdict(done), "unknown": left})
    else:
        sys.stdout.write(
            f"a new ledger with {done.rows} rows and {done.attempts} attempts; {left} rows unknown,"
            f" {done.num_held} of them for want of a record; {done.num_broken} clips are gone or changed\n"
        )
    return 1 if left else 0


async def _gateway_of(opened: OpenOut) -> str:
    """The gateway of the OUT's latest run."""
    runs = await opened.ledger.runs(opened.facts.out_id)
    if not runs:
        raise SettingsError(f"{opened.storage} has no run yet.", "Start one with `reelsweep run`.")
    return str(runs[-1]["gateway"])


def _access(options: RunOptions, *, is_sandbox: bool) -> tuple[Profile, str | None]:
    """The gateway to ask, and the key it gets."""
    named = options.gateway
    if named.startswith("sandbox@"):
        raise SettingsError(
            "This OUT was made by a sandbox that is gone.", "Name a running one: --gateway sandbox:PORT."
        )
    if named.startswith(SANDBOX):
        base_url = f"http://127.0.0.1:{named.removeprefix(SANDBOX) or '8777'}/v1"
        return load_profile("sandbox").model_copy(update={"base_url": base_url}), None
    found = named_gateway(options)
    return found.profile, None if is_sandbox else key_of(found, options)


def _publish(opened: OpenOut) -> None:
    publisher = Publisher(opened.storage, time.monotonic, draw)
    out_id = opened.facts.out_id
    with only_writer(opened.storage, opened.ledger):
        publisher.publish(
            lambda: opened.ledger.lines(out_id),
            lambda: opened.ledger.attempt_lines(out_id),
            {**kept_facts(str(opened.storage)), **opened.facts.as_facts()},
            seed_honoured(opened.storage),
        )


def _line(done: Reconciled, left: int) -> str:
    counts = ", ".join(f"{number} {status}" for status, number in sorted(done.counts.items()))
    return f"looked at {done.looked_at} attempts: {counts or 'nothing to do'}; {left} rows unknown"
