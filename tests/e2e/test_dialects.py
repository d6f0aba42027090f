"""Every dialect from the table to the clip, jobs that are finished by asking, and chains of edits."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import pandas as pd
import pytest
from reelsweep.tasks.sandbox.faults import FAULTS
from reelsweep.tasks.sandbox.script import DIALECTS, Dialect, Script
from reelsweep.tasks.sandbox.server import SandboxServer


async def test_every_dialect_ends_in_a_clip(make: Callable[..., Any], sandbox: SandboxServer) -> None:
    """One POST per row, whatever way the gateway tells of its video; the clips are all different."""
    before = len(sandbox.bill())
    table = pd.DataFrame({"prompt": "a kite", "model": [f"sora-2-{name}" for name in DIALECTS]})
    summary = await make(table)
    assert summary.counts == {"success": len(get_args(Dialect))}
    assert summary.posts == len(sandbox.bill()) - before == len(DIALECTS)
    assert summary.frame()["frames_sha256"].nunique() == len(DIALECTS)


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_a_fault_means_the_same_in_every_dialect(
    dialect: Dialect, make: Callable[..., Any], sandbox: SandboxServer
) -> None:
    """Refusals, cuts, a plain answer and a job that failed end alike, with one POST for each row."""
    sandbox.control(Script(dialect=dialect))
    expected = {"refused_output": "refused", "cut_first": "unknown", "500": "unknown", "no_done": "success"}
    prompts = [f"a kite [[fault={name}]]" for name in expected]
    summary = await make(pd.DataFrame({"prompt": prompts}), canary=0)
    assert expected.keys() <= FAULTS.keys()
    assert summary.frame()["status"].tolist() == list(expected.values())
    assert summary.posts == len(expected)


@dataclass
class Jobs:
    """Answers POSTs with a stream that is cut, and tells of the job when asked."""

    gateway: Any
    respond: Callable[..., bytes]
    clip: bytes
    stream: bytes
    answers: list[dict[str, Any]]
    """What the status page says, the last one for ever."""

    def __call__(self, asked: Any) -> bytes:
        if asked.method == "POST":
            return self.respond(self.stream, Content_Length=str(len(self.stream) + 10))
        if asked.path.endswith((".mp4", "/content")):
            return self.respond(self.clip, content_type="video/mp4")
        document = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return self.respond(json.dumps(document).encode(), content_type="application/json")


def _event(text: str) -> bytes:
    return b"data: " + json.dumps({"choices": [{"index": 0, "delta": {"content": text}}]}).encode() + b"\n\n"


async def test_a_cut_behind_the_task_id_costs_one_get_and_no_second_post(
    make: Callable[..., Any], own_gateway: Any, respond: Callable[..., bytes], clip: bytes
) -> None:
    """The finished job is found at its status URL; the row is settled once, at one price."""
    url = f"{own_gateway.origin}/out/clip.mp4"
    stream = _event(
        f"> ID: `task_0123456789abcdef`\n> [data]({own_gateway.origin}/source/task_0123456789abcdef)\n"
    )
    done = {"id": "task_0123456789abcdef", "status": "completed", "video_url": url}
    own_gateway.answer = Jobs(own_gateway, respond, clip, stream, [done])
    summary = await make(pd.DataFrame({"prompt": ["a kite"]}), gateway=own_gateway.base_url, price="0.80")
    assert summary.counts == {"success": 1}
    assert len(own_gateway.posts) == 1
    assert own_gateway.gets == ["/source/task_0123456789abcdef", "/out/clip.mp4"]
    row = summary.frame().iloc[0]
    assert (summary.cost_usd, row["cost_usd"], row["num_purchases"]) == (0.80, 0.80, 1)
    assert row["gateway_task_id"] == "task_0123456789abcdef"


async def test_a_cut_row_is_recovered_by_a_later_run(
    make: Callable[..., Any], own_gateway: Any, respond: Callable[..., bytes], clip: bytes
) -> None:
    """What no page knew in the first run is asked for again by the next, which fetches it without a POST."""
    stream = _event(
        f"> ID: `task_0123456789abcdef`\n> [data]({own_gateway.origin}/source/task_0123456789abcdef)\n"
    )
    jobs = Jobs(own_gateway, respond, clip, stream, [{}])
    own_gateway.answer = jobs
    table = pd.DataFrame({"prompt": ["a kite"]})
    first = await make(table, gateway=own_gateway.base_url, price="0.80")
    jobs.answers = [{"status": "completed", "video_url": f"{own_gateway.origin}/out/clip.mp4"}]
    second = await make(table, gateway=own_gateway.base_url, price="0.80")
    assert (first.counts, second.counts) == ({"unknown": 1}, {"success": 1})
    assert (first.posts, second.posts, len(own_gateway.posts)) == (1, 0, 1)
    assert (first.cost_usd, second.cost_usd) == (0.0, 0.80)
    assert "task_0123456789abcdef" in second.frame().iloc[0]["text"]


async def test_the_videos_shape_is_asked_until_it_has_ended(
    make: Callable[..., Any], own_gateway: Any, respond: Callable[..., bytes], clip: bytes
) -> None:
    """`/v1/videos/{id}` says queued, then completed; the bytes come from its `/content`."""
    job = {"id": "video_0123456789abcdef", "object": "video"}
    queued = json.dumps({**job, "status": "queued", "progress": 0}).encode()
    answers = [{**job, "status": "in_progress", "progress": 40}, {**job, "status": "completed"}]
    jobs = Jobs(own_gateway, respond, clip, queued, answers)

    def answer(asked: Any) -> bytes:
        is_post = asked.method == "POST"
        return respond(queued, content_type="application/json") if is_post else jobs(asked)

    own_gateway.answer = answer
    summary = await make(pd.DataFrame({"prompt": ["a kite"]}), gateway=own_gateway.base_url)
    page = "/v1/videos/video_0123456789abcdef"
    assert summary.counts == {"success": 1}
    assert own_gateway.gets == [page, page, f"{page}/content"]
    assert len(own_gateway.posts) == 1


async def test_a_chain_of_three_edits_sends_each_turn_unmodified(
    make: Callable[..., Any], own_gateway: Any, respond: Callable[..., bytes], clip: bytes
) -> None:
    """A row that follows another carries its whole conversation: ids, links and line breaks as they came."""

    def turn(idx: int) -> str:
        url = f"{own_gateway.origin}/out/{idx}.mp4"
        return f"> ID: `task_{idx:016d}`\n\n> 进度 100\n\n[在线播放▶️]({url})  \n"

    def answer(asked: Any) -> bytes:
        if asked.method == "GET":
            return respond(clip, content_type="video/mp4")
        return respond(_event(turn(len(own_gateway.posts))) + b"data: [DONE]\n\n")

    own_gateway.answer = answer
    table = pd.DataFrame(
        {
            "prompt_id": ["c", "a", "b"],
            "follows": ["b", None, "a"],
            "prompt": ["make it snow", "a kite", "make it night"],
        }
    )
    summary = await make(table, gateway=own_gateway.base_url)
    sent = [asked.json["messages"] for asked in own_gateway.posts]
    first = [{"role": "user", "content": "a kite"}]
    second = [*first, {"role": "assistant", "content": turn(1)}, {"role": "user", "content": "make it night"}]
    third = [*second, {"role": "assistant", "content": turn(2)}, {"role": "user", "content": "make it snow"}]
    assert summary.counts == {"success": 3}
    assert sent == [first, second, third]


@pytest.mark.parametrize("dialect", ["ack", "videos", "task"])
async def test_a_job_that_was_asked_for_can_be_edited(dialect: str, make: Callable[..., Any]) -> None:
    """What the stream said stays the row's text, with its fingerprint, also when the clip came by asking."""
    fault = "[[fault=cut_task]]" if dialect == "task" else ""
    table = pd.DataFrame(
        {"prompt_id": ["a", "b"], "follows": [None, "a"], "prompt": [f"a kite {fault}", "at night"]}
    )
    summary = await make(table, model=f"sora-2-{dialect}")
    row = summary.frame().iloc[0]
    assert summary.counts == {"success": 2}
    assert row["gateway_task_id"] in row["text"]
    assert row["system_fingerprint"].startswith("fp_")


