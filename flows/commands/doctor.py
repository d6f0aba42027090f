"""`reelsweep doctor`: is everything there that a run needs? One line each, with the remedy."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Literal

import httpx
from cyclopts import Parameter
from prefect.settings import get_current_settings
from reelsweep.flows.access import key_name, key_of, named_gateway
from reelsweep.flows.commands.screen import print_json
from reelsweep.flows.options import DEFAULT_KEY_ENV, RunOptions
from reelsweep.flows.orchestration.loss import server_lost
from reelsweep.flows.planning.models import ask_models, listed_models, model_warnings
from reelsweep.flows.prepare import RUNS
from reelsweep.flows.reporting.display import escape_terminal
from reelsweep.flows.trust import remember
from reelsweep.prompts.errors import ReelsweepError
from reelsweep.tasks.gateway.profiles import Profile

Verdict = Literal["ok", "note", "bad"]
ROOM_BYTES = 2 << 30


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the doctor's."""

    name: str
    verdict: Verdict
    text: str
    remedy: str = ""


def doctor(
    *,
    gateway: str | None = None,
    api_key_env: str = DEFAULT_KEY_ENV,
    json: Annotated[bool, Parameter(negative=())] = False,
) -> int:
    """Check gateway, key, models, disk, Prefect server and versions; sends GETs only.

    Parameters
    ----------
    gateway
        sandbox:, a base URL or a profile; REELSWEEP_GATEWAY, else sandbox:.
    api_key_env
        The environment variable that holds the key.
    json
        Print one JSON object on stdout.
    """
    named = gateway or os.environ.get("REELSWEEP_GATEWAY", "").strip() or "sandbox:"
    findings = list(examine(RunOptions(gateway=named, api_key_env=api_key_env)))
    if json:
        print_json({"findings": [asdict(finding) for finding in findings]})
    else:
        for finding in findings:
            mark = {"ok": "ok  ", "note": "note", "bad": "BAD "}[finding.verdict]
            text = f"{mark} {finding.name}: {finding.text} {finding.remedy}".strip()
            sys.stdout.write(escape_terminal(text) + "\n")
    return 2 if any(finding.verdict == "bad" for finding in findings) else 0


def examine(options: RunOptions) -> Iterator[Finding]:
    """Every check, none of which can raise."""
    checks: tuple[tuple[str, Callable[[], Iterator[Finding]]], ...] = (
        ("versions", _versions),
        ("disk", _disk),
        ("prefect", _prefect),
        ("gateway", lambda: _gateway(options)),
    )
    for name, check in checks:
        try:
            yield from check()
        except ReelsweepError as error:
            yield Finding(name, "bad", error.message, error.remedy)
        except Exception as error:
            yield Finding(name, "bad", f"{type(error).__name__}: {error}"[:200])


def _versions() -> Iterator[Finding]:
    names = ("reelsweep", "prefect", "fastapi", "httpx", "pyarrow", "av")
    versions = ", ".join(f"{name} {version(name)}" for name in names)
    yield Finding("versions", "ok", f"python {sys.version.split()[0]}, {versions}")


def _disk() -> Iterator[Finding]:
    folder = RUNS if RUNS.exists() else Path()
    free = shutil.disk_usage(folder).free
    verdict: Verdict = "ok" if free >= ROOM_BYTES else "note"
    remedy = (
        "" if verdict == "ok" else "Ten thousand clips need tens of gigabytes; choose --out on a larger disk."
    )
    yield Finding("disk", verdict, f"{free / (1 << 30):.1f} GiB free at {folder.absolute()}", remedy)
    if not os.access(folder, os.W_OK):
        yield Finding("disk", "bad", f"{folder.absolute()} cannot be written.", "Choose another --out.")


def _prefect() -> Iterator[Finding]:
    settings = get_current_settings()
    url = settings.api.url
    if url is None:
        yield Finding("prefect", "ok", f"every run starts its own server, records in {settings.home}")
    elif server_lost(url):
        yield Finding("prefect", "bad", f"no server answers at {url}.", "Start it, or unset PREFECT_API_URL.")
    else:
        yield Finding("prefect", "ok", f"server {url}")


def _gateway(options: RunOptions) -> Iterator[Finding]:
    is_sandbox = options.gateway.startswith("sandbox:")
    if is_sandbox:
        yield Finding("gateway", "ok", "the sandbox that ships with Reelsweep; it costs nothing")
        return
    named = named_gateway(options)
    profile, key = named.profile, key_of(named, options)
    remember(named, options)
    if key is None and profile.auth != "none":
        name = key_name(options, profile)
        yield Finding("key", "bad", f"{name} is not set.", f"Set it: export {name}=…")
    else:
        yield Finding("key", "ok", "set, by name; it is shown nowhere")
    yield from _models(profile, key)


def _models(profile: Profile, key: str | None) -> Iterator[Finding]:
    try:
        answer = ask_models(profile, key)
    except httpx.HTTPError as error:
        yield Finding("gateway", "bad", f"{profile.base_url}: {type(error).__name__}.", "Check --gateway.")
        return
    if answer.status_code in (401, 403):
        yield Finding("gateway", "bad", f"{profile.base_url} refuses the key.", "Check the key.")
        return
    yield Finding("gateway", "ok", f"{profile.base_url} answers ({answer.status_code} to GET /models)")
    yield from _dates(profile, key)


def _dates(profile: Profile, key: str | None) -> Iterator[Finding]:
    """Models of the profile that are past their date or not on the gateway's list."""
    listed = listed_models(profile, key)
    today = datetime.now(UTC).date()
    for warning in model_warnings(profile, profile.models, listed, today):
        yield Finding("model", "note", warning, "Choose another with --model.")
