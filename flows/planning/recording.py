"""The OUT's lines made those of a plan: compared and written, one run at a time.

After `claim`, before anything is sent.
"""

from __future__ import annotations

import asyncio

from reelsweep.flows.out.planned import PlannedLines
from reelsweep.tasks.ledger.kept import Kept
from reelsweep.tasks.ledger.ledger import Ledger
from reelsweep.tasks.ledger.records import PlanDiff


async def record_lines(
    ledger: Ledger, out_id: str, gateway: str, lines: PlannedLines, *, extends: bool
) -> PlanDiff:
    """What is new, edited and gone; most of a long table's lines are there already, and not even made."""

    async def record() -> PlanDiff:
        kept = Kept() if extends else await ledger.kept(out_id, gateway, lines.told)
        return await ledger.record_plan(
            out_id, gateway, lines.plan.plan_hash, lines.rows(kept), kept=kept, extends=extends
        )

    def record_alone() -> PlanDiff:
        """Another plan written between the look and the writing would stay, as lines of this one."""
        with ledger.turn(f"plan of {out_id}"):
            return asyncio.run(record())

    return await asyncio.to_thread(record_alone)
