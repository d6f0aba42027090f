"""Every fault of the declared table, by what goes over the wire. A fault without a check here fails."""

from __future__ import annotations

import io
import time
import zlib
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from itertools import pairwise
from typing import Any

import av
import pytest
from reelsweep.tasks.sandbox.faults import FAULTS, Fault, FaultKind, parse_directives

Sandbox = Callable[..., Any]
CHECKS: dict[str, Callable[[Sandbox], None]] = {}


def check(name: str) -> Callable[[Callable[[Sandbox], None]], Callable[[Sandbox], None]]:
    def add(function: Callable[[Sandbox], None]) -> Callable[[Sandbox], None]:
        CHECKS[name] = function
        return function

    return add


@pytest.mark.parametrize("name", FAULTS)
def test_fault_does_what_the_table_says(name: str, sandbox: Sandbox) -> None:
    """Each fault of the table goes over the wire as it is meant."""
    CHECKS[name](sandbox)


@pytest.mark.parametrize("kind", FAULTS.values(), ids=FAULTS)
def test_bill_has_exactly_the_accepted_posts(kind: FaultKind, sandbox: Sandbox) -> None:
    """A POST is on the bill if and only if the table says that the job was taken, and ends as it says."""
    caller = sandbox()
    before = len(caller.server.bill())
    caller.post(f"bill [[fault={kind.name} s=0]]")
    caller.post("a later one: when it has ended, so has the first")
    lines = caller.server.bill()[before:-1]
    assert len(lines) == int(kind.accepted)
    if kind.accepted:
        assert (lines[0].ended, lines[0].billed) == (kind.ended, kind.ended == "completed")


@pytest.mark.parametrize("kind", FAULTS.values(), ids=FAULTS)
def test_every_fault_can_be_asked_for_in_a_prompt(kind: FaultKind) -> None:
    """A directive with the fault's name is understood."""
    assert parse_directives(f"before [[fault={kind.name}]] after") == (Fault(fault=kind.name),)


def _error_check(name: str, status: int, code: str | None) -> None:
    @check(name)
    def _(sandbox: Sandbox) -> None:
        heard = sandbox().post(f"[[fault={name}]]")
        assert (heard.status, heard.json()["error"]["code"]) == (status, code)
        assert heard.json()["error"]["message"]


for _name, _status, _code in (
    ("429_saturated", 429, None),
    ("quota", 429, "insufficient_quota"),
    ("quota_403", 403, "insufficient_user_quota"),
    ("400", 400, None),
    ("401", 401, "invalid_api_key"),
    ("402", 402, "payment_required"),
    ("403", 403, "access_denied"),
    ("403_model", 403, "model_not_allowed"),
    ("404", 404, "model_not_found"),
    ("400_in_500", 500, None),
    ("503_model", 503, "model_not_found"),
    ("refused_400", 400, "sensitive_words_detected"),
    ("500", 500, None),
    ("500_known", 500, "do_request_failed"),
    ("503", 503, "channel:no_available_key"),
):
    _error_check(_name, _status, _code)


@check("429")
def _throttled(sandbox: Sandbox) -> None:
    caller = sandbox()
    plain, seconds = caller.post("[[fault=429]]"), caller.post("[[fault=429 retry_after=3]]")
    date = caller.post("[[fault=429 retry_after=90 form=date]]")
    assert (plain.status, "retry-after" in plain.headers) == (429, False)
    assert (seconds.status, seconds.headers["retry-after"]) == (429, "3")
    assert 80 < parsedate_to_datetime(date.headers["retry-after"]).timestamp() - time.time() < 92
    assert caller.post("[[fault=429 times=1]]").status == 429
    assert caller.post("[[fault=429 times=1]]").status == 200


def _page_check(name: str, status: int) -> None:
    @check(name)
    def _(sandbox: Sandbox) -> None:
        heard = sandbox().post(f"[[fault={name}]]")
        assert (heard.status, heard.headers["content-type"]) == (status, "text/html; charset=utf-8")
        assert heard.body.startswith(b"<!DOCTYPE html>")


