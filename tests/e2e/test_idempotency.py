"""A gateway that says it honours idempotency keys: rows of unknown fate are asked again by themselves."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from reelsweep.tasks.sandbox.script import Script
from reelsweep.tasks.sandbox.server import SandboxServer

HONOURED = {"honoured": True, "ttl": "24h"}


@pytest.fixture
def honouring(sandbox: SandboxServer, write_profile: Callable[..., str]) -> str:
    """A profile of the sandbox, which does what it says."""
    sandbox.control(Script(idempotency="honour", duration_s=0.3))
    return write_profile(base_url=sandbox.base_url, idempotency=HONOURED)


async def test_a_cut_stream_is_asked_for_again_in_the_same_run(
    make: Callable[..., Any], sandbox: SandboxServer, honouring: str
) -> None:
    """While the first job runs the gateway says so, then it gives the job: one sale, one price, none held."""
    before = len(sandbox.bill())
    summary = await make(
        pd.DataFrame({"prompt": ["a kite [[fault=cut_first]]", "a boat"]}), gateway=honouring, price="0.10"
    )
    assert (summary.counts, summary.exit_code, summary.cost_usd) == ({"success": 2}, 0, 0.2)
    assert len(sandbox.bill()) - before == 2
    attempts = pd.read_parquet(Path(summary.out) / "attempts.parquet")
    asked = attempts.groupby("request_fingerprint")["idempotency_key"].agg(["nunique", "count"])
    assert asked["nunique"].tolist() == [1, 1]
    assert sorted(asked["count"])[0] == 1 < sorted(asked["count"])[1]
    assert attempts["reserved_usd"].sum() == 0


async def test_a_held_row_is_asked_for_again_by_the_next_run(
    make: Callable[..., Any], sandbox: SandboxServer, honouring: str
) -> None:
    """What an earlier run left as unknown is made without `--on-unknown`, and sold once."""
    before, table = len(sandbox.bill()), pd.DataFrame({"prompt": ["a kite [[fault=eof]]"]})
    held = await make(table)
    again = await make(table, gateway=honouring)
    assert (held.counts, again.counts, again.posts) == ({"unknown": 1}, {"success": 1}, 1)
    assert len(sandbox.bill()) - before == 1


async def test_a_key_that_may_be_forgotten_before_its_post_arrives_is_not_sent_again(
    make: Callable[..., Any], sandbox: SandboxServer, write_profile: Callable[..., str]
) -> None:
    """A POST may take two minutes to leave; what the gateway sells once for less is held like any other."""
    sandbox.control(Script(idempotency="honour", duration_s=0.1))
    table = pd.DataFrame({"prompt": ["a kite [[fault=eof]]"]})
    profile = write_profile(base_url=sandbox.base_url, idempotency={"honoured": True, "ttl": 125})
    held, again = await make(table), await make(table, gateway=profile)
    assert (held.counts, again.counts, again.posts) == ({"unknown": 1}, {"unknown": 1}, 0)


async def test_a_replayed_refusal_is_the_rows_end(
    make: Callable[..., Any], sandbox: SandboxServer, honouring: str, own_gateway: Any, respond: Any
) -> None:
    """The gateway's answer to the key is definite: the row is refused, and never sent again."""
    answers = [
        respond(b": waiting\n\n", Content_Length="999"),
        respond(
            b'{"error": {"message": "blocked", "code": "moderation_blocked"}}',
            status=400,
            content_type="application/json",
        ),
    ]
    own_gateway.answer = lambda _asked: answers[min(len(own_gateway.posts), 2) - 1]
    table = pd.DataFrame({"prompt": ["a kite"]})
    profile = Path(honouring)
    profile.write_text(profile.read_text().replace(sandbox.base_url, own_gateway.base_url))
    summary = await make(table, gateway=honouring)
    later = await make(table, gateway=honouring)
    keys = {asked.headers["idempotency-key"] for asked in own_gateway.posts}
    assert (summary.counts, summary.posts, later.posts) == ({"refused": 1}, 2, 0)
    assert len(keys) == 1
    assert len({asked.body for asked in own_gateway.posts}) == 1
