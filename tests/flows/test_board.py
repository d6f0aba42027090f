"""What Prefect's automations are told."""

from __future__ import annotations

import re
from pathlib import Path

from reelsweep.flows.reporting.board import change_payload
from reelsweep.tasks.gateway.strata import Change, Stratum

CHANGE = Change(model="m", first=Stratum("m", "fp_1"), now=Stratum("m", "fp_2"), is_new=True, num_seen=2)


def test_an_event_says_what_the_gateway_was_and_is(project: Path) -> None:
    """Whatever the shipped automation puts into its message is in the event."""
    payload = change_payload("https://gateway.example/v1", CHANGE)
    assert payload == {
        "gateway": "https://gateway.example/v1",
        "model": "m",
        "first": "m@fp_1",
        "now": "m@fp_2",
        "strata": 2,
    }
    automation = (project / "deployments/automations/fingerprint.yaml").read_text()
    assert set(re.findall(r"event\.payload\.(\w+)", automation)) <= payload.keys()