for _name, _status in (("502", 502), ("504", 504), ("html", 200)):
    _page_check(_name, _status)


@check("redirect")
def _redirect(sandbox: Sandbox) -> None:
    caller = sandbox()
    heard = caller.post("[[fault=redirect]]")
    assert (heard.status, heard.headers["location"]) == (307, f"{caller.origin}/moved/v1/chat/completions")
    elsewhere = caller.post("[[fault=redirect to=http://198.51.100.1/v1]]")
    assert elsewhere.headers["location"] == "http://198.51.100.1/v1"


@check("reset")
@check("reset_accepted")
def _reset(sandbox: Sandbox) -> None:
    heard = sandbox().post("[[fault=reset]]")
    assert (heard.status, heard.ended) == (0, "reset")
    assert sandbox().post("[[fault=reset_accepted]]").ended == "reset"


@check("slow_headers")
def _slow_headers(sandbox: Sandbox) -> None:
    began = time.monotonic()
    heard = sandbox().post("[[fault=slow_headers s=0.3]]")
    assert time.monotonic() - began >= 0.3
    assert heard.body.endswith(b"data: [DONE]\n\n")


@check("plain")
def _plain(sandbox: Sandbox) -> None:
    heard = sandbox().post("[[fault=plain]]")
    assert heard.headers["content-type"] == "application/json"
    assert "[video](" in heard.json()["choices"][0]["message"]["content"]


@check("empty")
def _empty(sandbox: Sandbox) -> None:
    heard = sandbox().post("[[fault=empty]]")
    assert (heard.status, heard.body, heard.ended) == (200, b"", "complete")


@check("silence")
def _silence(sandbox: Sandbox) -> None:
    began = time.monotonic()
    heard = sandbox().post("[[fault=silence s=0.3]]")
    assert time.monotonic() - began >= 0.3
    assert heard.body.endswith(b"data: [DONE]\n\n")


@check("cut_first")
def _cut_first(sandbox: Sandbox) -> None:
    heard = sandbox().post("[[fault=cut_first]]")
    assert (heard.status, heard.body, heard.ended) == (200, b"", "cut")


@check("cut")
def _cut(sandbox: Sandbox) -> None:
    heard = sandbox().post("[[fault=cut]]")
    assert heard.ended == "cut"
    assert heard.events
    assert not heard.body.endswith(b"\n\n")
    assert b"[video]" not in heard.body


@check("eof")
def _eof(sandbox: Sandbox) -> None:
    heard = sandbox().post("[[fault=eof]]")
    assert heard.ended == "complete"
    assert heard.events
    assert b"[video]" not in heard.body
    assert b"[DONE]" not in heard.body


@check("cut_task")
def _cut_task(sandbox: Sandbox) -> None:
    caller = sandbox()
    heard = caller.post("[[fault=cut_task]]")
    assert heard.ended == "cut"
    assert "> ID: `task_" in heard.content
    assert not find_clips(heard.content)
    asked = caller.get(heard.content.partition("原始数据](")[2].partition(")")[0])
    assert asked.json()["status"] in ("running", "completed")


@check("cut_url")
def _cut_url(sandbox: Sandbox) -> None:
    heard = sandbox().post("[[fault=cut_url]]")
    assert heard.ended == "cut"
    assert find_clips(heard.content)
    assert 'finish_reason":"stop' not in heard.text
    assert b"[DONE]" not in heard.body


@check("no_done")
def _no_done(sandbox: Sandbox) -> None:
    heard = sandbox().post("[[fault=no_done]]")
    assert heard.events[-1]["choices"][0]["finish_reason"] == "stop"
    assert (heard.ended, b"[DONE]" in heard.body) == ("complete", False)


