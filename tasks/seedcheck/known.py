"""What is known of gateways and seeds on this machine: one small file, safe for many writers.

`seedcheck` writes it, `plan` shows it, `run` copies it into `seed_honoured`. It stands in the folder that
`REELSWEEP_HOME` names, else in `~/.reelsweep`.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError
from reelsweep.prompts.errors import SettingsError
from reelsweep.tasks.manifest.beside import in_trouble, write_durably
from reelsweep.tasks.seedcheck.verdict import SeedVerdict

HOME = "REELSWEEP_HOME"
NAME = "seeds.json"
FORMAT_VERSION = 1


class Known(BaseModel):
    """One experiment: what it found out about one model of one gateway."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    gateway: str
    model: str
    verdict: SeedVerdict
    reason: str
    same: float | None
    other: float | None
    checked_at: datetime
    evidence: str
    """The OUT of the experiment."""

    @property
    def honoured(self) -> Literal["yes", "no"] | None:
        """As in the manifest's `seed_honoured`; None where it cannot be told."""
        return honoured_of(self.verdict)


class _File(BaseModel):
    model_config = ConfigDict(extra="ignore")

    format_version: int = FORMAT_VERSION
    seeds: tuple[Known, ...] = ()


def honoured_of(verdict: SeedVerdict) -> Literal["yes", "no"] | None:
    """A verdict as `seed_honoured` says it."""
    match verdict:
        case "honoured":
            return "yes"
        case "ignored" | "echoed only":
            return "no"
        case "cannot tell":
            return None


def home_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """Where this user's knowledge is kept."""
    named = environment.get(HOME, "").strip()
    return Path(named).expanduser() if named else Path.home() / ".reelsweep"


def read_known(home: Path) -> tuple[Known, ...]:
    """All that is known. Raises SettingsError for a file that is damaged or of a newer Reelsweep."""
    path = home / NAME
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise SettingsError(f"{path}: {error.strerror}.", f"Give another folder in {HOME}.") from None
    try:
        file = _File.model_validate_json(text)
    except ValidationError:
        raise SettingsError(f"{path} is damaged.", "Remove it; seedcheck writes it anew.") from None
    if file.format_version > FORMAT_VERSION:
        raise SettingsError(
            f"{path} has format {file.format_version}; this Reelsweep reads up to {FORMAT_VERSION}.",
            "Use the newer Reelsweep.",
        )
    return file.seeds


def keep(home: Path, found: Known) -> None:
    """Keep a finding in place of the one before; one that tells nothing replaces none that does.

    Raises SettingsError, TroubleError.
    """
    with in_trouble(home):
        home.mkdir(parents=True, exist_ok=True)
        with (home / f".{NAME}.lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            seeds = {_key(one): one for one in read_known(home)}
            before = seeds.get(_key(found))
            if found.honoured is None and before is not None and before.honoured is not None:
                return
            seeds[_key(found)] = found
            file = _File(seeds=tuple(seeds[key] for key in sorted(seeds)))
            write_durably(home / NAME, file.model_dump_json(indent=2).encode() + b"\n")


def _key(one: Known) -> tuple[str, str]:
    return one.gateway, one.model
