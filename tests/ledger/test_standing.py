"""The rules by which attempts make a standing, apart from any database."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reelsweep.tasks.ledger.standing import (
    Money,
    Trace,
    derive,
    is_success,
    money_of,
    open_key,
    purchase_key,
    why_not,
)

_TRACE = Trace(
    attempt_id="a",
    attempt_idx=0,
    run_id="run",
    idempotency_key="key",
    body_sha256="body",
    budget_slot=0,
    state="intent",
    status="in_progress",
    kind=None,
    retry=None,
    billed=None,
    price_musd=100,
    reserved_musd=100,
    cost_musd=None,
    cost_source=None,
    gateway_task_id=None,
    status_url=None,
    completion_id=None,
    sent_at=datetime(2025, 6, 1, tzinfo=UTC),
)
_PAID: dict[str, Any] = {"billed": "yes", "reserved_musd": 0, "cost_musd": 80}
_FREE: dict[str, Any] = {"billed": "no", "reserved_musd": 0}
_KINDS: dict[str, dict[str, Any]] = {
    "intent": {},
    "withdrawn": {"state": "withdrawn", "status": "planned", **_FREE},
    "unknown": {"state": "unknown", "status": "unknown", "billed": "maybe"},
    "cut": {"state": "unknown", "status": "unknown", "billed": "maybe", "kind": "incomplete"},
    "unbilled": {"state": "unknown", "status": "unknown", "billed": "no", "reserved_musd": 0},
    "named": {"state": "unknown", "status": "unknown", "billed": "maybe", "gateway_task_id": "job"},
    "given up": {"state": "unknown", "status": "unknown", "billed": "maybe", "kind": "failed"},
    "fetching": {"state": "answered", "kind": "succeeded", **_PAID},
    "submitted": {"state": "answered", "kind": "submitted", "billed": "yes"},
    "expired": {"state": "answered", "status": "failed_to_download", "kind": "succeeded", **_PAID},
    "success": {"state": "settled", "status": "success", "kind": "succeeded", **_PAID},
    "surplus": {"state": "surplus", "status": "success", "kind": "succeeded", **_PAID},
    "invalid": {"state": "settled", "status": "invalid_output", "kind": "succeeded", **_PAID},
    "refused": {"state": "settled", "status": "refused", "kind": "refused", "billed": "maybe"},
    "no_video": {"state": "settled", "status": "failed", "kind": "no_video", **_PAID},
    "rejected": {"state": "settled", "status": "failed", "kind": "failed", "retry": "none", **_FREE},
    "throttled": {"state": "settled", "status": "failed", "kind": "failed", "retry": "backoff", **_FREE},
    "no_capacity": {
        "state": "settled",
        "status": "failed",
        "kind": "failed",
        "retry": "backoff_long",
        **_FREE,
    },
    "stopped": {"state": "settled", "status": "planned", "kind": "stopped", **_FREE},
}


def _traces(*kinds: str) -> list[Trace]:
    return [
        replace(_TRACE, attempt_id=f"a{number}", attempt_idx=number, **_KINDS[kind])
        for number, kind in enumerate(kinds)
    ]


@pytest.mark.parametrize(
    ("kinds", "status", "step", "speaker"),
    [
        ((), "planned", "buy", None),
        (("withdrawn",), "planned", "buy", None),
        (("intent",), "in_progress", "hold", 0),
        (("unknown",), "unknown", "hold", 0),
        (("named",), "unknown", "recover", 0),
        (("fetching",), "in_progress", "fetch", 0),
        (("submitted",), "in_progress", "recover", 0),
        (("expired",), "failed_to_download", "fetch", 0),
        (("success",), "success", "none", 0),
        (("invalid",), "invalid_output", "none", 0),
        (("refused",), "refused", "none", 0),
        (("no_video",), "failed", "none", 0),
        (("rejected",), "failed", "none", 0),
        (("throttled",), "failed", "buy", 0),
        (("no_capacity", "throttled"), "failed", "buy", 1),
        (("stopped",), "planned", "buy", 0),
        (("unknown", "throttled"), "unknown", "hold", 0),
        (("named", "withdrawn", "throttled"), "unknown", "recover", 0),
        (("no_video", "throttled"), "failed", "none", 0),
        (("unknown", "success"), "success", "none", 1),
        (("success", "surplus"), "success", "none", 0),
        (("surplus", "success"), "success", "none", 1),
        (("fetching", "intent"), "in_progress", "fetch", 0),
        (("expired", "no_video"), "failed_to_download", "fetch", 0),
        (("unknown", "refused"), "refused", "none", 1),
        (("unbilled",), "unknown", "buy", 0),
        (("unknown", "unbilled"), "unknown", "hold", 0),
        (("refused", "unbilled"), "refused", "none", 0),
        (("no_video", "unbilled"), "failed", "none", 0),
    ],
)
def test_attempts_make_a_standing(
    kinds: tuple[str, ...], status: str, step: str, speaker: int | None
) -> None:
    """Every row of the table of crashes and outcomes, and what two attempts come to."""
    derived = derive(_traces(*kinds))
    assert (derived.status, derived.next_step) == (status, step)
    assert derived.attempt_id == (None if speaker is None else f"a{speaker}")


@pytest.mark.parametrize(
    ("kinds", "allow", "reason"),
    [
        ((), "", None),
        (("throttled", "no_capacity", "stopped", "withdrawn"), "", None),
        (("success",), "failed_billed unknown", "final"),
        (("refused",), "failed_billed unknown", "final"),
        (("rejected",), "failed_billed unknown", "final"),
        (("intent",), "failed_billed unknown", "claimed"),
        (("fetching",), "failed_billed unknown", "claimed"),
        (("submitted",), "failed_billed unknown", "claimed"),
        (("unknown",), "failed_billed", "unknown"),
        (("unknown",), "unknown", None),
        (("unknown", "throttled"), "", "unknown"),
        (("given up",), "", "unknown"),
        (("unbilled",), "", None),
        (("unknown", "unbilled"), "", "unknown"),
        (("no_video", "unbilled"), "", "failed_billed"),
        (("refused", "unbilled"), "failed_billed unknown", "final"),
        (("no_video",), "unknown", "failed_billed"),
        (("no_video",), "failed_billed", None),
        (("invalid",), "failed_billed", None),
        (("expired",), "", "failed_billed"),
        (("expired", "unknown"), "failed_billed", "unknown"),
        (("unknown", "unknown"), "unknown", "max_purchases"),
        (("no_video", "unknown"), "unknown", "max_purchases"),
    ],
)
def test_what_may_be_bought(kinds: tuple[str, ...], allow: str, reason: str | None) -> None:
    """Only what is surely unbilled is bought without being asked for, and never over the limit."""
    assert why_not(_traces(*kinds), frozenset(allow.split()), 2) == reason  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("kinds", "keeps"),
    [
        (("unknown",), 0),
        (("cut",), 0),
        (("unknown", "throttled"), 0),
        (("unknown", "withdrawn"), 0),
        (("throttled", "unknown", "no_capacity"), 1),
        (("throttled",), None),
        (("no_video",), None),
        (("given up",), None),
        (("unknown", "no_video"), None),
        (("no_video", "unbilled"), None),
        (("unbilled",), 0),
    ],
)
def test_a_key_is_kept_while_its_fate_is_unknown(kinds: tuple[str, ...], keeps: int | None) -> None:
    """Only a definite answer that is no mere refund ends a purchase key."""
    found = open_key(_traces(*kinds))
    assert (None if found is None else found.attempt_idx) == keeps


_SOME = st.lists(st.sampled_from(sorted(_KINDS)), max_size=6)


@given(_SOME)
def test_a_success_outweighs_everything(kinds: list[str]) -> None:
    """With one stored success among any attempts the row is a success and nothing is bought."""
    traces = _traces(*kinds)
    derived = derive(traces)
    assert (derived.status == "success" and derived.next_step == "none") == any(map(is_success, traces)) or (
        derived.attempt_id is not None and traces[int(derived.attempt_id[1:])].state == "surplus"
    )


@given(_SOME)
def test_what_may_be_paid_for_is_never_bought_by_itself(kinds: list[str]) -> None:
    """Without permission a POST is allowed only when every earlier one is surely unbilled."""
    traces = _traces(*kinds)
    maybe_paid = [trace for trace in traces if trace.billed != "no"]
    if why_not(traces, frozenset(), 2) is None:
        assert maybe_paid == [] or all(trace.state == "surplus" for trace in maybe_paid)
        assert derive(traces).next_step == "buy" or maybe_paid


@given(_SOME)
def test_the_sums_are_those_of_the_attempts(kinds: list[str]) -> None:
    """A generation's money is what was sent, settled or reserved; the withdrawn are nowhere."""
    traces = _traces(*kinds)
    derived = derive(traces)
    sums = Money()
    for trace in traces:
        sums = Money(*(a + b for a, b in zip(_parts(sums), _parts(money_of(trace)), strict=True)))
    assert (derived.cost_musd or 0, derived.reserved_musd or 0) == (sums.settled, sums.open + sums.held)
    assert derived.num_attempts == sum(trace.state != "withdrawn" for trace in traces)
    assert derived.num_purchases <= derived.num_attempts