@check("no_finish")
def _no_finish(sandbox: Sandbox) -> None:
    for dialect in ("standard", "reasoning"):
        heard = sandbox(dialect=dialect).post("[[fault=no_finish]]")
        assert find_clips(heard.content)
        assert all(choice["finish_reason"] is None for event in heard.events for choice in event["choices"])
        assert (heard.ended, b"[DONE]" in heard.body) == ("complete", False)


@check("glued")
def _glued(sandbox: Sandbox) -> None:
    heard = sandbox().post("[[fault=glued]]")
    assert heard.body.endswith(b"}}data: [DONE]\n\n")


@check("done_typo")
def _done_typo(sandbox: Sandbox) -> None:
    heard = sandbox().post("[[fault=done_typo]]")
    assert heard.body.endswith(rb"data: [DONE]\n\n")


@check("broken_json")
def _broken_json(sandbox: Sandbox) -> None:
    heard = sandbox().post("[[fault=broken_json]]")
    lines = [line for line in heard.text.splitlines() if line.startswith("data: {")]
    assert len(lines) == 2 * len(heard.events)
    assert len(find_clips(heard.content)) == 1


def _in_stream_error(name: str, words: str, events_before: bool) -> None:
    @check(name)
    def _(sandbox: Sandbox) -> None:
        heard = sandbox().post(f"[[fault={name}]]")
        assert heard.status == 200
        assert words in heard.events[-1]["error"]["message"]
        assert (len(heard.events) > 1) == events_before
        assert heard.body.endswith(b"data: [DONE]\n\n")


_in_stream_error("heavy_load", "heavy load", True)
_in_stream_error("gen_timeout", "timeout", True)
_in_stream_error("no_tokens", "No available tokens", False)


@check("bare_error")
def _bare_error(sandbox: Sandbox) -> None:
    heard = sandbox().post("[[fault=bare_error]]")
    assert b'\n{"error":{' in heard.body
    assert heard.body.endswith(b"}}data: [DONE]\n\n")


def _refusal_check(name: str, words: str) -> None:
    @check(name)
    def _(sandbox: Sandbox) -> None:
        for dialect in ("standard", "reasoning", "quoted", "task", "chars", "keepalive"):
            heard = sandbox(dialect=dialect).post(f"[[fault={name}]]")
            assert heard.status == 200
            assert words in heard.content
            assert not find_clips(heard.content)
            assert heard.events[-1]["choices"][0]["finish_reason"].lower() == "stop"
            assert heard.body.endswith(b"data: [DONE]\n\n")


_refusal_check("refused_input", "input_moderation")
_refusal_check("refused_output", "output_moderation")
_refusal_check("refused_likeness", "third-party")


@check("content_filter")
def _content_filter(sandbox: Sandbox) -> None:
    heard = sandbox().post("[[fault=content_filter]]")
    assert heard.events[-1]["choices"][0]["finish_reason"] == "content_filter"
    assert not find_clips(heard.content)


@check("no_video")
def _no_video(sandbox: Sandbox) -> None:
    heard = sandbox().post("[[fault=no_video]]")
    assert "Your video was generated" in heard.content
    assert not find_clips(heard.content)
    assert heard.events[-1]["choices"][0]["finish_reason"] == "stop"
    caller = sandbox(dialect="task")
    name = caller.post("[[fault=no_video]]").events[0]["id"].rpartition("-")[2]
    assert (poll(caller, name)["status"], caller.get(f"/status/{name}").json()["video_url"]) == (
        "completed",
        None,
    )
    assert caller.get(f"/v1/videos/{name}/content").status == 404


@check("ack")
def _ack(sandbox: Sandbox) -> None:
    caller = sandbox()
    heard = caller.post("[[fault=ack]]")
    assert heard.events[-1]["choices"][0]["finish_reason"] is None
    task_id = heard.content.partition("Task ID: `")[2].partition("`")[0]
    assert poll(caller, task_id)["status"] == "completed"


