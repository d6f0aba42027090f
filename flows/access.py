"""Which gateway a run talks to, and which key it gets: a profile, a URL, a block, the sandbox.

Before `prepare`. A key travels by name and goes to one origin. On the command line one person names both;
the parameters of a deployment come from whoever may ask for a run, so there a profile or a block, made where
the worker is configured, binds the key to its origin.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from prefect.context import FlowRunContext
from reelsweep.flows.credentials import BLOCK, load_credentials
from reelsweep.flows.options import DEFAULT_KEY_ENV, RunOptions
from reelsweep.prompts.errors import SettingsError
from reelsweep.prompts.fingerprint import gateway_name
from reelsweep.tasks.artifacts.origin import is_safe_for_keys, origin_of
from reelsweep.tasks.gateway.profiles import Profile, load_profile
from reelsweep.tasks.sandbox import SANDBOX_VERSION

SANDBOX = "sandbox:"
PROFILES = "REELSWEEP_PROFILES"
"""The variable of a worker that names the folder of its profiles."""
BIND_IT = (
    "Give gateway a profile with an api_key_env, or a block with a key: gateway-credentials/NAME"
    " (deployments/README.md says how)."
)


@dataclass(frozen=True, slots=True)
class NamedGateway:
    """What `--gateway` names."""

    profile: Profile
    gateway: str
    """The ledger's name of it."""
    is_sandbox: bool
    key: str | None = field(default=None, repr=False)
    """The key that a block holds itself."""


def named_gateway(options: RunOptions) -> NamedGateway:
    """The gateway of these options; raises SettingsError for one that is not known."""
    if options.gateway.startswith(SANDBOX):
        return NamedGateway(load_profile("sandbox"), f"sandbox@{SANDBOX_VERSION}", is_sandbox=True)
    if options.gateway.startswith(BLOCK):
        block = load_credentials(options.gateway)
        profile, key = block.profile_in_use(), block.held_key()
        name = profile_gateway(profile)
        return NamedGateway(profile, name, is_sandbox=False, key=checked_key(key, options.gateway, profile))
    if in_deployment():
        check_place(options.gateway)
    profile = load_profile(options.gateway)
    return NamedGateway(profile, profile_gateway(profile), is_sandbox=False)


def check_place(gateway: str) -> None:
    """Raises SettingsError for a profile's path outside the folder of the worker's profiles.

    Who asks for runs may put files beside the tables too: a profile there would bind any key to any origin.
    """
    if "://" in gateway or not gateway.endswith((".yaml", ".yml")):
        return
    folder = Path(os.environ.get(PROFILES) or "profiles")
    if not Path(gateway).resolve().is_relative_to(folder.resolve()):
        raise SettingsError(
            f"gateway: the profile {gateway!r} is not in the worker's folder of profiles, {str(folder)!r}.",
            f"Move it there, or name another folder in the worker's variable {PROFILES}.",
        )


def profile_gateway(profile: Profile) -> str:
    """The first origin names the gateway, whatever address it has now."""
    return gateway_name(str(profile.origins[0] if profile.origins else profile.base_url))


def key_of(named: NamedGateway, options: RunOptions) -> str | None:
    """The block's own key, else the one in the environment; raises SettingsError for one that must not go."""
    if named.key is not None:
        return named.key
    return api_key(options, named.profile, is_sandbox=named.is_sandbox)


def api_key(options: RunOptions, profile: Profile, *, is_sandbox: bool) -> str | None:
    """The key from the environment variable that the user or the profile names."""
    if is_sandbox or profile.auth == "none":
        return None
    if in_deployment() and options.api_key_env != DEFAULT_KEY_ENV:
        raise SettingsError("api_key_env: the parameters of a deployment name no key.", BIND_IT)
    if is_unbound(options, profile):
        return None
    name = key_name(options, profile)
    return checked_key(os.environ.get(name, ""), name, profile)


def key_name(options: RunOptions, profile: Profile) -> str:
    """The environment variable of the key: the option's, else the profile's."""
    named = options.api_key_env
    return profile.api_key_env or named if named == DEFAULT_KEY_ENV else named


def checked_key(key: str, source: str, profile: Profile) -> str | None:
    """A key that may go to this gateway, or None for an empty one."""
    key = key.strip()
    if not all("!" <= char <= "~" for char in key):
        raise SettingsError(f"The key in {source} has characters that no key has.", f"Set {source} again.")
    if key and not is_safe_for_keys(origin_of(str(profile.base_url))):
        raise SettingsError(
            f"The key in {source} would travel in clear to {profile.base_url}.",
            "Use https, or take the variable away.",
        )
    return key or None


def is_unbound(options: RunOptions, profile: Profile) -> bool:
    """Whether nothing binds a key to it: in a deployment or a block, a gateway that names none."""
    return profile.api_key_env is None and (in_deployment() or options.gateway.startswith(BLOCK))


def in_deployment() -> bool:
    """Whether this flow run was asked for through a deployment."""
    context = FlowRunContext.get()
    return context is not None and getattr(context.flow_run, "deployment_id", None) is not None
