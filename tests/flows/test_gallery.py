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
from reelsweep.prompts.fingerprint import request_fingerprint
from reelsweep.prompts.messages import followed_turn
from reelsweep.tasks.ledger.records import Line, PlanRow


def asks(*messages: Any) -> dict[str, Any]:
    return {"model": "film", "messages": list(messages)}


def named(*messages: Any) -> str:
    return request_fingerprint(asks(*messages), 0)


def line(*messages: Any, follows: str | None = None) -> Line:
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
    asked, other = ({"role": "user", "content": text} for text in ("a fox", "a crow"))
    follower = line(asked, followed_turn(named(asked)), other, follows=named(asked))
    lines = [follower, line(other), line(asked)]
    assert list(list_commands(lambda: lines, "runs/mine", lambda _sha256: None)) == [
        f"{named(other)}@https://gateway.example/v1"
    ]


def test_what_a_ledger_made_anew_knows_in_part_has_no_command() -> None:
    """It would ask for something else; and so would a row that follows such a one."""
    asked, other = ({"role": "user", "content": text} for text in ("a fox", "a crow"))
    parent, alone = line(asked), line(other)
    child = line(asked, followed_turn(named(asked)), other, follows=named(asked))
    partial = replace(parent, plan=replace(parent.plan, payload="{}"))
    for told, number in ((parent, 3), (partial, 1)):
        lines = [told, child, alone]
        assert len(list_commands(lambda told=lines: told, "runs/mine", lambda _sha256: None)) == number


def test_a_row_is_made_again_with_all_that_it_follows_wherever_that_stands() -> None:
    """A chain of edits, its end first: the command holds every request of it."""
    fox, dusk, snow = ({"role": "user", "content": text} for text in ("a fox", "dusk", "snow"))
    start = [fox]
    middle = [*start, followed_turn(named(*start)), dusk]
    end = [*middle, followed_turn(named(*middle)), snow]
    lines = [
        line(*end, follows=named(*middle)),
        line(*middle, follows=named(*start)),
        line(*start),
    ]
    commands = list_commands(lambda: lines, "runs/mine", lambda _sha256: None)
    assert {name.partition("@")[0] for name in commands} == {named(*asked) for asked in (start, middle, end)}
    made = commands[f"{named(*end)}@https://gateway.example/v1"]
    assert all(text in made for text in ("a fox", "dusk", "snow"))


class Watched(PlanRow):
    """A row that can be referred to weakly."""


def test_commands_do_not_keep_the_rows_they_are_made_from() -> None:
    """Of a long table the commands stay; the requests go as they came."""
    kept: list[ReferenceType[PlanRow]] = []

    def stream() -> Iterator[Line]:
        for number in range(9):
            made = line({"role": "user", "content": f"fox {number}"})
            plan = Watched(**{field.name: getattr(made.plan, field.name) for field in fields(made.plan)})
            kept.append(ref(plan))
            yield replace(made, plan=plan)
            del plan
            assert sum(known() is not None for known in kept) <= 1

    assert len(list_commands(stream, "runs/mine", lambda _sha256: None)) == 9


def test_each_gateways_row_has_the_command_that_asks_that_gateway() -> None:
    """Rows of one request that left the plan with their gateway do not speak for those that came."""
    fox = {"role": "user", "content": "a fox"}
    here = line(fox)
    there = replace(here, gateway="https://other.example/v1", in_plan=False)
    commands = list_commands(lambda: [here, there], "runs/mine", lambda _sha256: None)
    assert [one.gateway in commands[f"{named(fox)}@{one.gateway}"] for one in (here, there)] == [True, True]