@check("private_url")
def _private_url(sandbox: Sandbox) -> None:
    caller = sandbox()
    assert "(http://10.255.255.1/clip.mp4)" in caller.post("[[fault=private_url]]").content
    assert "(http://127.1:9/x)" in caller.post("[[fault=private_url to=http://127.1:9/x]]").content


def task_of(heard: Any) -> str:
    return heard.content.partition("Task ID: `")[2].partition("`")[0]


def poll(caller: Any, task_id: str) -> dict[str, Any]:
    """Ask until the task has ended (each question is a round trip, so this waits without sleeping)."""
    until = time.monotonic() + 30
    while time.monotonic() < until:
        document = caller.get(f"/v1/videos/{task_id}").json()
        if document.get("status") != "in_progress":
            return document
    raise AssertionError("the task did not end")


@check("task_failed")
def _task_failed(sandbox: Sandbox) -> None:
    caller = sandbox()
    document = poll(caller, task_of(caller.post("[[fault=task_failed]]")))
    assert (document["status"], document["error"]["code"]) == ("failed", "video_failed")


def test_a_cut_after_the_task_id_may_hide_any_end(sandbox: Sandbox) -> None:
    """A stream fault and a status fault stand side by side: cut, then found failed by asking."""
    caller = sandbox()
    heard = caller.post("[[fault=cut_task]] [[fault=task_failed]]")
    task_id = heard.content.partition("> ID: `")[2].partition("`")[0]
    assert (heard.ended, poll(caller, task_id)["status"]) == ("cut", "failed")


@check("task_slow")
def _task_slow(sandbox: Sandbox) -> None:
    caller = sandbox()
    began = time.monotonic()
    document = poll(caller, task_of(caller.post("[[fault=task_slow s=0.3]]")))
    assert document["status"] == "completed"
    assert time.monotonic() - began >= 0.3


@check("task_error")
def _task_error(sandbox: Sandbox) -> None:
    caller = sandbox()
    task_id = task_of(caller.post("[[fault=task_error times=2]]"))
    assert [caller.get(f"/status/{task_id}").status for _ in range(3)] == [500, 500, 200]


@check("task_404")
def _task_404(sandbox: Sandbox) -> None:
    caller = sandbox()
    assert caller.get(f"/v1/videos/{task_of(caller.post('[[fault=task_404]]'))}").status == 404


def find_clips(text: str) -> list[str]:
    return [
        word
        for word in text.replace("(", " ").replace(")", " ").replace("'", " ").split()
        if "/files/" in word
    ]


def decode(video: bytes) -> int:
    with av.open(io.BytesIO(video)) as container:
        return sum(1 for _ in container.decode(video=0))


def _failing_download(name: str, status: int) -> None:
    @check(name)
    def _(sandbox: Sandbox) -> None:
        caller = sandbox()
        url = caller.video_url(f"[[fault={name}]]")
        assert [caller.get(url).status for _ in range(2)] == [status, status]


_failing_download("video_404", 404)


@check("video_expired")
def _expired(sandbox: Sandbox) -> None:
    caller = sandbox()
    at_once, third = (caller.video_url(f"[[fault=video_expired{more}]]") for more in ("", " gets=3"))
    assert [caller.get(at_once).status] == [403]
    assert [caller.get(third).status for _ in range(4)] == [200, 200, 403, 403]
    assert caller.get(caller.video_url("[[fault=video_expired s=3600]]")).status == 200
    assert caller.get(caller.video_url("[[fault=video_expired s=0]]")).status == 403


@check("video_500")
def _storage(sandbox: Sandbox) -> None:
    caller = sandbox()
    url = caller.video_url("[[fault=video_500 times=2]]")
    assert [caller.get(url).status for _ in range(3)] == [500, 500, 200]


