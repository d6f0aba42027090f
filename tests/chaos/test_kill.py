"""`kill -9` and the same command again: what was not sent is made, what may be paid for is held."""

from __future__ import annotations

from pathlib import Path

import pytest
from campaign import STEPS, Campaign, calm, check_kills, check_money
from reelsweep.tasks.sandbox.server import SandboxServer
from stage import Runs

pytestmark = [pytest.mark.xdist_group("chaos"), pytest.mark.timeout(600)]
KILLS = 10


def test_after_ten_kills_every_row_without_an_intent_is_made(
    runs: Runs, sandbox: SandboxServer, tmp_path: Path
) -> None:
    """The unknown rows are exactly the attempts that a kill left with an intent and nothing more."""
    sandbox.control(calm(duration_s=0.6))
    ledger = f"sqlite:///{tmp_path / 'out' / 'ledger.db'}"
    campaign = Campaign(
        folder=tmp_path, runs=runs, sandbox=sandbox, ledger=ledger, seed=2024, slots=6, faults=False
    )
    campaign.add_rows(90)
    for idx in range(2 * KILLS):
        if len(campaign.kills) < KILLS:
            campaign.round(STEPS[idx % len(STEPS)])
    summary = campaign.finish().summary
    held = sum(len(kill.held) for kill in campaign.kills)
    assert len(campaign.kills) == KILLS
    assert held > 0
    assert check_kills(campaign) == []
    assert check_money(campaign) == []
    assert summary["counts"] == {"success": campaign.num_rows - held, "unknown": held}
    assert {"intent", "stream", "download"} <= {step for kill in campaign.kills for step in kill.steps}
