"""Which gateways of an OUT `reconcile` asks: the one that is named, else all that this user has named here.

Before `reconcile`. The OUT says only which gateways have made something; `trust` says who may be asked.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from reelsweep.flows.access import SANDBOX, key_of, named_gateway
from reelsweep.flows.options import RunOptions
from reelsweep.flows.out.outs import OpenOut
from reelsweep.flows.recovery.left import left_at
from reelsweep.flows.trust import as_before, gateways_of, remember, with_gateway
from reelsweep.prompts.errors import OutError, SettingsError, UsageError
from reelsweep.tasks.gateway.profiles import Profile


@dataclass(frozen=True, slots=True)
class Access:
    """Who is asked, and what for."""

    profile: Profile
    key: str | None = field(repr=False)
    gateway: str
    """The ledger's name of it."""


def all_asked(opened: OpenOut, options: RunOptions) -> list[Access]:
    """Whom to ask: the gateway that is named, else all that this user has named before and may tell more.

    Nobody, where a sandbox made everything, none is named and nothing is open: there is nothing to ask.
    Blocks. Raises UsageError for a gateway that made nothing here, or that nobody has named.
    """
    if not options.gateway and opened.facts.gateway_kind == "sandbox" and not _is_any_open(opened):
        return []
    first = first_asked(opened, options)
    return [first, *others_asked(opened, options, first.gateway)]


def _is_any_open(opened: OpenOut) -> bool:
    ledger, out_id = opened.ledger, opened.facts.out_id
    asyncio.run(ledger.bury_dead())
    return any(asyncio.run(ledger.unfinished(out_id, name)) for name in dict.fromkeys(gateways_of(opened)))


def first_asked(opened: OpenOut, options: RunOptions) -> Access:
    """The gateway that is named, else the latest run's. Raises UsageError for one that made nothing here."""
    return _access(opened, with_gateway(opened, options), is_named=bool(options.gateway))


def others_asked(opened: OpenOut, options: RunOptions, first: str) -> list[Access]:
    """Without a named one, the other gateways that this user has named before and something is open at."""
    if options.gateway or opened.facts.gateway_kind == "sandbox":
        return []
    accesses: list[Access] = []
    for gateway in _others(opened, [first]):
        if not asyncio.run(opened.ledger.unfinished(opened.facts.out_id, gateway)):
            continue
        try:
            accesses.append(_access(opened, as_before(opened, gateway, options), is_named=False))
        except UsageError:  # it is said of each that it was not asked
            continue
    return accesses


def open_elsewhere(opened: OpenOut, asked: Iterable[Access]) -> dict[str, int]:
    """How many rows are open at gateways of this OUT that were not asked."""
    out_id, ledger = opened.facts.out_id, opened.ledger
    names = _others(opened, [access.gateway for access in asked])
    left = {name: asyncio.run(left_at(ledger, out_id, [name])) for name in names}
    return {name: it.unknown + it.waiting for name, it in left.items() if it.is_open}


def _others(opened: OpenOut, known: Sequence[str]) -> list[str]:
    return [name for name in dict.fromkeys(gateways_of(opened)) if name not in known]


def _access(opened: OpenOut, asked: RunOptions, *, is_named: bool) -> Access:
    named, made = named_gateway(asked), gateways_of(opened)
    is_sandbox = opened.facts.gateway_kind == "sandbox"
    if named.is_sandbox != is_sandbox or (not is_sandbox and named.gateway not in made):
        raise OutError(
            f"{opened.storage} was made by {_listed(made)}, not by {named.gateway}.",
            "Name the gateway that made it; where it has moved, a profile with both addresses.",
        )
    if is_sandbox:
        port = asked.gateway.removeprefix(SANDBOX)
        return Access(_sandbox(named.profile, port, is_named=is_named), None, made[-1])
    key = key_of(named, asked)
    remember(named, asked)
    return Access(named.profile, key, named.gateway)


def _listed(made: Iterable[str]) -> str:
    """The gateways by name, the latest last."""
    latest_first = dict.fromkeys(reversed(list(made)))
    return " and ".join(repr(name[:200]) for name in reversed(latest_first))


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
