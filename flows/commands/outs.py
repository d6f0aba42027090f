"""Opening an OUT that exists: its facts and its ledger, for commands that look at what was made."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from reelsweep.prompts.errors import OutError
from reelsweep.tasks.ledger.ledger import Ledger
from reelsweep.tasks.manifest.outfile import OutFacts, read_out


@dataclass(frozen=True, slots=True)
class OpenOut:
    """One OUT and its ledger."""

    out: Path
    facts: OutFacts
    ledger: Ledger


@contextmanager
def open_out(out: str | Path, ledger: str | None = None) -> Generator[OpenOut]:
    """Open an OUT for the block. Raises OutError when it is none, or when its ledger is not there."""
    path = Path(out)
    facts = read_out(path)
    if facts is None:
        raise OutError(f"{out} is no output folder of Reelsweep.", "Name one, such as runs/sandbox/example.")
    url = ledger or f"sqlite:///{path.absolute() / 'ledger.db'}"
    if ledger is None and not (path / "ledger.db").exists():
        raise OutError(
            f"{out} has no ledger.db.",
            f"Give --ledger, or make it anew: reelsweep reconcile {out} --rebuild.",
        )
    opened = Ledger.open(url)
    try:
        if opened.ledger_id != facts.ledger_id:
            raise OutError(f"{out} belongs to another ledger.", "Give the ledger it was made with.")
        yield OpenOut(path, facts, opened)
    finally:
        opened.close()
