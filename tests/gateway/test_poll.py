"""Asking after a job: where, and what the answers mean."""

from __future__ import annotations

import json
from typing import Any

import pytest
from reelsweep.tasks.gateway.explain import manifest_status_of
from reelsweep.tasks.gateway.outcome import Outcome
from reelsweep.tasks.gateway.poll import content_url, read_status, recovery_urls

BASE = "https://api.example.com/v1"
VIDEO = "https://cdn.example.com/v.mp4"


def status(page: object, **terms: Any) -> Outcome:
    """What a JSON status page says."""
    return read_status(json.dumps(page).encode(), base_url=BASE, **terms)


@pytest.mark.parametrize(
    "page",
    [
        {"id": "video_1", "object": "video", "status": "queued", "progress": 0},
        {"id": "video_1", "object": "video", "status": "in_progress", "progress": 36, "error": None},
        {"running": True, "status": "video_generating", "video_url": None, "error_message": None},
        {"status": "video_upsampling", "video_url": VIDEO},
        {
            "code": "success",
            "message": "",
            "data": {"task_id": "t", "status": "IN_PROGRESS", "progress": "36%"},
        },
        {"output": {"task_id": "t", "task_status": "PENDING"}},
        {"state": "processing", "url": "https://api.example.com/v1/tasks/t"},
    ],
)
def test_a_running_job_is_asked_again(page: dict[str, Any]) -> None:
    """Whatever the words, a running job is submitted, paid for, and has no video yet."""
    outcome = status(page)
    assert (outcome.status, outcome.retry, outcome.billed, outcome.video_url) == (
        "submitted",
        "poll_status_url",
        "yes",
        None,
    )
    assert manifest_status_of(outcome) == "in_progress"


@pytest.mark.parametrize(
    "page",
    [
        {"status": "completed", "video_url": VIDEO, "upsample_video_url": None},
        {"id": "x", "status": "succeeded", "content": {"video_url": VIDEO}},
        {"output": {"task_status": "SUCCEEDED", "video_url": VIDEO, "orig_prompt": "a"}},
        {"data": {"task_status": "succeed", "task_result": {"videos": [{"url": VIDEO, "duration": "5"}]}}},
        {
            "id": "x",
            "task_status": "SUCCESS",
            "video_result": [{"url": VIDEO, "cover_image_url": "https://c.example.com/c.png"}],
        },
        {"state": "success", "creations": [{"url": VIDEO, "cover_url": "https://c.example.com/c.jpg"}]},
        {"id": "x", "state": "completed", "assets": {"video": VIDEO, "image": "https://c.example.com/c.jpg"}},
        {
            "id": "x",
            "status": "succeeded",
            "output": VIDEO,
            "input": {"video": "https://user.example.org/in.mp4"},
        },
        {"id": "x", "status": "succeeded", "output": [VIDEO], "urls": {"get": "https://api.example.com/x"}},
        {"video": {"url": VIDEO, "content_type": "video/mp4"}},
    ],
)
def test_a_finished_job_names_its_video(page: dict[str, Any]) -> None:
    """The address is found under any of the usual names, never a cover or the input."""
    outcome = status(page)
    assert (outcome.status, outcome.billed, outcome.video_url) == ("succeeded", "yes", VIDEO)


def test_a_finished_job_without_address_has_its_content() -> None:
    """The Videos shape serves the bytes below the job."""
    outcome = status({"id": "video_1", "object": "video", "status": "completed", "progress": 100})
    assert outcome.video_url == f"{BASE}/videos/video_1/content"
    assert status({"status": "completed"}, task_id="t:1").video_url == f"{BASE}/videos/t:1/content"
    assert read_status(b'{"status": "completed"}').status == "no_video"


@pytest.mark.parametrize(
    ("page", "expected", "error_type"),
    [
        (
            {"id": "v", "status": "failed", "error": {"code": "moderation_blocked", "message": "x"}},
            "refused",
            "content_policy",
        ),
        ({"status": "failed", "error_message": "生成失败"}, "failed", "gateway_failed"),
        ({"status": "FAILURE", "fail_reason": "output_moderation"}, "refused", "content_policy"),
        ({"data": {"status": "failed", "error": "timed out"}}, "failed", "gateway_timeout"),
    ],
)
def test_a_failed_job_says_why(page: dict[str, Any], expected: str, error_type: str) -> None:
    """A job's own error is classified like any other; it was begun, so it is maybe billed."""
    outcome = status(page)
    assert (outcome.status, outcome.error_type, outcome.billed) == (expected, error_type, "maybe")


@pytest.mark.parametrize("http_status", [429, 500, 502, 503, 504])
def test_trouble_with_the_page_is_not_trouble_with_the_job(http_status: int) -> None:
    """A page that cannot answer now is asked again."""
    outcome = read_status(b"oops", http_status=http_status, headers={"retry-after": "3"})
    assert (outcome.status, outcome.retry_after_s) == ("submitted", 3)


@pytest.mark.parametrize(
    ("body", "http_status"),
    [
        (b"{}", 404),
        (b"{}", 401),
        (b"<html></html>", 200),
        (b'{"error": {"message": "task not found"}}', 200),
        (b"", 200),
    ],
)
def test_a_page_that_knows_nothing_decides_nothing(body: bytes, http_status: int) -> None:
    """Where a page does not know the job, it stays open and another may be asked."""
    outcome = read_status(body, http_status=http_status, task_id="t")
    assert (outcome.status, outcome.billed) == ("incomplete", "maybe")


def test_addresses_are_asked_in_order() -> None:
    """First what the stream named, then the profile's template, then the Videos shape; each once."""
    seen = "https://async.example.net/source/t:1"
    urls = recovery_urls(task_id="t:1", status_url=seen, base_url=BASE, template="{origin}/tasks/{task_id}")
    assert urls == (seen, "https://api.example.com/tasks/t:1", f"{BASE}/videos/t:1")
    assert recovery_urls(task_id="t", base_url=BASE, template="{base_url}/videos/{task_id}") == (
        f"{BASE}/videos/t",
    )
    assert recovery_urls(status_url="/v1/tasks/t", base_url=BASE) == ("https://api.example.com/v1/tasks/t",)
    assert recovery_urls() == ()
    assert recovery_urls(status_url="/v1/tasks/t") == ()


@pytest.mark.parametrize("task_id", ["../../admin", "a/b?c#d", "..", "%2e%2e", "a b"])
def test_an_id_is_one_part_of_a_path(task_id: str) -> None:
    """A hostile id does not leave its place in the address."""
    for url in (
        *recovery_urls(task_id=task_id, base_url=BASE),
        content_url(task_id, BASE).removesuffix("/content"),
    ):
        rest = url.removeprefix(f"{BASE}/videos/")
        assert rest != url
        assert not set(rest) & set("/?# ")
    assert recovery_urls(task_id="..", base_url=BASE) == ()
