"""What the reader knows while the body runs, and at its end."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reelsweep.tasks.gateway.explain import manifest_status_of
from reelsweep.tasks.gateway.fold import Reader, read_body

VIDEO = "https://cdn.example.com/v/5f0c.mp4"
Piece = Callable[..., dict[str, Any]]
Stream = Callable[..., bytes]


def test_ids_are_known_the_moment_they_are_whole(stream: Stream) -> None:
    """Task id and status URL are there after the character that ends them, and not half before."""
    reader = Reader()
    status_url = "https://async.example.net/source/task_1a2b"
    text = f"> ID: `task_1a2b`\n> [Raw Data]({status_url}) | ..."
    seen: list[tuple[str | None, str | None]] = []
    for char in text:
        reader.feed(stream(char, done=False))
        if not seen or seen[-1] != (reader.task_id, reader.status_url):
            seen.append((reader.task_id, reader.status_url))
    assert seen == [(None, None), ("task_1a2b", None), ("task_1a2b", status_url)]


def test_progress_and_events_grow_with_the_body(stream: Stream) -> None:
    """Progress can be shown while the stream runs."""
    reader = Reader()
    shown: list[list[float]] = []
    for text in ("> progress 36..", "44..", "ordinary 7 words\n", "99% of nothing in a sentence\n"):
        reader.feed(stream(text, done=False))
        shown.append(list(reader.progress))
    assert shown == [[36], [36, 44], [36, 44], [36, 44, 99]]
    assert reader.num_events == 4


def test_a_draft_is_known_and_never_the_result(stream: Stream, piece: Piece) -> None:
    """A watermarked draft is the preview, also at a normal end."""
    draft = piece(output=[{"url": VIDEO, "watermark_free": False}])
    outcome = read_body(stream(draft, piece(finish="stop")))
    assert (outcome.status, outcome.video_url, outcome.preview_url) == ("no_video", None, VIDEO)


@pytest.mark.parametrize(
    ("text", "video"),
    [
        (f"![{VIDEO}](https://cdn.example.com/t.webp)\n[Play]({VIDEO})", VIDEO),
        (f"[![thumb](https://cdn.example.com/t.png)]({VIDEO})", VIDEO),
        (f"<video poster='https://cdn.example.com/p.jpg' src='{VIDEO}'></video>", VIDEO),
        (f"<video poster=https://cdn.example.com/p.jpg src={VIDEO} controls></video>", VIDEO),
        (f"[Preview](https://cdn.example.com/low.mp4)\n[Download]({VIDEO})", VIDEO),
        (f"**{VIDEO}**", VIDEO),
        (f"视频：{VIDEO}，请下载", VIDEO),
        (f"See {VIDEO}.", VIDEO),
        (f"({VIDEO})", VIDEO),
        (
            "https://cdn.example.com/raw?se=2030&sig=a%2Fb%3D",
            "https://cdn.example.com/raw?se=2030&sig=a%2Fb%3D",
        ),
        ("https://drive.example.com/file/d/1a/view", "https://drive.example.com/file/d/1a/view"),
        ("https:\\/\\/cdn.example.com\\/v.mp4", None),
        (f"First https://cdn.example.com/draft.mp4 then {VIDEO}", VIDEO),
        (f'```json\n{{"prompt": "like {VIDEO}"}}\n```\n', None),
        (f'{{"prompt": "like {VIDEO}"}}\nqueued', None),
        (f"**Prompt**: a clip like {VIDEO}", None),
        (f'The prompt is "like {VIDEO} please"', None),
        (f"<think>I could use {VIDEO}</think> Sorry.", None),
        (f"I could use {VIDEO}</think> Sorry.", None),
        ("https://cdn.example.com/p.webp", None),
        ("https://help.example.com/article/7", None),
        ("https://example.com", None),
        ("https://async.example.net/web/task_1", None),
        ("[数据预览](https://cdn.example.com/x)", None),
        (json.dumps({"url": VIDEO}), VIDEO),
        (
            json.dumps({"status": "completed", "video": {"url": VIDEO, "cover": "https://x.example/c.jpg"}}),
            VIDEO,
        ),
        (f"Done.\n```json\n{json.dumps({'video_url': VIDEO})}\n```", VIDEO),
        (f"https://{'a' * 9000}.example.com/v.mp4", None),
        (f"{VIDEO}\\n\\nmore", VIDEO),
        ("http://[bad/v.mp4", None),
        ("javascript:alert(1)//v.mp4", None),
    ],
)
def test_which_address_is_the_video(stream: Stream, piece: Piece, text: str, video: str | None) -> None:
    """Tags, labels and places decide; thumbnails, pages, previews, echoes and thoughts never do."""
    assert read_body(stream(text, piece(finish="stop"))).video_url == video


@pytest.mark.parametrize(
    ("reasoning", "video"),
    [
        (f"Done: <video src='{VIDEO}'></video>", VIDEO),
        (f"{VIDEO}\n", VIDEO),
        (f"Downloading your {VIDEO} now", None),
        (f"Failed to cache.\n{VIDEO}\n", None),
    ],
)
def test_a_result_may_come_as_reasoning(
    stream: Stream, piece: Piece, reasoning: str, video: str | None
) -> None:
    """Where the content holds none, reasoning may; what follows a failure there never does."""
    assert read_body(stream(piece(reasoning_content=reasoning), piece(finish="stop"))).video_url == video


def test_addresses_of_the_request_are_never_its_result(stream: Stream, piece: Piece) -> None:
    """An address that was in the request is an echo, wherever it stands."""
    body = stream(f"[Play]({VIDEO})", piece(finish="stop"))
    assert read_body(body, asked_text=f'{{"content": "edit {VIDEO}"}}').video_url is None
    assert read_body(body, asked_text="edit").video_url == VIDEO


@pytest.mark.parametrize(
    ("base_url", "video"),
    [(None, "/v1/files/7.mp4"), ("https://api.example.com/v1", "https://api.example.com/v1/files/7.mp4")],
)
def test_paths_are_joined_with_the_base(stream: Stream, base_url: str | None, video: str) -> None:
    """A path from the root is an address where the base is known, and stays a path where it is not."""
    body = stream("[Watch](/v1/files/7.mp4)")
    assert read_body(body, base_url=base_url).video_url == video


def test_a_cut_address_is_no_address(stream: Stream) -> None:
    """An address at the end of a cut text may lack its end; one that came whole in its piece does not."""
    assert read_body(stream("https://cdn.exam", "ple.com/out/5", done=False), cut="reset").video_url is None
    assert (
        read_body(stream("x ", "https://cdn.example.com/out/5", done=False), cut="reset").video_url
        is not None
    )


def test_no_address_goes_across_something_unreadable(stream: Stream) -> None:
    """Where an event could not be read, the pieces around it are not put together."""
    broken = b'data: {"choices":[{"delta":{"content":"ple.com/ou"}]}]}\n\n'
    body = stream("https://cdn.exam", done=False) + broken + stream("t/5.mp4")
    outcome = read_body(body)
    assert (outcome.video_url, outcome.status) == (None, "incomplete")
    assert outcome.notes == ("1 malformed JSON events were skipped",)
    assert outcome.text == "https://cdn.examt/5.mp4"
    damaged = {"choices": [{"delte": {"content": "ple.com/ou"}}]}
    assert read_body(stream("https://cdn.exam", damaged, "t/5.mp4")).video_url is None


def test_an_error_after_the_video_does_not_lose_it(stream: Stream) -> None:
    """What was paid for is fetched even if the stream ends in an error; a refusal still refuses."""
    video = f"[Watch]({VIDEO})"
    assert read_body(stream(video, {"error": {"message": "disconnected"}})).video_url == VIDEO
    refused = read_body(stream(video, {"error": {"message": "output_moderation"}}))
    assert (refused.status, refused.video_url) == ("refused", None)


def test_a_failure_told_after_the_video_takes_it_back(stream: Stream, piece: Piece) -> None:
    """A failing line after an address is the end; an address after it is a second, better try."""
    end = piece(finish="stop")
    assert read_body(stream(f"{VIDEO}\n", "❌ 生成失败: None", end)).status == "failed"
    assert read_body(stream("❌ 生成失败: None\n", f"[Watch]({VIDEO})", end)).video_url == VIDEO
    assert read_body(stream("生成失败，请[点击这里](https://x.example.com/help)", end)).video_url is None


def test_each_choice_has_its_own_video(stream: Stream, piece: Piece) -> None:
    """Two choices, mixed in the stream, are two results; a list of results is one choice each."""
    pieces = [piece(f"[Watch](https://c.example.com/{n}.mp4)", index=n) for n in (1, 0)]
    mixed = read_body(stream(*pieces, piece(finish="stop", index=0), piece(finish="stop", index=1)))
    urls = ["https://c.example.com/0.mp4", "https://c.example.com/1.mp4"]
    assert [choice.video_url for choice in mixed.choices] == urls
    listed = read_body(stream({"status": "succeeded", "results": [{"url": url} for url in urls]}))
    assert [choice.video_url for choice in listed.choices] == urls


def test_usage_and_names_are_kept(stream: Stream, piece: Piece) -> None:
    """Usage, fingerprint, model and ids are the gateway's, null where it sent none."""
    head = {**piece("x"), "model": " ", "system_fingerprint": None}
    tail = {
        "id": "other",
        "model": "served-1",
        "system_fingerprint": "fp_7",
        "choices": [],
        "usage": {"prompt_tokens": 3},
    }
    outcome = read_body(stream(head, tail), headers={"X-Request-Id": "r-1"})
    assert (outcome.completion_id, outcome.served_model, outcome.system_fingerprint) == (
        "chatcmpl-1",
        "served-1",
        "fp_7",
    )
    assert (outcome.usage.prompt_tokens, outcome.usage.completion_tokens, outcome.request_id) == (
        3,
        None,
        "r-1",
    )
    bare = read_body(stream(head))
    assert (bare.served_model, bare.system_fingerprint) == (None, None)


