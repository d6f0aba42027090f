"""`reconcile --rebuild`: a lost ledger filled again from what the OUT's files tell.

A new ledger under a new id, made beside and renamed when it is whole. Unless the last run ended by
itself, a row that is not final may have been sent after the last record of it: it becomes `unknown`.
Every POST that a file tells of is in it, also where no line asks for it: the plan that does finds it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from reelsweep.flows.out.places import about_out, demand_ledger, ledger_elsewhere, ledger_place
from reelsweep.flows.out.planned import key_of, spec_of
from reelsweep.prompts.errors import OutError, ReelsweepError
from reelsweep.prompts.pricing import Price
from reelsweep.tasks.ledger.ledger import Ledger
from reelsweep.tasks.ledger.looking import Looking
from reelsweep.tasks.ledger.records import AttemptRecord, PlanRow
from reelsweep.tasks.ledger.restore import Remains
from reelsweep.tasks.ledger.standing import purchase_key, supposed_id
from reelsweep.tasks.manifest.amend import Amending
from reelsweep.tasks.manifest.beside import sync_folder
from reelsweep.tasks.manifest.outfile import OutFacts, read_out, write_out
from reelsweep.tasks.manifest.read import kept_facts
from reelsweep.tasks.manifest.restore import OldGeneration, OldOut, read_old_out
from reelsweep.tasks.manifest.write import PARQUET
from reelsweep.tasks.storage.out import Out

WHY = "the ledger was lost while a run was at work: this row may have been sent after the last record of it"
_BESIDE = ("-wal", "-shm", "-journal")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rebuilt:
    """What came of it."""

    rows: int
    attempts: int
    num_held: int
    """Rows that are `unknown` because a run was at work when the ledger was lost."""
    is_reserved: bool
    """Whether what may have been sent counts against a budget; not where no price is known."""
    num_unasked: int
    """Requests that were sent and that no line of the manifest asks for."""
    num_broken: int
    """Clips that are not there whole any more."""


def rebuild(storage: Out, ledger_url: str | None = None, price: Price | None = None) -> Rebuilt:
    """Fill a new ledger from the files of an OUT. Raises OutError where there is one, or nothing to read.

    One that `ledger_url` names is made where it is not there, and may hold other OUTs, but not this one. What
    may have been sent is reserved at `price`; without one, at the dearest that the files know of.
    """
    facts = read_out(storage)
    if facts is None:
        raise OutError(f"{storage} is no output of Reelsweep.", "Name one, such as runs/sandbox/example.")
    demand_ledger(storage, ledger_url)
    path = storage.desk / "ledger.db"
    if ledger_url is None and path.exists():
        _refuse_ledger(storage, path, facts)
    if ledger_url is None and facts.ledger == "named":
        raise ledger_elsewhere(storage)
    storage.begin()
    storage.bring(PARQUET)
    old_ledger_id = kept_facts(storage.desk).get("ledger_id", facts.ledger_id)
    now = datetime.now(UTC)
    old = read_old_out(storage, key_of, Amending(ledger_id=old_ledger_id, now=now))
    doubts = _Doubts(old_ledger_id=old_ledger_id, now=now, price=price, dearest=_dearest_musd(old))
    if ledger_url is not None:
        return _fill(ledger_url, storage, facts, old, doubts, ledger_place(storage, ledger_url))
    beside = path.with_name("ledger.db.rebuilding")
    _clear(beside)
    done = _fill(f"sqlite:///{beside.absolute()}", storage, facts, old, doubts, "own")
    _move_remains(path)
    beside.replace(path)
    _clear(beside)
    sync_folder(storage.desk)
    return done


def _refuse_ledger(storage: Out, path: Path, facts: OutFacts) -> None:
    """Raise OutError for the ledger that is there.

    An empty file gives way, and another ledger that knows no run: what came after the loss has made it.
    """
    away = "move ledger.db away, with ledger.db-wal and ledger.db-shm"
    ours = OutError(f"{storage} has a ledger.", f"If it is damaged, {away}; else just run.")
    if not path.stat().st_size:
        return
    try:
        with closing(Looking.open(f"sqlite:///{path.absolute()}")) as found:
            is_ours = found.ledger_id == facts.ledger_id
            knows_runs = is_ours or bool(asyncio.run(found.runs()))
    except ReelsweepError:
        raise ours from None
    if is_ours:
        raise ours
    if knows_runs:
        raise OutError(
            f"{storage} has a ledger that is not its own, and that knows of runs.",
            f"To make its own anew: {away}, and run the same command again.",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Doubts:
    """What is supposed of a POST that no file tells of."""

    old_ledger_id: str
    now: datetime
    price: Price | None
    dearest: int | None
    """In micro-dollars."""

    def reserved_musd(self, row: PlanRow | None) -> int | None:
        """What it counts against a budget until somebody knows better."""
        return self.dearest if self.price is None or row is None else self.price.max_musd(spec_of(row))


def _dearest_musd(old: OldOut) -> int | None:
    """The most that one attempt has cost or reserved; None where no price was known."""
    known = (*old.generations, *old.unasked)
    attempts = [attempt for generation in known for attempt in generation.attempts]
    amounts = [amount for attempt in attempts for amount in (attempt.cost_musd, attempt.reserved_musd)]
    return max((amount for amount in amounts if amount is not None), default=None)


def _fill(
    url: str, storage: Out, facts: OutFacts, old: OldOut, doubts: _Doubts, where: Literal["own", "named"]
) -> Rebuilt:
    with about_out(storage, url):
        ledger = Ledger.open(url)
        try:
            done = asyncio.run(_refill(ledger, facts, old, doubts))
            write_out(storage, facts.model_copy(update={"ledger_id": ledger.ledger_id, "ledger": where}))
        finally:
            ledger.close()
    return done


async def _refill(ledger: Ledger, facts: OutFacts, old: OldOut, doubts: _Doubts) -> Rebuilt:
    runs = await ledger.runs(facts.out_id)
    if runs and (facts.ledger_id == ledger.ledger_id or any(run["pid"] for run in runs)):
        raise OutError(
            "This ledger knows the output folder already.",
            "Just run. If it is older than the folder's files, name a new file or an empty database.",
        )
    num_held = num_attempts = 0
    for plan in old.plans:
        asked = {row.request_fingerprint: row for row in plan.rows}
        mine = [g for g in old.generations if g.gateway == plan.gateway and g.request_fingerprint in asked]
        held = [_maybe_sent(g, asked[g.request_fingerprint], doubts) for g in _in_doubt(mine, facts)]
        remains = Remains(
            rows=[(row, plan.in_plan) for row in plan.rows],
            attempts=[*(attempt for generation in mine for attempt in generation.attempts), *held],
            suspects=(),
        )
        restored = await ledger.restore(facts.out_id, plan.gateway, plan.plan_hash, remains)
        num_held += len(held) - restored.resolved
        num_attempts += restored.attempts
    for gateway in dict.fromkeys(generation.gateway for generation in old.unasked):
        mine = [g for g in old.unasked if g.gateway == gateway]
        sent = [attempt for generation in mine for attempt in generation.attempts]
        held = [_maybe_sent(generation, None, doubts) for generation in _in_doubt(mine, facts)]
        restored = await ledger.restore(facts.out_id, gateway, "", Remains(attempts=[*sent, *held]))
        num_attempts += restored.attempts
    return Rebuilt(
        rows=sum(len(plan.rows) for plan in old.plans),
        attempts=num_attempts,
        num_held=num_held,
        is_reserved=doubts.price is not None or doubts.dearest is not None,
        num_unasked=len(old.unasked),
        num_broken=old.num_broken,
    )


def _in_doubt(generations: Sequence[OldGeneration], facts: OutFacts) -> list[OldGeneration]:
    """Those that may have been sent after the last record of them."""
    return [] if facts.ended else [generation for generation in generations if not generation.is_settled]


def _maybe_sent(generation: OldGeneration, row: PlanRow | None, doubts: _Doubts) -> AttemptRecord:
    """A POST that may have been sent after the files were written, under the key it would have had."""
    num_answers = sum(attempt.kind not in (None, "incomplete") for attempt in generation.attempts)
    key = purchase_key(doubts.old_ledger_id, generation.gateway, generation.request_fingerprint, num_answers)
    place = max((attempt.attempt_idx + 1 for attempt in generation.attempts), default=0)
    known: dict[str, Any] = dict.fromkeys(field.name for field in fields(AttemptRecord))
    known |= {
        "attempt_id": supposed_id(key),
        "gateway": generation.gateway,
        "request_fingerprint": generation.request_fingerprint,
        "run_id": "lost",
        "purchase_idx": place,
        "attempt_idx": place,
        "idempotency_key": key,
        "state": "unknown",
        "billed": "maybe",
        "error_type": "interrupted",
        "error_message": WHY,
        "reserved_musd": doubts.reserved_musd(row),
        "sent_at": doubts.now,
        "results": (),
    }
    return AttemptRecord(**known)


def _move_remains(path: Path) -> None:
    """What the lost file left beside it must not be taken for the new one's."""
    for end in _BESIDE:
        remains = path.with_name(path.name + end)
        if remains.exists():
            remains.replace(remains.with_name(f"{remains.name}.lost"))


def _clear(beside: Path) -> None:
    """Remove what an interrupted rebuilding left."""
    for end in ("", *_BESIDE):
        beside.with_name(beside.name + end).unlink(missing_ok=True)
    locks = beside.with_name(f".{beside.name}.runs")
    for lock in locks.glob("*.lock") if locks.is_dir() else ():
        lock.unlink(missing_ok=True)
    if locks.is_dir():
        locks.rmdir()
