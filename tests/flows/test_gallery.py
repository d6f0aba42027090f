"""What the gallery gets from the ledger."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import fields, replace
from datetime import UTC, datetime
from typing import Any
from weakref import ReferenceType, ref

import pytest
from reelsweep.flows.out import gallery
from reelsweep.flows.out.gallery import list_commands
from reelsweep.prompts.messages import followed_turn
from reelsweep.tasks.ledger.records import Line, PlanRow


def line(fingerprint: str, *messages: dict[str, Any], follows: str | None = None) -> Line:
    """A row still to be made."""
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
        payload=json.dumps({"model": "film", "messages": list(messages)}),
        follows=follows,
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
    asked = {"role": "user", "content": "a fox"}
    lines = [
        line("child", asked, followed_turn("parent"), asked, follows="parent"),
        line("alone", asked),
        line("parent", asked),
    ]
    assert list(list_commands(lambda: lines, "runs/mine", lambda _sha256: None)) == [
        "alone@https://gateway.example/v1"
    ]


def test_a_row_is_made_again_with_all_that_it_follows_wherever_that_stands() -> None:
    """A chain of edits, its end first: the command holds every request of it."""
    asked = {"role": "user", "content": "a fox"}
    lines = [
        line("end", asked, followed_turn("middle"), {"role": "user", "content": "snow"}, follows="middle"),
        line("middle", asked, followed_turn("start"), {"role": "user", "content": "dusk"}, follows="start"),
        line("start", asked),
    ]
    commands = list_commands(lambda: lines, "runs/mine", lambda _sha256: None)
    assert {name.partition("@")[0] for name in commands} == {"start", "middle", "end"}
    assert all(text in commands["end@https://gateway.example/v1"] for text in ("a fox", "dusk", "snow"))


class Watched(PlanRow):
    """A row that can be referred to weakly."""


def test_commands_do_not_keep_the_rows_they_are_made_from() -> None:
    """Of a long table the commands stay; the requests go as they came."""
    kept: list[ReferenceType[PlanRow]] = []

    def stream() -> Iterator[Line]:
        for number in range(9):
            made = line(f"fox{number}", {"role": "user", "content": "a fox"})
            plan = Watched(**{field.name: getattr(made.plan, field.name) for field in fields(made.plan)})
            kept.append(ref(plan))
            yield replace(made, plan=plan)
            del plan
            assert sum(known() is not None for known in kept) <= 1

    assert len(list_commands(stream, "runs/mine", lambda _sha256: None)) == 9


def test_each_gateways_row_has_the_command_that_asks_that_gateway() -> None:
    """Rows of one request that left the plan with their gateway do not speak for those that came."""
    here = line("fox", {"role": "user", "content": "a fox"})
    there = replace(here, gateway="https://other.example/v1", in_plan=False)
    commands = list_commands(lambda: [here, there], "runs/mine", lambda _sha256: None)
    assert [one.gateway in commands[f"fox@{one.gateway}"] for one in (here, there)] == [True, True]
