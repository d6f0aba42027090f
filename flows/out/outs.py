"""Opening an OUT that exists: its facts and its ledger, for commands that look at what was made."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from reelsweep.flows.out.places import (
    about_out,
    demand_ledger,
    find_out,
    ledger_elsewhere,
    reconcile_with,
)
from reelsweep.prompts.errors import OutError
from reelsweep.tasks.ledger.ledger import Ledger
from reelsweep.tasks.ledger.looking import Looking, may_only_look
from reelsweep.tasks.ledger.reading import Reading
from reelsweep.tasks.manifest.outfile import OutFacts, read_out
from reelsweep.tasks.storage.out import Out


@dataclass(frozen=True, slots=True)
class OpenOut:
    """One OUT and its ledger."""

    storage: Out
    facts: OutFacts
    ledger: Ledger

    @property
    def out(self) -> Path:
        """The folder of this machine where its files are: OUT itself, or its staging folder."""
        return self.storage.desk


@dataclass(frozen=True, slots=True)
class LookedInto:
    """One OUT and its ledger, of which only questions can be asked."""

    storage: Out
    facts: OutFacts
    ledger: Reading


@contextmanager
def open_out(out: str | Path, ledger: str | None = None) -> Generator[OpenOut]:
    """Open an OUT for the block. Raises OutError when it is none, or when its ledger is not there."""
    storage, facts, url = _found(out, ledger)
    with about_out(storage, url):
        opened = Ledger.open(url)
        try:
            storage.begin()  # a bucket's desk may be new on this machine
            _check(opened, storage, facts)
            yield OpenOut(storage, facts, opened)
        finally:
            opened.close()
            storage.close()


@contextmanager
def look_into(out: str | Path, ledger: str | None = None) -> Generator[LookedInto]:
    """Open an OUT whose ledger file cannot be written to, to ask and no more. Raises what `open_out` does."""
    storage, facts, url = _found(out, ledger)
    with about_out(storage, url):
        looking = Looking.open(url)
        try:
            _check(looking, storage, facts)
            yield LookedInto(storage, facts, looking)
        finally:
            looking.close()
            storage.close()


def is_only_to_look_at(out: str | Path, ledger: str | None = None) -> bool:
    """Whether its ledger is a file that this process may not write to."""
    return may_only_look(ledger or f"sqlite:///{find_out(out).desk / 'ledger.db'}")


def _found(out: str | Path, ledger: str | None) -> tuple[Out, OutFacts, str]:
    """What a name stands for, and where its ledger is."""
    storage = find_out(out)
    facts = read_out(storage)
    if facts is None:
        raise OutError(f"{out} is no output folder of Reelsweep.", "Name one, such as runs/sandbox/example.")
    demand_ledger(storage, ledger)
    url = ledger or f"sqlite:///{storage.desk / 'ledger.db'}"
    if ledger is None and not storage.has("ledger.db"):
        if facts.ledger == "named":
            raise ledger_elsewhere(storage)
        raise OutError(
            f"{out} has no ledger.db.",
            f"Give --ledger, or make it anew: `{reconcile_with(str(out), None, '--rebuild')}`.",
        )
    return storage, facts, url


def _check(opened: Reading, storage: Out, facts: OutFacts) -> None:
    if opened.ledger_id != facts.ledger_id:
        raise OutError(
            f"{storage} belongs to another ledger.",
            f"Give the ledger it was made with. {opened.if_lost(str(storage))}",
        )
