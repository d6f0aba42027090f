"""Plans that become an OUT's while others do."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pandas as pd
from reelsweep.flows.out.planned import PlannedLines
from reelsweep.flows.planning.recording import record_lines
from reelsweep.prompts.plan import Plan, PlanSettings, make_plan
from reelsweep.prompts.table import read_table
from reelsweep.tasks.ledger.ledger import Ledger

ROUNDS = 20


def plan_of(*prompts: str) -> Plan:
    """A row for each prompt, named by its place."""
    names = [f"row-{place}" for place in range(len(prompts))]
    return make_plan(read_table(pd.DataFrame({"prompt_id": names, "prompt": prompts})), PlanSettings())


async def test_of_two_plans_recorded_at_once_the_later_is_there_whole(tmp_path: Path) -> None:
    """The OUT's lines are those of the plan it names, also where both have as many and share most."""
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    ledgers = [Ledger.open(url), Ledger.open(url)]
    plans = [plan_of("a fox", "an owl", "a hare"), plan_of("a fox", "a red owl", "a hare")]
    asked = {plan.plan_hash: [spec.prompt for spec in plan.specs()] for plan in plans}

    async def record(ledger: Ledger, plan: Plan) -> None:
        await record_lines(ledger, "out", "gateway", PlannedLines(plan, None), extends=False)

    try:
        for number in range(ROUNDS):
            await record(ledgers[0], plans[number % 2])
            await asyncio.gather(*map(record, ledgers, plans))
            lines = [line for line in ledgers[0].lines("out") if line.in_plan]
            found = {line.plan_hash: [line.plan.prompt for line in lines] for line in lines}
            assert found.items() <= asked.items()
    finally:
        for ledger in ledgers:
            ledger.close()
