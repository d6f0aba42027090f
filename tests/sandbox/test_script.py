"""Scripts: behaviour as data, decided by nothing but the script and the call."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from reelsweep.tasks.sandbox.faults import FAULTS, Fault, parse_directives
from reelsweep.tasks.sandbox.script import DIALECTS, FaultRate, Script, choose_dialect, choose_faults


def names(
    script: Script, prompt: str = "a fox", *, body: str = "b", earlier: int = 0, arrival: int = 0
) -> list[str]:
    faults = choose_faults(script, prompt=prompt, body_sha256=body, earlier=earlier, arrival=arrival)
    return [fault.fault for fault in faults]


def test_a_script_survives_json() -> None:
    """What is sent to a running sandbox is what was written."""
    script = Script(
        dialect="task", sequence=(None, Fault(fault="cut")), rates=(FaultRate(fault="429", rate=0.1),)
    )
    assert Script.model_validate_json(script.model_dump_json()) == script


@pytest.mark.parametrize(
    "settings", [{"dialekt": "task"}, {"duration_s": -1}, {"sequence": [{"fault": "cot"}]}]
)
def test_a_mistake_in_a_script_is_an_error(settings: dict[str, Any]) -> None:
    """Unknown names and values out of range are refused, not ignored."""
    with pytest.raises(ValidationError):
        Script.model_validate(settings)


def test_a_directive_carries_its_settings() -> None:
    """Numbers, words and flags of a directive arrive; several directives may stand in one prompt."""
    prompt = "a [[fault=429 times=2 retry_after=3 form=date]] b [[fault=video_cut at=0.1]]"
    prompt += " [[fault=504 accepted=no]]"
    assert parse_directives(prompt) == (
        Fault(fault="429", times=2, retry_after=3, form="date"),
        Fault(fault="video_cut", at=0.1),
        Fault(fault="504", accepted=False),
    )


@pytest.mark.parametrize(
    "directive", ["[[fault=cot]]", "[[fault=cut whenever=1]]", "[[fault=429 times=-1]]", "[[fault=]]"]
)
def test_a_directive_that_is_none_is_an_error(directive: str) -> None:
    """A slip in a directive is told, and shown."""
    with pytest.raises(ValueError, match=r"\[\[fault="):
        parse_directives(directive)


def test_a_prompt_directs_only_where_the_script_lets_it() -> None:
    """With `directives` off a prompt is only a prompt."""
    assert names(Script(), "[[fault=cut]]") == ["cut"]
    assert names(Script(directives=False), "[[fault=cut]]") == []


def test_times_counts_posts_of_one_body() -> None:
    """A fault with `times=2` befalls the first two POSTs of a body; a download's count is not of POSTs."""
    assert [names(Script(), "[[fault=429 times=2]]", earlier=earlier) for earlier in range(3)] == [
        ["429"],
        ["429"],
        [],
    ]
    assert names(Script(), "[[fault=video_cut times=1]]", earlier=5) == ["video_cut"]


def test_the_ordered_list_goes_by_arrival() -> None:
    """The k-th call gets the k-th entry, and those after the end none."""
    script = Script(sequence=(Fault(fault="cut"), None, Fault(fault="429")))
    assert [names(script, arrival=arrival) for arrival in range(4)] == [["cut"], [], ["429"], []]


@settings(deadline=None)
@given(st.floats(0, 1), st.integers(0, 5), st.sampled_from(list(FAULTS)))
def test_rates_are_seeded(rate: float, seed: int, fault: str) -> None:
    """The same script befalls the same calls, whatever their order; 0 is never and 1 always."""
    script = Script(rates=(FaultRate(fault=fault, rate=rate, times=None),), fault_seed=seed)
    calls = [f"body {idx}" for idx in range(20)]
    assert [names(script, body=body) for body in calls] == [names(script, body=body) for body in calls]
    hit = sum(bool(names(script, body=body)) for body in calls)
    assert hit in ({0} if rate == 0 else {20} if rate == 1 else set(range(21)))


def test_rates_are_about_what_they_say() -> None:
    """Of many calls about the share is hit, and another seed hits others."""
    one, two = (Script(rates=(FaultRate(fault="cut", rate=0.2),), fault_seed=seed) for seed in (1, 2))
    hits = [[bool(names(script, body=f"{idx}")) for idx in range(2000)] for script in (one, two)]
    assert 320 < sum(hits[0]) < 480
    assert hits[0] != hits[1]


def test_a_model_names_its_dialect() -> None:
    """The end of a model's name chooses the dialect, else the script does."""
    assert [choose_dialect(Script(), f"sora-2-{dialect}") for dialect in DIALECTS] == list(DIALECTS)
    assert choose_dialect(Script(dialect="chars"), "sora-2") == "chars"
