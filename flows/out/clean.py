"""Whether OUT says that nothing is under way in it: what `reconcile --rebuild` believes of a lost ledger.

Around a run. Both look and write as the only writer of its facts, so whatever order a run that ends and one
that begins come in, OUT says at last that one is at work.
"""

from __future__ import annotations

import asyncio

from reelsweep.flows.out.places import only_writer
from reelsweep.tasks.ledger.ledger import Ledger
from reelsweep.tasks.manifest.outfile import OutFacts, read_out, write_out
from reelsweep.tasks.storage.out import Out


def note_live(out: Out, ledger: Ledger) -> None:
    """Say once more that a run is at work, now that the ledger knows it: one may have ended meanwhile."""
    with only_writer(out, ledger, of="facts"):
        facts = read_out(out)
        if facts is not None and facts.ended:
            write_out(out, facts.model_copy(update={"ended": False}))


def note_ended(out: Out, ledger: Ledger, facts: OutFacts) -> None:
    """Say that nothing is being sent any more, unless another run is still at work here.

    `facts` are those of the run that ended, for an OUT that has lost them. Blocks: call it in a thread.
    """
    with only_writer(out, ledger, of="facts"):
        runs = asyncio.run(ledger.runs(facts.out_id))
        if all(one["state"] != "live" for one in runs):
            known = read_out(out) or facts
            write_out(out, known.model_copy(update={"ended": True}))