def _parts(money: Money) -> tuple[int, int, int]:
    return money.settled, money.open, money.held


def test_a_skip_shows_only_where_something_could_be_bought() -> None:
    """A reason for not sending never hides an outcome."""
    assert derive((), "skipped_parent").status == "skipped_parent"
    assert derive(_traces("throttled"), "cancelled").status == "cancelled"
    assert derive(_traces("success"), "cancelled").status == "success"


_TEXT = st.text(max_size=5)


@given(st.tuples(_TEXT, _TEXT, _TEXT, st.integers(0, 9)), st.tuples(_TEXT, _TEXT, _TEXT, st.integers(0, 9)))
def test_a_purchase_key_names_one_purchase(one: Any, other: Any) -> None:
    """Keys are equal exactly where ledger, gateway, fingerprint and number of answers are."""
    if not any("\0" in part for key in (one, other) for part in key[:3]):
        assert (purchase_key(*one) == purchase_key(*other)) == (one == other)


def test_a_salted_key_is_another_key() -> None:
    """A changed body under an open purchase gets a key of its own, the same one every time."""
    plain, salted = purchase_key("l", "g", "f", 0), purchase_key("l", "g", "f", 0, "body")
    assert plain != salted == purchase_key("l", "g", "f", 0, "body")
    assert len(plain) == len(salted) == 64
