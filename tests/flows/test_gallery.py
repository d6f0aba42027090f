"""What the gallery gets from the ledger."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from reelsweep.flows.out import gallery
from reelsweep.flows.out.gallery import list_commands
from reelsweep.prompts.fingerprint import request_fingerprint
from reelsweep.prompts.messages import followed_turn
from reelsweep.tasks.ledger.records import Line, PlanRow


def asks(*messages: Any) -> dict[str, Any]:
    return {"model": "film", "messages": list(messages)}


def named(*messages: Any) -> str:
    return request_fingerprint(asks(*messages), 0)


def line(*messages: Any) -> Line:
    """A row still to be made."""
    fingerprint = named(*messages)
    plan = PlanRow(
        row_key=fingerprint,
        ordinal=0,
        prompt_id=fingerprint,
        sample_idx=0,
        request_fingerprint=fingerprint,
        output="video",
        model="film",
        prompt="go on",
        messages=None,
        seed=None,
        n=1,
        size_asked=None,
        seconds_asked=None,
        params={},
        meta={},
        payload=json.dumps(asks(*messages)),
    )
    return Line(
        plan=plan,
        gateway="https://gateway.example/v1",
        run_id=None,
        in_plan=True,
        shared=False,
        status="planned",
        attempt=None,
        num_attempts=0,
        num_purchases=0,
        cost_musd=None,
        reserved_musd=None,
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
        started_at=None,
        plan_hash=None,
        code_version=None,
    )


def test_a_row_that_follows_one_beyond_the_page_has_no_command(monkeypatch: pytest.MonkeyPatch) -> None:
    """A page is never worth a run: the others have theirs."""
    monkeypatch.setattr(gallery, "MAX_ROWS", 2)
    asked, other = ({"role": "user", "content": text} for text in ("a fox", "a crow"))
    lines = [line(asked, followed_turn(named(asked)), other), line(other), line(asked)]
    assert list(list_commands(lines, "runs/mine", lambda _sha256: None)) == [
        f"{named(other)}@https://gateway.example/v1"
    ]


def test_what_a_ledger_made_anew_knows_in_part_has_no_command() -> None:
    """It would ask for something else; and so would a row that follows such a one."""
    asked, other = ({"role": "user", "content": text} for text in ("a fox", "a crow"))
    parent = line(asked)
    child, alone = line(asked, followed_turn(named(asked)), other), line(other)
    partial = replace(parent, plan=replace(parent.plan, payload="{}"))
    for told, number in ((parent, 3), (partial, 1)):
        assert len(list_commands([told, child, alone], "runs/mine", lambda _sha256: None)) == number


def test_each_gateways_row_has_the_command_that_asks_that_gateway() -> None:
    """Rows of one request that left the plan with their gateway do not speak for those that came."""
    fox = {"role": "user", "content": "a fox"}
    here = line(fox)
    there = replace(here, gateway="https://other.example/v1", in_plan=False)
    commands = list_commands([here, there], "runs/mine", lambda _sha256: None)
    assert [one.gateway in commands[f"{named(fox)}@{one.gateway}"] for one in (here, there)] == [True, True]