@pytest.mark.parametrize("number", ["9" * 4000, "-" + "9" * 4000, "1e999", "-1e999", "NaN", "true", "1.5"])
def test_no_number_is_too_odd(number: str) -> None:
    """Numbers beyond every type are read past, wherever a number is looked for."""
    fields = f'"progress": {number}, "index": {number}, "code": {number}, "status_code": {number}'
    usage = f'"usage": {{"prompt_tokens": {number}, "completion_tokens": {number}}}'
    for body in (
        f'{{"status": "queued", {fields}}}',
        f'{{"choices": [{{{fields}}}], {usage}, "error": {{{fields}}}}}',
    ):
        outcome = read_body(body.encode())
        assert all(0 <= percent <= 100 for percent in outcome.progress)
        assert abs(outcome.usage.prompt_tokens or 0) < 1 << 63


@pytest.mark.parametrize(
    ("cut", "error_type"),
    [(None, "cut"), ("reset", "cut"), ("idle", "silence"), ("timeout", "timeout"), ("client", "interrupted")],
)
def test_how_a_stream_was_cut_is_told(stream: Stream, cut: str | None, error_type: str) -> None:
    """A stream without an end is open and maybe billed, whatever cut it."""
    outcome = read_body(stream("queued", done=False), cut=cut)
    assert (outcome.status, outcome.billed, outcome.error_type) == ("incomplete", "maybe", error_type)
    assert manifest_status_of(outcome) == "unknown"


