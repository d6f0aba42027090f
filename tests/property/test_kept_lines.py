"""Laws of recording a plan: lines that are kept unseen are those that recording would leave as they are."""

from __future__ import annotations

import asyncio
import tempfile
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st
from reelsweep.flows.out.planned import PlannedLines, plan_rows
from reelsweep.prompts.given import given_plan
from reelsweep.prompts.plan import PlanSettings, make_plan
from reelsweep.prompts.table import read_table
from reelsweep.prompts.told import told_digest
from reelsweep.tasks.ledger.kept import Kept
from reelsweep.tasks.ledger.ledger import Ledger

COLUMNS = ["prompt_id", "prompt", "seed", "temperature", "user", "note"]
ROW = st.tuples(
    st.sampled_from(["", "", "fox"]),
    st.sampled_from(["a fox", "an owl", "🦊", "\ud83e"]),
    st.sampled_from(["", "7", "0-2"]),
    st.sampled_from(["", "1", "1.0", "0.5"]),
    st.sampled_from(["", "u1"]),
    st.sampled_from(["", "x", "y"]),
)
PLANS = st.lists(
    st.tuples(st.lists(ROW, max_size=5), st.sampled_from(["one", "two"])), min_size=2, max_size=4
)


def plan_of(rows):
    return make_plan(read_table(pd.DataFrame(rows, columns=COLUMNS, dtype=object)), PlanSettings())


def valid(rows):
    """A prompt_id for two prompts is a table error; surrogates are one too."""
    named = {row[1] for row in rows if row[0]}
    return len(named) <= 1 and all(row[1].isprintable() for row in rows)


def asked(line):
    return (line.gateway, replace(line.plan, row_key=""), line.plan_hash)


def left(line):
    return (line.gateway, line.plan.request_fingerprint, str(line.plan.meta), line.plan_hash)


async def record(ledger, out, gateway, plan, lines):
    kept = await ledger.kept(out, gateway, lines.told) if out == "kept" else Kept()
    diff = await ledger.record_plan(out, gateway, plan.plan_hash, lines.rows(kept), kept=kept)
    return diff, len(kept)


async def hold(plans):
    """Every plan is recorded twice, whole and with kept lines; the differences and what is there then."""
    with tempfile.TemporaryDirectory() as folder:
        ledger = Ledger.open(f"sqlite:///{Path(folder) / 'ledger.db'}")
        try:
            for rows, gateway in plans:
                plan = plan_of(rows)
                lines = PlannedLines(plan, None)
                whole, _ = await record(ledger, "whole", gateway, plan, lines)
                short, _ = await record(ledger, "kept", gateway, plan, lines)
                assert whole == short
                assert told_of(ledger, "whole") == told_of(ledger, "kept")
        finally:
            ledger.close()


def told_of(ledger, out):
    lines = list(ledger.lines(out))
    return (
        [asked(line) for line in lines if line.in_plan],
        Counter(left(line) for line in lines if not line.in_plan),
    )


@given(PLANS.filter(lambda plans: all(valid(rows) for rows, _ in plans)))
@settings(max_examples=60, deadline=None)
def test_kept_lines_change_nothing(plans):
    """Whatever plans come, to whichever gateway, the OUT's lines are as if all were recorded."""
    asyncio.run(hold(plans))


@given(st.lists(ROW, max_size=5).filter(valid))
def test_a_plan_tells_of_each_place_what_its_row_tells(rows):
    """The hash made while a table is read is that of the row made later, also of one given alone."""
    plan = plan_of(rows)
    given = given_plan("given", {spec.request_fingerprint: spec for spec in plan.specs()}.values())
    for source in (plan, given):
        for row in plan_rows(source.specs(), has_shared=True):
            told = told_digest(
                row.request_fingerprint, row.prompt_id, row.output, row.params, row.meta, row.follows
            )
            assert source.told(row.ordinal) == told.hex()
