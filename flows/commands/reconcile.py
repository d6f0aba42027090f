"""`reelsweep reconcile OUT`: bring open attempts to their end without paying again."""

from __future__ import annotations

import asyncio
import sys
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from reelsweep.flows.access import SANDBOX, key_of, named_gateway
from reelsweep.flows.commands.screen import print_json
from reelsweep.flows.options import DEFAULT_KEY_ENV, RunOptions
from reelsweep.flows.out.gallery import draw
from reelsweep.flows.out.outs import OpenOut, open_out
from reelsweep.flows.out.places import find_out, only_writer
from reelsweep.flows.planning.claim import refuse_older
from reelsweep.flows.planning.seeds import seed_honoured
from reelsweep.flows.recovery.bill import Meaning, parse_mapping
from reelsweep.flows.recovery.rebuild import rebuild as rebuild_ledger
from reelsweep.flows.recovery.reconcile import Reconciled, reconcile_out
from reelsweep.flows.recovery.settling import as_document, as_lines, read_joined, settle
from reelsweep.flows.reporting.display import escape_terminal
from reelsweep.flows.trust import gateways_of, remember, with_gateway
from reelsweep.prompts.errors import OutError, SettingsError
from reelsweep.prompts.pricing import Price
from reelsweep.tasks.gateway.profiles import Profile
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
        the one of its latest run, as you have named it here before; one you have not is sent nothing.
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
        parsed = None if price is None else Price.parse(price)
        to = _access(opened, RunOptions(gateway=gateway or "", api_key_env=api_key_env))
        done = asyncio.run(
            reconcile_out(opened.storage, opened.facts, opened.ledger, to.profile, to.gateway, to.key, parsed)
        )
        elsewhere = _open_elsewhere(opened, to.gateway)
        _publish(opened)
        stand = _stand(opened, [to.gateway])
        left, unfetched = stand["unknown"], stand["failed_to_download"]
    if json:
        counted = {"looked_at": done.looked_at, "counts": dict(done.counts), "unknown": left}
        print_json({**counted, "elsewhere": elsewhere})
    else:
        lines = [_line(done, left), *(_line_elsewhere(*item) for item in elsewhere.items())]
        sys.stdout.write("".join(escape_terminal(line) + "\n" for line in lines))
    return 1 if left or unfetched else 0


def _by_bill(out: str, ledger: str | None, path: Path, named: Mapping[Meaning, str], *, as_json: bool) -> int:
    with open_out(out, ledger) as opened:
        refuse_older(opened.storage, opened.ledger)
        asyncio.run(opened.ledger.bury_dead())
        settled = read_joined(path, named, opened.ledger, opened.facts.out_id)
        asyncio.run(settle(opened.ledger, settled.joined))
        _publish(opened)
        left = _unknown(opened)
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
        left = _unknown(opened)
    if as_json:
        print_json({**asdict(done), "unknown": left})
    else:
        sys.stdout.write(
            f"a new ledger with {done.rows} rows and {done.attempts} attempts; {left} rows unknown,"
            f" {done.num_held} of them for want of a record; {done.num_unasked} requests were sent for no row"
            f" of the manifest; {done.num_broken} clips are gone or changed\n"
        )
    return 1 if left else 0


@dataclass(frozen=True, slots=True)
class _Access:
    """Who is asked, and what for."""

    profile: Profile
    key: str | None = field(repr=False)
    gateway: str
    """The ledger's name of it."""


def _access(opened: OpenOut, options: RunOptions) -> _Access:
    """The gateway to ask, and the key it gets. Raises UsageError for one that did not make this OUT."""
    asked = with_gateway(opened, options)
    named, made = named_gateway(asked), gateways_of(opened)
    is_sandbox = opened.facts.gateway_kind == "sandbox"
    if named.is_sandbox != is_sandbox or (not is_sandbox and named.gateway not in made):
        raise OutError(
            f"{opened.storage} was made by {_listed(made)}, not by {named.gateway}.",
            "Name the gateway that made it; where it has moved, a profile with both addresses.",
        )
    if is_sandbox:
        port = asked.gateway.removeprefix(SANDBOX)
        return _Access(_sandbox(named.profile, port, is_named=bool(options.gateway)), None, made[-1])
    key = key_of(named, asked)
    remember(named, asked)
    return _Access(named.profile, key, named.gateway)


def _listed(made: Iterable[str]) -> str:
    """The gateways by name, the latest last."""
    latest_first = dict.fromkeys(reversed(list(made)))
    return " and ".join(repr(name[:200]) for name in reversed(latest_first))


def _unknown(opened: OpenOut) -> int:
    """Rows of unknown fate, whichever gateway has them; an OUT without a run has none."""
    runs = asyncio.run(opened.ledger.runs(opened.facts.out_id))
    return _stand(opened, (str(run["gateway"]) for run in runs))["unknown"]


def _stand(opened: OpenOut, gateways: Iterable[str]) -> Counter[str]:
    """How many generations of these gateways stand how, also those that the latest plan does not ask for."""
    out_id, ledger = opened.facts.out_id, opened.ledger
    standings = (asyncio.run(ledger.standings(name, None, out_id)) for name in dict.fromkeys(gateways))
    return Counter(standing.status for known in standings for standing in known.values())


def _open_elsewhere(opened: OpenOut, asked: str) -> dict[str, int]:
    """Attempts that are open at other gateways of this OUT, which were not asked."""
    others = (name for name in dict.fromkeys(gateways_of(opened)) if name != asked)
    out_id, ledger = opened.facts.out_id, opened.ledger
    numbers = {name: len(asyncio.run(ledger.unfinished(out_id, name))) for name in others}
    return {name: number for name, number in numbers.items() if number}


def _sandbox(profile: Profile, port: str, *, is_named: bool) -> Profile:
    """The sandbox on a port of this machine, which the user names and never an OUT."""
    if not port and not is_named:
        raise SettingsError(
            "This OUT was made by a sandbox, and none is named.",
            "Name the one that runs still: --gateway sandbox:PORT. If it is gone, `reelsweep run` with"
            " --on-unknown resubmit makes the rows again.",
        )
    if port and not port.isdigit():
        raise SettingsError(f"--gateway: got {SANDBOX + port!r}, expected sandbox: or sandbox:PORT.")
    return profile.model_copy(update={"base_url": f"http://127.0.0.1:{port or '8777'}/v1"})


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


def _line(done: Reconciled, left: int) -> str:
    counts = ", ".join(f"{number} {status}" for status, number in sorted(done.counts.items()))
    return f"looked at {done.looked_at} attempts: {counts or 'nothing to do'}; {left} rows unknown"
