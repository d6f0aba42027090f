"""`--accept N`: rows whose clips are rejected get fresh candidates, until enough are accepted.

Between the plan and the ledger: what is to be open when a run begins. What decides is in `acceptance`; `feed`
opens more while the run goes on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from reelsweep.flows.prepare import Prepared
from reelsweep.flows.selection.acceptance import Acceptance, Candidate, state_of
from reelsweep.prompts.plan import Plan
from reelsweep.prompts.request import GenerationSpec
from reelsweep.tasks.artifacts.asked import asked_of
from reelsweep.tasks.artifacts.checklist import Checks, judge
from reelsweep.tasks.ledger.ledger import Ledger
from reelsweep.tasks.ledger.records import Made
from reelsweep.tasks.manifest.verdicts import NEAR_DUPLICATE


def candidate_of(spec: GenerationSpec, made: Made, checks: Checks) -> Candidate:
    """What has come of a generation, its clips judged."""
    state = state_of(made)
    if state != "made":
        return Candidate(state)
    asked = asked_of(spec.payload)
    passed = (clip for clip in made.clips if not any(judge(asked, clip, checks).values()))
    return Candidate("made", tuple(_look(clip) for clip in passed))


def _look(clip: Mapping[str, object]) -> str | None:
    phash = clip.get("phash")
    return phash if isinstance(phash, str) else None


def choose(prepared: Prepared, known: Mapping[str, Made]) -> Acceptance | None:
    """The candidates that are open when a run begins: those that were made, and as many more as are needed.

    None where rows are made as often as the table says.
    """
    need, plan, checks = prepared.options.accept, prepared.plan, prepared.options.checks
    if need is None or not isinstance(plan, Plan):
        return None
    acceptance = Acceptance(
        need=need,
        firsts=plan.firsts,
        num_candidates=len(plan),
        max_distance=checks.limits.get(NEAR_DUPLICATE),
    )
    begun = {name: made for name, made in known.items() if made.num_purchases or not made.is_open}
    places = [place for place, name in enumerate(plan.fingerprints()) if name in begun]
    for spec in plan.specs_at(places):
        acceptance.tell(spec.ordinal, candidate_of(spec, begun[spec.request_fingerprint], checks))
    for row in range(len(acceptance)):
        for _ in acceptance.open_more(row):
            pass
    return acceptance


async def acceptance_of(prepared: Prepared, ledger: Ledger, out_id: str) -> Acceptance | None:
    """The same, from what the ledger knows."""
    if prepared.options.accept is None:
        return None
    return await asyncio.to_thread(choose, prepared, await ledger.made(prepared.gateway, out_id))
