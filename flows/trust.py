"""Which gateways this user has named here, and as what: an OUT by itself sends nothing anywhere.

Between an OUT and `access`, for the commands that go on with what an OUT holds (`reconcile`, `reproduce`).
Who wrote an OUT wrote the gateway in its ledger, too. So that name is compared with what this user has named,
and never read as an address, a profile or a block. What was named is kept in `gateways.json` below the folder
that `REELSWEEP_HOME` names, else `~/.reelsweep`: names only, never a key.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError
from reelsweep.flows.access import BIND_IT, SANDBOX, NamedGateway, in_deployment, named_gateway
from reelsweep.flows.options import DEFAULT_KEY_ENV, RunOptions
from reelsweep.flows.out.outs import OpenOut
from reelsweep.prompts.errors import OutError, SettingsError
from reelsweep.prompts.fingerprint import base_url, gateway_name
from reelsweep.tasks.manifest.beside import beside, replace_durably, sync
from reelsweep.tasks.seedcheck.known import home_folder

NAME = "gateways.json"
GATEWAY = "REELSWEEP_GATEWAY"
"""The variable that names a gateway for every command of this shell."""
MOST_KEPT = 1000


class Naming(BaseModel):
    """One gateway, as this user has last named it."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    gateway: str
    """The ledger's name of it."""
    named: str
    """What `--gateway` was: an address, a profile (the absolute path of its file) or a block."""
    api_key_env: str
    """What `--api-key-env` was; the variable's name, never a key."""


class _File(BaseModel):
    model_config = ConfigDict(extra="ignore")

    format_version: Literal[1] = 1
    gateways: tuple[Naming, ...] = ()


def remember(named: NamedGateway, options: RunOptions) -> None:
    """Keep how this user has named a gateway; where that cannot be kept, it is named again the next time.

    What a deployment's parameters name is not this user's word: they come from whoever may ask for a run.
    """
    if named.is_sandbox or in_deployment():
        return
    naming = Naming(gateway=named.gateway, named=_lasting(options.gateway), api_key_env=options.api_key_env)
    home = home_folder()
    if naming in read_namings(home):
        return
    with suppress(OSError):
        _keep(home, naming)


def read_namings(home: Path) -> tuple[Naming, ...]:
    """What was named, the latest last; nothing where the file is missing, damaged or of a newer Reelsweep."""
    try:
        return _File.model_validate_json((home / NAME).read_bytes()).gateways
    except (OSError, ValidationError):
        return ()


def with_gateway(opened: OpenOut, options: RunOptions) -> RunOptions:
    """Options that name a gateway; without one, that of the OUT's latest run as this user has named it.

    Named by `REELSWEEP_GATEWAY`, or in an earlier command on this machine, together with the variable of its
    key. Raises SettingsError for a gateway that nobody has named here: nothing was sent to it.
    """
    if options.gateway:
        return options
    here = os.environ.get(GATEWAY, "").strip()
    if opened.facts.gateway_kind == "sandbox":
        return replace(options, gateway=here if here.startswith(SANDBOX) else SANDBOX)
    gateway = gateways_of(opened)[-1]
    by_variable = replace(options, gateway=here)
    if here and named_gateway(by_variable).gateway == gateway:
        return by_variable
    return as_before(opened, gateway, options)


def gateways_of(opened: OpenOut) -> list[str]:
    """The gateways of the OUT's runs, by the ledger's names, the latest last. Raises OutError without one.

    One that was only asked (`reconcile`, which has no plan) comes before those that made something.
    """
    runs = asyncio.run(opened.ledger.runs(opened.facts.out_id))
    if not runs:
        raise OutError(f"{opened.storage} has no run yet.", "Start one with `reelsweep run`.")
    return [str(run["gateway"]) for run in sorted(runs, key=lambda run: bool(run["plan_hash"]))]


def as_before(opened: OpenOut, gateway: str, options: RunOptions) -> RunOptions:
    """The options as they were when this user last named this gateway.

    Raises SettingsError for one that was never named, was named otherwise, or is another one now.
    """
    if in_deployment():
        raise SettingsError(f"{_says(opened, gateway)}, and this deployment names none.", BIND_IT)
    naming = next((one for one in read_namings(home_folder()) if one.gateway == gateway), None)
    if naming is None:
        raise SettingsError(
            f"{_says(opened, gateway)}, which you have not named on this machine.", _remedy(gateway)
        )
    if options.api_key_env not in (DEFAULT_KEY_ENV, naming.api_key_env):
        raise SettingsError(
            f"{_says(opened, gateway)}, which you have named with the key in {naming.api_key_env},"
            f" not in {options.api_key_env}.",
            _remedy(gateway),
        )
    found = replace(options, gateway=naming.named, api_key_env=naming.api_key_env)
    if named_gateway(found).gateway != gateway:  # the profile or block was edited since
        raise SettingsError(
            f"{_says(opened, gateway)}, and {naming.named} is another one now.", _remedy(gateway)
        )
    return found


def _says(opened: OpenOut, gateway: str) -> str:
    return f"{opened.storage} names the gateway {gateway[:200]!r}"


def _remedy(gateway: str) -> str:
    """How to name it; what is no address of a gateway is not repeated as if it were one."""
    with suppress(SettingsError):
        if gateway_name(gateway) == gateway:
            return f"Nothing was sent. If you mean it: --gateway {base_url(gateway)}"
    return "Nothing was sent. Name the gateway you mean with --gateway."


def _lasting(named: str) -> str:
    """A name that means the same in another folder."""
    is_file = "://" not in named and named.endswith((".yaml", ".yml"))
    return str(Path(named).absolute()) if is_file else named


def _keep(home: Path, naming: Naming) -> None:
    """Write it down, for this user's eyes, beside what other processes write down at the same time."""
    home.mkdir(parents=True, exist_ok=True)
    with (home / f".{NAME}.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        others = [one for one in read_namings(home) if one.gateway != naming.gateway]
        file = _File(gateways=(*others, naming)[-MOST_KEPT:])
        path = home / NAME
        with os.fdopen(os.open(beside(path), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as written:
            written.write(file.model_dump_json(indent=2).encode() + b"\n")
            written.flush()
            sync(written.fileno())
        replace_durably(path)
