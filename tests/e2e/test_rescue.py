"""Clips that are paid for and not yet here: fetched later, the most urgent first, never bought again."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from reelsweep.flows.commands import reconcile as command
from reelsweep.tasks.manifest.outfile import read_out, write_out
from reelsweep.tasks.manifest.read import read_manifest

TASK = "task_0123456789abcdef"


@dataclass
class Links:
    """Answers every POST with a link of its own; links are dead until they are alive."""

    gateway: Any
    respond: Callable[..., bytes]
    clip: bytes
    query_of: Callable[[str], str] = lambda _prompt: ""
    """The query of a prompt's link."""
    alive: set[str] = field(default_factory=set[str])
    """Beginnings of paths that give the clip."""
    status: dict[str, Any] = field(default_factory=dict[str, Any])
    """What the page of the job says."""
    said: str = ""
    """What the stream says before its link."""

    def __call__(self, asked: Any) -> bytes:
        if asked.method == "POST":
            link = f"{self.gateway.origin}/out/clip.mp4?{self.query_of(asked.prompt)}"
            text = f"{self.said}[watch]({link})"
            event = {"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": "stop"}]}
            return self.respond(f"data: {json.dumps(event)}\n\ndata: [DONE]\n\n".encode())
        if any(asked.path.startswith(path) for path in self.alive):
            return self.respond(self.clip, content_type="video/mp4")
        if asked.path.startswith("/source/"):
            return self.respond(json.dumps(self.status).encode(), content_type="application/json")
        return self.respond(b"expired", status=403, content_type="text/plain")


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is done beside a run may take as long as a busy machine needs."""
    monkeypatch.setattr("reelsweep.flows.recovery.reconcile.END_S", 60.0)


@pytest.fixture
def links(own_gateway: Any, respond: Callable[..., bytes], clip: bytes) -> Links:
    """The gateway of the test's own, whose links are dead."""
    own_gateway.answer = Links(own_gateway, respond, clip)
    return own_gateway.answer


async def lose_ledger(out: Path) -> None:
    """Lose the ledger while a run is at work, and make it anew."""
    for path in out.glob("ledger.db*"):
        path.unlink()
    facts = read_out(out)
    assert facts is not None
    write_out(out, facts.model_copy(update={"ended": False}))
    await asyncio.to_thread(command.reconcile, str(out), rebuild=True)


async def test_the_link_that_dies_first_is_fetched_first(make: Callable[..., Any], links: Links) -> None:
    """The next run begins with the paid rows whose links expire, the soonest first, and buys nothing."""
    names = ["1", "2", "3", "4"]
    ends = {"1": "", "2": "Expires=2000000300", "3": "exp=2000000100", "4": "se=2033-05-18T03%3A36%3A40Z"}
    links.query_of = lambda prompt: ends[prompt]
    table = pd.DataFrame({"prompt": names})
    first = await make(table, gateway=links.gateway.base_url, concurrency=1, canary=0)
    assert first.counts == {"failed_to_download": 4}
    links.gateway.asked.clear()
    links.alive = {"/out/"}
    second = await make(table, gateway=links.gateway.base_url, concurrency=1, canary=0)
    order = [path.partition("?")[2] for path in links.gateway.gets]
    # Two workers fetch side by side, so neighbours may arrive in either order.
    assert [set(order[:2]), set(order[2:])] == [{ends["3"], ends["4"]}, {ends["2"], ends["1"]}]
    assert (second.posts, second.counts, second.exit_code) == (0, {"success": 4}, 0)


async def test_a_fresh_address_comes_by_the_task_id(make: Callable[..., Any], links: Links) -> None:
    """Where the link is dead, the job's page names another; there is one POST in all."""
    links.said = f"> ID: `{TASK}`\n> [data]({links.gateway.origin}/source/{TASK})\n"
    table = pd.DataFrame({"prompt": ["a kite"]})
    first = await make(table, gateway=links.gateway.base_url)
    assert (first.counts, first.exit_code) == ({"failed_to_download": 1}, 1)
    links.status = {"id": TASK, "status": "completed", "video_url": f"{links.gateway.origin}/fresh/clip.mp4"}
    links.alive = {"/fresh/"}
    second = await make(table, gateway=links.gateway.base_url)
    assert (second.posts, second.counts) == (0, {"success": 1})
    assert len(links.gateway.posts) == 1


