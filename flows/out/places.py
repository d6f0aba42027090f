"""Where the OUT that a person names is, and who may write to it now.

    out = find_out("s3://bucket/clips")       # a bucket, with its desk below ~/.reelsweep/staging
    out = find_out("runs/clips")              # a folder

Before `prepare`, and for every command that looks at an OUT.
"""

from __future__ import annotations

import fcntl
import shlex
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from reelsweep.prompts.errors import OutError, SettingsError, TroubleError
from reelsweep.prompts.remote import is_remote
from reelsweep.tasks.ledger.ledger import Ledger
from reelsweep.tasks.ledger.place import about, parse_place, reconcile_command
from reelsweep.tasks.seedcheck.known import home_folder
from reelsweep.tasks.storage.out import FolderOut, Out, as_out
from reelsweep.tasks.storage.remote import RemoteOut

STAGING = "staging"
"""Below the folder that REELSWEEP_HOME names."""


def find_out(named: str | Path) -> Out:
    """The OUT of this name: a URL, or a folder. Raises OutError for one that cannot be an OUT."""
    text = str(named)
    if is_remote(text):
        return RemoteOut(text, home_folder() / STAGING)
    folder = Path(text.removeprefix("file://")).absolute()
    if any("\ud800" <= char <= "\udfff" for char in str(folder)):  # Parquet and JSON know no such name
        shown = str(folder).encode("utf-8", "replace").decode()
        raise OutError(f"{shown!r} is no UTF-8 name.", "Choose another --out.")
    return FolderOut(folder)


def demand_ledger(out: Out, ledger: str | None) -> None:
    """A remote OUT has no ledger in it. Raises SettingsError."""
    if ledger is None and not isinstance(out, FolderOut):
        raise SettingsError(
            f"{out} cannot hold its ledger: a database needs a disk or a server.",
            "Give --ledger sqlite:///PATH on this machine's disk, or --ledger postgresql://USER@HOST/DATABASE.",
        )


def ledger_place(out: Out, ledger: str | None) -> Literal["own", "named"]:
    """Whether OUT's ledger is the one in it, or lies elsewhere."""
    own = f"sqlite:///{out.desk / 'ledger.db'}"
    return "own" if ledger in (None, own) else "named"


def ledger_elsewhere(out: Out) -> OutError:
    """The refusal of an OUT whose ledger lies elsewhere, where none is named."""
    return OutError(
        f"{out} has its ledger elsewhere, where --ledger named it: with another one it could pay twice.",
        f"Give the same --ledger. If that is lost: `reelsweep reconcile {shlex.quote(str(out))} --rebuild"
        " --ledger URL`, where URL is a new file or an empty database; go on with it.",
    )


def reconcile_with(out: str | Out, ledger: str | None, *words: str) -> str:
    """The command that reconciles an OUT, with `--ledger` where it was given, as a shell takes it."""
    return reconcile_command(str(out), None if ledger is None else parse_place(ledger), *words)


@contextmanager
def about_out(out: Out, ledger_url: str) -> Generator[None]:
    """In the block an error of this ledger has a remedy that names OUT."""
    try:
        yield
    except TroubleError as error:
        named = about(error, str(out), parse_place(ledger_url))
        if named is error:
            raise
        raise named from error.__cause__


@contextmanager
def nothing_sent(out: Out) -> Generator[None]:
    """In the block nothing has been bought yet: a bucket that fails is an address or access to put right."""
    try:
        yield
    except TroubleError as error:
        if isinstance(out, FolderOut):
            raise
        raise OutError(error.message, f"{error.remedy} Nothing was sent.") from None


@contextmanager
def only_writer(
    out: Path | Out, ledger: Ledger, of: Literal["manifest", "facts"] = "manifest"
) -> Generator[None]:
    """Be the only one who writes OUT's manifest, or its facts (reelsweep.json), for the block; waits. Blocks.

    A folder of this machine has a lock file for each; what several machines see has turns in the ledger.
    Publishing a long table takes seconds, for which a run that begins does not wait.
    """
    place = as_out(out)
    if place.is_shared:
        name = str(place).rpartition("/")[2]  # where it is mounted may differ between machines
        with ledger.turn(name if of == "manifest" else f"{of} of {name}"):
            yield
        return
    with (place.desk / f".{of}.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