async def test_a_chain_ends_where_its_parent_ends(make: Callable[..., Any]) -> None:
    """The children of a refused row are skipped with their reason, and cost nothing."""
    table = pd.DataFrame(
        {
            "prompt_id": ["a", "b", "c"],
            "follows": [None, "a", "b"],
            "prompt": ["a kite [[fault=refused_input]]", "make it night", "make it snow"],
        }
    )
    summary = await make(table)
    assert summary.frame()["status"].tolist() == ["refused", "skipped_parent", "skipped_parent"]
    assert summary.posts == 1


async def test_a_child_waits_for_a_run_that_makes_its_parent(make: Callable[..., Any]) -> None:
    """A run that makes only the child leaves it for later, and says that something is left."""
    table = pd.DataFrame({"prompt_id": ["b", "a"], "follows": ["a", None], "prompt": ["at night", "a kite"]})
    first = await make(table, limit=1)
    later = await make(table)
    assert (first.counts, first.posts, first.exit_code) == ({"planned": 2}, 0, 1)
    assert (later.counts, later.posts, later.exit_code) == ({"success": 2}, 2, 0)


async def test_three_edits_of_the_sandbox_are_three_clips(make: Callable[..., Any]) -> None:
    """The sandbox takes a chain too; running it again buys nothing."""
    table = pd.DataFrame(
        {
            "prompt_id": ["a", "b", "c"],
            "follows": [None, "a", "b"],
            "prompt": ["a kite", "at night", "in snow"],
        }
    )
    first = await make(table)
    again = await make(table)
    frame = again.frame()
    assert (first.posts, again.posts, first.counts) == (3, 0, {"success": 3})
    assert all(Path(name).is_absolute() for name in frame["file_name"])
    assert frame["frames_sha256"].nunique() == 3