async def test_reconcile_downloads_what_was_not_stored(
    make: Callable[..., Any], links: Links, tmp_path: Path
) -> None:
    """By hand and without a table; the manifest tells it, and no POST is sent."""
    await make(pd.DataFrame({"prompt": ["a kite"]}), gateway=links.gateway.base_url)
    out = tmp_path / "out"
    gateway = links.gateway.base_url
    assert await asyncio.to_thread(command.reconcile, str(out), gateway=gateway) == 1
    links.alive = {"/out/"}
    assert await asyncio.to_thread(command.reconcile, str(out), gateway=gateway) == 0
    assert read_manifest(out)["status"].tolist() == ["success"]
    assert len(links.gateway.posts) == 1


async def test_a_lost_address_is_asked_for_by_the_task_id(
    make: Callable[..., Any], links: Links, tmp_path: Path
) -> None:
    """A rebuilt ledger knows no links: the clip comes by the job's page, or stays paid for and missing."""
    links.said = f"> ID: `{TASK}`\n> [data]({links.gateway.origin}/source/{TASK})\n"
    table, out = pd.DataFrame({"prompt": ["a kite"]}), tmp_path / "out"
    await make(table, gateway=links.gateway.base_url)
    await lose_ledger(out)
    missing = await make(table, gateway=links.gateway.base_url)
    assert (missing.posts, missing.counts, missing.exit_code) == (0, {"failed_to_download": 1}, 1)
    links.status = {"id": TASK, "status": "completed", "video_url": f"{links.gateway.origin}/fresh/clip.mp4"}
    links.alive = {"/fresh/"}
    found = await make(table, gateway=links.gateway.base_url)
    assert (found.posts, found.counts, len(links.gateway.posts)) == (0, {"success": 1}, 1)


@pytest.mark.parametrize(
    ("error", "status"),
    [({"code": "moderation_blocked", "message": "blocked"}, "refused"), ({"message": "broke"}, "failed")],
)
async def test_a_lost_clip_whose_job_has_failed_ends_as_the_gateway_says(
    error: dict[str, str], status: str, make: Callable[..., Any], links: Links, tmp_path: Path
) -> None:
    """The job's page says that it has no video: the row is over, at the cost that was settled."""
    links.said = f"> ID: `{TASK}`\n> [data]({links.gateway.origin}/source/{TASK})\n"
    table, out = pd.DataFrame({"prompt": ["a kite"]}), tmp_path / "out"
    await make(table, gateway=links.gateway.base_url, price="0.10")
    await lose_ledger(out)
    links.status = {"id": TASK, "status": "failed", "error": error}
    ended = await make(table, gateway=links.gateway.base_url, price="0.10")
    later = await make(table, gateway=links.gateway.base_url, price="0.10")
    assert (ended.counts, ended.cost_usd, later.counts) == ({status: 1}, 0.1, {status: 1})
    assert len(links.gateway.posts) == 1


async def test_a_held_row_is_read_again_beside_the_next_run(
    make: Callable[..., Any], links: Links, respond: Callable[..., bytes], tmp_path: Path
) -> None:
    """A kept transcript in which today's reader sees the clip becomes a success, without a POST."""
    links.alive = {"/out/"}
    answer = links.gateway.answer
    links.gateway.answer = lambda asked: (
        respond(b": waiting\n\n", Content_Length="999") if asked.method == "POST" else answer(asked)
    )
    table = pd.DataFrame({"prompt": ["a kite", "a boat"]})
    first = await make(table, gateway=links.gateway.base_url, canary=0)
    assert first.counts == {"unknown": 2}
    kept, other = sorted((tmp_path / "out" / "transcripts").iterdir())
    text = json.dumps(
        {"choices": [{"index": 0, "delta": {"content": f"{links.gateway.origin}/out/clip.mp4"}}]}
    )
    kept.write_text(f"data: {text}\n\ndata: [DONE]\n\n")
    second = await make(table, gateway=links.gateway.base_url, canary=0)
    assert (second.posts, second.counts, second.exit_code) == (0, {"success": 1, "unknown": 1}, 1)
    assert other.read_bytes() == b": waiting\n\n"


async def test_a_paid_clip_is_fetched_though_its_row_left_the_plan(
    make: Callable[..., Any], links: Links, tmp_path: Path
) -> None:
    """A row that was edited away before its clip was here is still paid for."""
    await make(pd.DataFrame({"prompt": ["kite", "boat"]}), gateway=links.gateway.base_url, canary=0)
    links.alive = {"/out/"}
    await make(pd.DataFrame({"prompt": ["kite"]}), gateway=links.gateway.base_url, canary=0)
    frame = read_manifest(tmp_path / "out")
    assert frame["status"].tolist() == ["success", "success"]
    assert frame["in_plan"].tolist() == [True, False]
    assert len(links.gateway.posts) == 2
