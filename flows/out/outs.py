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


@contextmanager
def open_out(out: str | Path, ledger: str | None = None) -> Generator[OpenOut]:
    """Open an OUT for the block. Raises OutError when it is none, or when its ledger is not there."""
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
    with about_out(storage, url):
        opened = Ledger.open(url)
        try:
            storage.begin()  # a bucket's desk may be new on this machine
            if opened.ledger_id != facts.ledger_id:
                raise OutError(
                    f"{out} belongs to another ledger.",
                    f"Give the ledger it was made with. {opened.if_lost(str(storage))}",
                )
            yield OpenOut(storage, facts, opened)
        finally:
            opened.close()
            storage.close()