@check("video_short")
def _short(sandbox: Sandbox) -> None:
    caller = sandbox()
    url = caller.video_url("[[fault=video_short]]")
    first = caller.get(url)
    size = int(first.headers["content-length"])
    assert (first.ended, len(first.body)) == ("cut", size // 2)
    again = caller.get(url, Range=f"bytes={len(first.body)}-", If_Range=first.headers["etag"])
    assert (again.status, again.ended, again.body) == (206, "cut", b"")


@check("video_cut")
def _cut_download(sandbox: Sandbox) -> None:
    caller = sandbox()
    url = caller.video_url("[[fault=video_cut]]")
    first = caller.get(url)
    size = int(first.headers["content-length"])
    assert (first.status, first.ended, len(first.body)) == (200, "cut", size // 2)
    rest = caller.get(url, Range=f"bytes={len(first.body)}-", If_Range=first.headers["etag"])
    assert rest.headers["content-range"] == f"bytes {size // 2}-{size - 1}/{size}"
    assert (rest.status, rest.ended) == (206, "complete")
    assert decode(first.body + rest.body) == 8


@check("video_no_range")
def _no_range(sandbox: Sandbox) -> None:
    caller = sandbox()
    url = caller.video_url("[[fault=video_no_range]]")
    assert caller.get(url).ended == "cut"
    again = caller.get(url, Range="bytes=100-")
    assert (again.status, "content-range" in again.headers, "accept-ranges" in again.headers) == (
        200,
        False,
        False,
    )
    assert decode(again.body) == 8


@check("video_changed")
def _changed(sandbox: Sandbox) -> None:
    caller = sandbox()
    url = caller.video_url("[[fault=video_changed]]")
    first = caller.get(url)
    again = caller.get(url, Range=f"bytes={len(first.body)}-", If_Range=first.headers["etag"])
    assert (first.ended, again.status, again.ended) == ("cut", 200, "complete")
    assert first.headers["etag"] != again.headers["etag"]
    assert not again.body.startswith(first.body)
    assert decode(again.body) == 8


@check("video_bad_range")
def _bad_range(sandbox: Sandbox) -> None:
    caller = sandbox()
    url = caller.video_url("[[fault=video_bad_range]]")
    first = caller.get(url)
    size = int(first.headers["content-length"])
    lie = caller.get(url, Range=f"bytes={len(first.body)}-")
    assert (first.ended, lie.status) == ("cut", 206)
    assert lie.headers["content-range"] == f"bytes 0-{len(lie.body) - 1}/{size}"
    assert lie.body == caller.get(url).body[: len(lie.body)]


@check("video_slow")
def _slow(sandbox: Sandbox) -> None:
    caller = sandbox()
    url = caller.video_url("[[fault=video_slow s=0.4]]")
    began = time.monotonic()
    heard = caller.get(url)
    assert time.monotonic() - began >= 0.35
    assert decode(heard.body) == 8


def _broken_download(name: str) -> None:
    @check(name)
    def _(sandbox: Sandbox) -> None:
        caller = sandbox()
        heard = caller.get(caller.video_url(f"[[fault={name}]]"))
        assert (heard.status, heard.ended, heard.headers["content-type"]) == (200, "complete", "video/mp4")
        assert heard.body[4:8] == b"ftyp"
        with pytest.raises(av.FFmpegError):
            decode(heard.body)


for _name in ("video_corrupt", "video_truncated", "video_no_moov"):
    _broken_download(_name)


def _other_download(name: str, start: bytes, media_type: str = "video/mp4") -> None:
    @check(name)
    def _(sandbox: Sandbox) -> None:
        caller = sandbox()
        url = caller.video_url(f"[[fault={name}]]")
        heard = caller.get(url)
        assert url.endswith(".mp4")
        assert (heard.status, heard.headers["content-type"]) == (200, media_type)
        assert heard.body[: len(start) or None] == start


_other_download("video_empty", b"")
_other_download("video_html", b"<!DOCTYPE html>", "text/html")
_other_download("video_ffconcat", b"ffconcat version 1.0\n")
_other_download("video_sdp", b"v=0\n")
_other_download("video_hls", b"#EXTM3U\n")


def _shown(caller: Any, fault: str, **asked: Any) -> tuple[list[Any], float]:
    """The pictures of a spoilt clip, and how loud it gets."""
    body = caller.get(caller.video_url(f"[[fault={fault}]]", **asked)).body
    with av.open(io.BytesIO(body)) as container:
        pictures = [frame.to_ndarray(format="gray") for frame in container.decode(video=0)]
    with av.open(io.BytesIO(body)) as container:
        blocks = container.decode(audio=0) if container.streams.audio else ()
        return pictures, max((float(abs(block.to_ndarray()).max()) for block in blocks), default=-1.0)


@check("clip_black")
def _black(sandbox: Sandbox) -> None:
    pictures, _ = _shown(sandbox(), "clip_black")
    assert max(picture.max() for picture in pictures) <= 16


@check("clip_frozen")
def _frozen(sandbox: Sandbox) -> None:
    pictures, _ = _shown(sandbox(), "clip_frozen")
    steps = [abs(after.astype(int) - before).mean() for before, after in pairwise(pictures)]
    assert max(steps) < 1 < len(steps)  # less than a level: the encoder's
    assert pictures[0].std() > 10


@check("clip_silent")
def _silent(sandbox: Sandbox) -> None:
    caller = sandbox()
    assert _shown(caller, "clip_silent", audio=True)[1] == 0
    assert _shown(caller, "clip_size", audio=True)[1] > 0.2
    assert _shown(caller, "clip_size")[1] == -1


@check("clip_size")
def _size(sandbox: Sandbox) -> None:
    caller = sandbox()
    assert _shown(caller, "clip_size", size="128x72")[0][0].shape == (36, 64)
    assert _shown(caller, "clip_size to=48x32")[0][0].shape == (32, 48)


@check("clip_short")
def _short(sandbox: Sandbox) -> None:
    caller = sandbox()
    assert len(_shown(caller, "clip_short", seconds=1)[0]) == 8
    assert len(_shown(caller, "clip_short s=0.25", seconds=1)[0]) == 4


@check("clip_fps")
def _fps(sandbox: Sandbox) -> None:
    assert len(_shown(sandbox(), "clip_fps", seconds=1)[0]) == 8


@check("clip_twin")
def _twin(sandbox: Sandbox) -> None:
    caller = sandbox()
    one, other = (_shown(caller, "clip_twin", seed=seed)[0][0].astype(int) for seed in (1, 2))
    height = len(one) // 2
    assert abs(one[:height] - other[:height]).mean() < 2
    assert abs(one - other).max() > 50


@check("video_bomb")
def _bomb(sandbox: Sandbox) -> None:
    caller = sandbox()
    heard = caller.get(caller.video_url("[[fault=video_bomb]]"))
    assert heard.headers["content-encoding"] == "gzip"
    assert len(heard.body) < 1_200_000
    unpacker = zlib.decompressobj(zlib.MAX_WBITS | 16)
    assert unpacker.decompress(heard.body, 1 << 24) == bytes(1 << 24)
    assert int.from_bytes(heard.body[-4:], "little") == 1 << 30


@check("video_loop")
def _loop(sandbox: Sandbox) -> None:
    caller = sandbox()
    url = caller.video_url("[[fault=video_loop]]")
    for _ in range(7):
        heard = caller.get(url)
        assert heard.status == 302
        url = heard.headers["location"]


@check("video_elsewhere")
def _elsewhere(sandbox: Sandbox) -> None:
    caller = sandbox()
    heard = caller.get(caller.video_url("[[fault=video_elsewhere]]"))
    assert (heard.status, heard.headers["location"]) == (302, "http://169.254.169.254/latest/meta-data/")
    named = caller.get(caller.video_url("[[fault=video_elsewhere to=http://198.51.100.7/]]"))
    assert named.headers["location"] == "http://198.51.100.7/"
