"""Idempotency keys: the first job is given back, never sold twice; or ignored, as told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

Sandbox = Callable[..., Any]


def test_a_key_gives_the_first_job_back(sandbox: Sandbox) -> None:
    """The same key and body later: the same answer, at once, and nothing on the bill."""
    caller = sandbox()
    first = caller.post(key="again")
    accepted = len(caller.server.bill())
    again = caller.post(key="again")
    assert (again.content, again.headers["idempotent-replayed"]) == (first.content, "true")
    assert again.events[0]["id"] == first.events[0]["id"]
    assert len(caller.server.bill()) == accepted


def test_a_running_job_answers_409(sandbox: Sandbox) -> None:
    """While the first job runs, its key is answered with 409."""
    caller = sandbox(duration_s=30)
    assert caller.post("[[fault=cut_first]]", key="busy").ended == "cut"
    busy = caller.post("[[fault=cut_first]]", key="busy")
    assert (busy.status, busy.json()["error"]["code"]) == (409, "idempotency_key_in_use")


def test_a_key_with_another_body_is_refused(sandbox: Sandbox) -> None:
    """A key belongs to one body."""
    caller = sandbox()
    caller.post("one", key="mine")
    other = caller.post("two", key="mine")
    assert (other.status, other.json()["error"]["code"]) == (422, "idempotency_key_reused")


@pytest.mark.parametrize("fault", ["cut", "cut_first", "eof", "reset_accepted", "504", "500", "empty"])
def test_what_was_lost_on_the_way_is_replayed_whole(sandbox: Sandbox, fault: str) -> None:
    """A job whose answer was spoilt on the way is given back undamaged, with its clip, and bought once."""
    caller = sandbox()
    before = len(caller.server.bill())
    key = f"lost {fault}"
    caller.post(f"[[fault={fault}]]", key=key)
    caller.post("a later one: when it has ended, so has the first")
    again = caller.post(f"[[fault={fault}]]", key=key)
    assert "[video](" in again.content
    assert again.body.endswith(b"data: [DONE]\n\n")
    assert len(caller.server.bill()) == before + 2


def test_a_replayed_refusal_is_a_refusal(sandbox: Sandbox) -> None:
    """What the gateway decided stays decided."""
    caller = sandbox()
    first, again = (caller.post("[[fault=refused_output]]", key="no") for _ in range(2))
    assert again.content == first.content


def test_what_was_not_accepted_is_not_remembered(sandbox: Sandbox) -> None:
    """A key whose POST was turned away buys the first time it is taken."""
    caller = sandbox()
    first, second = (caller.post("[[fault=429 times=1]]", key="later") for _ in range(2))
    assert (first.status, second.status, "idempotent-replayed" in second.headers) == (429, 200, False)


def test_keys_can_be_ignored(sandbox: Sandbox) -> None:
    """Where the script says so, the same key buys twice."""
    caller = sandbox(idempotency="ignore")
    before = len(caller.server.bill())
    ids = {caller.post(key="twice").events[0]["id"] for _ in range(2)}
    assert (len(ids), len(caller.server.bill())) == (2, before + 2)
