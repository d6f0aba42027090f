"""Dialects: each tells of the same clip in its own way, and asking about it works."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from typing import Any

import pytest
from reelsweep.tasks.sandbox.script import DIALECTS

Sandbox = Callable[..., Any]


def reasoning(heard: Any) -> str:
    deltas = [choice["delta"] for event in heard.events for choice in event["choices"]]
    return "".join(delta.get("reasoning_content") or "" for delta in deltas)


def wait(caller: Any, task_id: str) -> dict[str, Any]:
    """Ask until the task has ended; each question is a round trip."""
    until = time.monotonic() + 30
    while time.monotonic() < until:
        document = caller.get(f"/status/{task_id}").json()
        if document["status"] != "running":
            return document
    raise AssertionError("the task did not end")


def test_standard_has_a_markdown_link(sandbox: Sandbox) -> None:
    """Progress and result stand in `content`; the clip is there."""
    caller = sandbox(dialect="standard", events=3)
    heard = caller.post(seed=1)
    assert re.findall(r"Progress: ([\d.]+)%", heard.content) == ["25.0", "50.0", "75.0"]
    url = re.search(r"\[video\]\((http\S+\.mp4)\)", heard.content)
    assert url is not None
    assert caller.get(url[1]).body[4:8] == b"ftyp"


def test_reasoning_keeps_progress_out_of_content(sandbox: Sandbox) -> None:
    """Progress is thought, the clip is a `<video>` tag in a fence, and the end is in capitals."""
    heard = sandbox(dialect="reasoning").post()
    assert "**Video Generation Progress**: 20.0% (running)" in reasoning(heard)
    assert re.fullmatch(r"```html\n<video src='http\S+\.mp4' controls></video>\n```", heard.content)
    assert heard.events[-1]["choices"][0]["finish_reason"] == "STOP"


def test_quoted_echoes_the_prompt_and_has_no_ids(sandbox: Sandbox) -> None:
    """The echo holds the user's words, progress is quoted, the link has a label."""
    heard = sandbox(dialect="quoted").post('see http://example.com/mine.mp4 "now"')
    echo = json.loads(heard.content.split("```json\n")[1].split("\n```")[0])
    assert echo["prompt"] == 'see http://example.com/mine.mp4 "now"'
    assert "> 🏃 进度：20.0%" in heard.content
    assert "[点击这里](http://127.0.0.1:" in heard.content
    assert heard.events[0]["created"] == 0


def test_task_names_a_status_page_that_leads_to_the_same_clip(sandbox: Sandbox) -> None:
    """The status page comes before any progress and ends with the stream's URL."""
    caller = sandbox(dialect="task")
    heard = caller.post()
    status_url = re.search(r"\[原始数据\]\((\S+)\)", heard.content)
    video_url = re.search(r"\[在线播放▶️\]\((\S+)\)", heard.content)
    assert status_url is not None
    assert video_url is not None
    assert heard.content.index("进度") > status_url.start()
    assert ".webp" in heard.content[: video_url.start()]
    assert caller.get(status_url[1]).json()["video_url"] == video_url[1]


def test_ack_only_says_a_task_id(sandbox: Sandbox) -> None:
    """The stream ends at once without a finish; the clip is found by asking."""
    caller = sandbox(dialect="ack", duration_s=0.2)
    heard = caller.post()
    task_id = re.search(r"Task ID: `(sandbox:[0-9a-f-]{36})`", heard.content)
    assert task_id is not None
    assert caller.get(f"/status/{task_id[1]}").json()["status"] == "running"
    assert caller.get(f"/v1/videos/{task_id[1]}/content").status == 400
    assert caller.get(wait(caller, task_id[1])["video_url"]).status == 200


def test_chars_sends_one_character_per_event_and_a_relative_url(sandbox: Sandbox) -> None:
    """No event says more than a letter; the address has no host; each choice has its own."""
    caller = sandbox(dialect="chars", events=2)
    heard = caller.post(n=2)
    assert {len(c["delta"]["content"]) for event in heard.events for c in event["choices"] if c["delta"]} == {
        1
    }
    paths = re.findall(r"^(/v1/files/video\?\S+)$", heard.content, re.MULTILINE)
    clips = [caller.get(path).body for path in paths]
    assert len(set(clips)) == 2
    assert caller.get("/v1/files/video?id=nobody").status == 404
    assert caller.get(f"{paths[0]}&choice=7").status == 404


def test_videos_has_the_shape_of_a_video_api(sandbox: Sandbox) -> None:
    """The content is one JSON object; job and clip are under `/v1/videos`."""
    caller = sandbox(dialect="videos")
    told = json.loads(caller.post(size="64x48", seconds=0.5).content)
    assert told["object"] == "video"
    wait(caller, told["id"])
    job = caller.get(f"/v1/videos/{told['id']}").json()
    assert (job["status"], job["progress"], job["size"], job["seconds"]) == ("completed", 100, "64x48", "0.5")
    assert caller.get(f"/v1/videos/{told['id']}/content").headers["content-type"] == "video/mp4"


def test_keepalive_comments_until_all_is_said(sandbox: Sandbox) -> None:
    """Nothing but comments, then one event with the address twice, its instant in milliseconds."""
    heard = sandbox(dialect="keepalive", events=3).post()
    assert heard.text.count(": keep-alive\n\n") == 3
    first = heard.events[0]
    urls = re.findall(r"http\S+\.mp4", first["choices"][0]["delta"]["content"])
    assert (len(urls), len(set(urls)), first["created"] > 10**12) == (2, 1, True)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_model_name_chooses_the_dialect(sandbox: Sandbox, dialect: str) -> None:
    """`sora-2-<dialect>` speaks it without any script, and its clip is found by asking about the job."""
    caller = sandbox()
    heard = caller.post(model=f"sora-2-{dialect}")
    name = heard.events[0]["id"].rpartition("-")[2]
    assert wait(caller, name)["status"] == "completed"


@pytest.mark.parametrize("dialect", ["standard", "reasoning", "quoted", "task", "keepalive"])
def test_n_choices_have_n_clips(sandbox: Sandbox, dialect: str) -> None:
    """Each choice names its own clip."""
    heard = sandbox(dialect=dialect).post(n=3)
    assert len(set(re.findall(r"http\S+?\.mp4", heard.content))) == 3


def test_comments_keep_a_stream_alive(sandbox: Sandbox) -> None:
    """With `keepalive_s` comments stand between the events of any dialect."""
    heard = sandbox(duration_s=0.2, events=0, keepalive_s=0.05).post()
    assert heard.text.count(": PING\n\n") == 3
    assert heard.body.endswith(b"data: [DONE]\n\n")


def test_a_plain_answer_says_the_same(sandbox: Sandbox) -> None:
    """Without `stream`, one document holds the whole content."""
    heard = sandbox(dialect="reasoning").post(stream=False)
    message = heard.json()["choices"][0]["message"]
    assert "**Video Generation Progress**" in message["reasoning_content"]
    assert "<video src='" in message["content"]
    assert heard.json()["object"] == "chat.completion"
