"""The money gate: against a real gateway nothing is sent before a person, or a cap, has said yes."""

from __future__ import annotations

import sys

from reelsweep.flows.access import BIND_IT, is_unbound, key_name
from reelsweep.flows.planning.preview import Preview
from reelsweep.flows.prepare import Prepared
from reelsweep.prompts.errors import UsageError


def needs_key(prepared: Prepared) -> bool:
    """A gateway beyond this machine without a key would answer 401 to every row."""
    host = prepared.profile.base_url
    return (
        not prepared.is_sandbox
        and prepared.key is None
        and prepared.profile.auth != "none"
        and (not any(name in str(host) for name in ("//127.0.0.1", "//localhost", "//[::1]")))
    )


def demand_key(prepared: Prepared) -> None:
    """Raises UsageError where a gateway beyond this machine would get no key; nothing was sent."""
    if not needs_key(prepared):
        return
    options, profile = prepared.options, prepared.profile
    if is_unbound(options, profile):
        raise UsageError(f"No key goes to {prepared.gateway}: nothing here says which is for it.", BIND_IT)
    name = key_name(options, profile)
    raise UsageError(
        f"No API key for {prepared.gateway}: {name} is not set.",
        f"Set it: export {name}=…, or name another variable with --api-key-env.",
    )


def pass_gate(prepared: Prepared, preview: Preview, *, yes: bool) -> bool:
    """True when the run may start; asks on a terminal, and without one demands an option.

    Raises UsageError (nothing was sent) without a terminal and without a cap, or without a key.
    """
    demand_key(prepared)
    options = prepared.options
    if prepared.is_sandbox or yes or preview.to_make == 0:
        return True
    if sys.stdin.isatty() and sys.stderr.isatty():
        return _ask(preview)
    if options.max_posts is not None or options.budget is not None:
        return True
    raise UsageError(
        f"{preview.to_make} generations would be bought from {prepared.gateway}{preview.describe_most()};"
        " no terminal to ask at.",
        "Give --yes, or a cap with --budget or --max-posts.",
    )


def _ask(preview: Preview) -> bool:
    cost = f"{preview.describe_cost() or 'price unknown'}{preview.describe_most()}"
    sys.stderr.write(f"Buy {preview.to_make} generations from {preview.gateway} ({cost})? [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")