def test_a_finished_stream_is_finished_however_it_closes(stream: Stream, piece: Piece) -> None:
    """After a finish reason or the terminator, a reset connection changes nothing."""
    assert read_body(stream("nothing", piece(finish="stop"), done=False), cut="reset").status == "no_video"
    assert read_body(stream("nothing"), cut="reset").status == "no_video"


@pytest.mark.parametrize(
    "cells", [("7", 7.0), ("Wed, 21 Oct 2026 07:28:30 GMT", 30.0), ("soon", None), ("-4", None)]
)
def test_retry_after_has_two_forms(cells: tuple[str, float | None]) -> None:
    """Seconds and HTTP dates are understood, the date against the time that is handed in."""
    now = datetime(2026, 10, 21, 7, 28, tzinfo=UTC)
    outcome = read_body(b"", http_status=429, headers={"retry-after": cells[0]}, now=now)
    assert (outcome.status, outcome.retry, outcome.retry_after_s) == ("failed", "backoff", cells[1])


def test_a_redirect_names_the_address_without_its_query() -> None:
    """The new address is told, its secrets are not."""
    headers = {"Location": "https://u:p@new.example.com/v1?token=abc"}
    outcome = read_body(b"", http_status=307, headers=headers)
    assert (outcome.status, outcome.error_type) == ("failed", "redirect")
    assert outcome.error_message == "HTTP 307 to https://new.example.com/v1"


def test_stream_errors_are_free_only_where_the_profile_says_so(stream: Stream) -> None:
    """An error after events is maybe billed; a profile that knows better makes it refundable."""
    body = stream("queued", {"error": {"message": "No available tokens"}})
    assert [read_body(body, stream_errors_free=free).billed for free in (False, True)] == ["maybe", "no"]


def test_keys_do_not_get_into_messages() -> None:
    """A gateway that repeats the key does not get it into the Outcome."""
    body = json.dumps({"error": {"message": "Incorrect API key provided: sk-abcdef1234567890"}}).encode()
    outcome = read_body(body, http_status=401)
    assert outcome.status == "stopped"
    assert "abcdef" not in (outcome.error_message or "")


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    [
                        "choices",
                        "delta",
                        "message",
                        "content",
                        "reasoning_content",
                        "error",
                        "status",
                        "url",
                        "output",
                        "tool_calls",
                        "index",
                        "usage",
                        "data",
                        "detail",
                        "code",
                        "finish_reason",
                        "id",
                        "progress",
                        "function",
                    ]
                ),
                inner,
                max_size=4,
            )
        ),
        max_leaves=12,
    )
)
def test_any_json_is_read(value: Any) -> None:
    """Whatever types stand where, nothing raises and the Outcome is one of the table."""
    body = b"data: " + json.dumps(value).encode() + b"\n\ndata: [DONE]\n\n"
    for output in ("video", "text"):
        outcome = read_body(body, output=output)
        assert manifest_status_of(outcome) in {
            "success",
            "in_progress",
            "unknown",
            "refused",
            "failed",
            "planned",
        }
