"""Whether an OUT is this run's to fill: made, or found with the same ledger and the same table.

Before anything is planned or sent. Beside `session`.
"""

from __future__ import annotations

import asyncio
import uuid
from itertools import islice

from reelsweep.flows.out.places import ledger_place, nothing_sent, only_writer
from reelsweep.flows.prepare import Prepared, check_out
from reelsweep.prompts.errors import OutError, SettingsError
from reelsweep.tasks.ledger.ledger import Ledger
from reelsweep.tasks.ledger.place import parse_place
from reelsweep.tasks.manifest.outfile import OutFacts, create_out, read_out, write_out
from reelsweep.tasks.manifest.read import published_attempts, published_lines, tells_a_success
from reelsweep.tasks.storage.out import Out

LOOK_FIRST = 1000
"""Prompt ids that are looked up before all are."""


def claim_out(prepared: Prepared, ledger: Ledger) -> OutFacts:
    """Write reelsweep.json first; refuse an OUT whose ledger is another one."""
    with nothing_sent(prepared.storage):
        prepared.storage.begin()
        with only_writer(prepared.storage, ledger, of="facts"):
            return _give_facts(prepared, ledger)


def _give_facts(prepared: Prepared, ledger: Ledger) -> OutFacts:
    """The facts of an OUT that another run may have made a moment ago."""
    checks = str(prepared.options.checks)
    fresh = OutFacts(
        out_id=uuid.uuid4().hex,
        ledger_id=ledger.ledger_id,
        table=prepared.plan.table.name,
        gateway_kind="sandbox" if prepared.is_sandbox else "real",
        checks=checks,
        ledger=ledger_place(prepared.storage, prepared.options.ledger),
    )
    if read_out(prepared.storage) is None and create_out(prepared.storage, fresh):
        return fresh
    facts = read_out(prepared.storage) or fresh
    check_out(prepared.storage, facts, is_sandbox=prepared.is_sandbox, ledger=prepared.options.ledger)
    if facts.ledger_id != ledger.ledger_id:
        raise SettingsError(
            f"{prepared.storage} belongs to another ledger than {parse_place(prepared.ledger_url)}.",
            "Give the ledger it was made with, or choose another --out."
            f" {ledger.if_lost(str(prepared.storage))}",
        )
    refuse_older(prepared.storage, ledger)
    kept = {"ledger": fresh.ledger} if prepared.extends else {"ledger": fresh.ledger, "checks": checks}
    facts = facts.model_copy(update={"table": prepared.plan.table.name, "ended": False, **kept})
    write_out(prepared.storage, facts)
    return facts


def refuse_older(out: Out, ledger: Ledger) -> None:
    """Refuse a ledger that does not know every POST that the files know: it would buy again what is missing.

    Attempts and manifest may be of two moments, or one of them gone. Blocks. Raises OutError.
    """
    if asyncio.run(_lacks_any(str(out), ledger)):
        raise OutError(
            f"The ledger of {out} is older than its manifest: running on could pay twice.",
            f"Restore the newest ledger. {ledger.if_lost(str(out))}",
        )


async def _lacks_any(out: str, ledger: Ledger) -> bool:
    """Whether the files tell of a POST that is not known, or of a success that would be bought again."""
    if await ledger.lacks_any(published_attempts(out)) or await ledger.lacks_told(published_lines(out)):
        return True
    return tells_a_success(out, await ledger.given_back())


async def refuse_other_table(prepared: Prepared, facts: OutFacts, ledger: Ledger) -> None:
    """A table that shares no prompt with what this OUT ever planned is another table."""
    ids = (spec.prompt_id for spec in prepared.plan.specs())
    known = await ledger.knows_any_prompt(facts.out_id, islice(ids, LOOK_FIRST))
    if known is False:
        known = await ledger.knows_any_prompt(facts.out_id, dict.fromkeys(ids))
    if known is False and len(prepared.plan):
        raise OutError(
            f"{prepared.storage} holds the results of another table: it shares no prompt with this one.",
            "Choose another --out.",
        )
