"""Downloads that are cut, lied to and stopped, and end whole or as an error."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import json
import pickle
import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest
from reelsweep.prompts.errors import TroubleError
from reelsweep.tasks.artifacts.client import DownloadClient
from reelsweep.tasks.artifacts.download import FLUSH_BYTES, Limits, download
from reelsweep.tasks.artifacts.failures import DownloadError
from reelsweep.tasks.artifacts.part import PartFile, Source
from reelsweep.tasks.artifacts.ranges import content_range, retry_after_s, strong_etag

URL = "http://clips.example.com/a.mp4?sig=SECRET"
CLIP = b"\0\0\0\x18ftypisom" + random.Random(7).randbytes(700_000)
AT_ONCE = Limits(pauses_s=(0.0,) * 4, idle_s=20.0, timeout_s=60.0)


@pytest.fixture
async def client(net) -> AsyncIterator[DownloadClient]:
    """A download client in the test's network."""
    async with DownloadClient(net.door()) as made:
        yield made


@pytest.fixture
def part(tmp_path: Path) -> Path:
    """Where the part goes."""
    return tmp_path / "0192-0"


@pytest.fixture
def files(server, answer):
    """`files(cuts=[…], …)`: serve CLIP, cutting the n-th answer after so many bytes of its body."""

    def serve(cuts=(), *, tags=('"v1"',), ranges=True, content=CLIP):
        left, at = list(cuts), iter(range(1000))

        def handler(request):
            tag = tags[min(next(at), len(tags) - 1)]
            first = _first_byte(request, tag) if ranges else 0
            body = content[first:]
            headers = {"Content-Type": "video/mp4", **({"ETag": tag} if tag else {})}
            if first:
                headers["Content-Range"] = f"bytes {first}-{len(content) - 1}/{len(content)}"
            return answer(206 if first else 200, body, headers, cut_after=left.pop(0) if left else None)

        server.handler = handler

    return serve


def _first_byte(request, tag: str) -> int:
    if "range" not in request.headers or request.headers.get("if-range") != tag:
        return 0
    return int(request.headers["range"].removeprefix("bytes=").removesuffix("-"))


def ranges_asked(server) -> list[str | None]:
    """The Range header of each request."""
    return [request.headers.get("range") for request in server.requests]


def is_clip(part: Path, sha256: str) -> bool:
    """Whether the part holds CLIP and the hash is its own."""
    return part.read_bytes() == CLIP and sha256 == hashlib.sha256(CLIP).hexdigest()


async def test_a_download_is_the_bytes_their_hash_and_what_the_server_said(client, files, part) -> None:
    """Everything a record needs comes with the file."""
    files()
    done = await download(URL, part, client=client, limits=AT_ONCE)
    assert is_clip(part, done.sha256)
    assert (done.size_bytes, done.mime_type, done.content_type) == (len(CLIP), "video/mp4", "video/mp4")
    assert (done.etag, done.resumed_from) == ('"v1"', 0)


@pytest.mark.parametrize("cut", [1, FLUSH_BYTES - 1, FLUSH_BYTES, len(CLIP) - 1])
async def test_a_cut_download_goes_on_from_its_last_byte(client, files, server, part, cut: int) -> None:
    """With a strong validator the second request asks for the rest only, and only if it is unchanged."""
    files(cuts=[cut])
    done = await download(URL, part, client=client, limits=AT_ONCE)
    assert is_clip(part, done.sha256)
    assert ranges_asked(server) == [None, f"bytes={cut}-"]
    assert server.requests[1].headers["if-range"] == '"v1"'


@pytest.mark.parametrize("tag", ['W/"v1"', "", "v1", '"bro\\"ken'])
async def test_without_a_strong_validator_a_cut_download_starts_again(
    client, files, server, part, tag: str
) -> None:
    """A weak, missing or broken entity tag promises nothing about bytes."""
    files(cuts=[300_000], tags=[tag])
    done = await download(URL, part, client=client, limits=AT_ONCE)
    assert is_clip(part, done.sha256)
    assert ranges_asked(server) == [None, None]


async def test_a_server_that_ignores_the_range_is_read_from_the_start(client, files, server, part) -> None:
    """A 200 to a range request replaces what was there; nothing is glued together."""
    files(cuts=[300_000], ranges=False)
    done = await download(URL, part, client=client, limits=AT_ONCE)
    assert is_clip(part, done.sha256)
    assert ranges_asked(server) == [None, "bytes=300000-"]


async def test_a_file_that_changed_between_requests_is_read_from_the_start(client, files, part) -> None:
    """The old first half and the new second half never meet in one file."""
    files(cuts=[300_000], tags=['"v1"', '"v2"'])
    done = await download(URL, part, client=client, limits=AT_ONCE)
    assert is_clip(part, done.sha256)
    assert done.etag == '"v2"'


@pytest.mark.parametrize(
    "lie",
    [
        {"Content-Range": f"bytes 0-{len(CLIP) - 1}/{len(CLIP)}"},
        {"Content-Range": f"bytes 300001-{len(CLIP) - 1}/{len(CLIP)}"},
        {"Content-Range": f"bytes 300000-{len(CLIP) - 2}/{len(CLIP)}"},
        {"Content-Range": f"bytes 300000-{len(CLIP)}/{len(CLIP) + 1}"},
        {"Content-Range": "bytes=300000-"},
        {},
        {"Content-Range": f"bytes 300000-{len(CLIP) - 1}/{len(CLIP)}", "ETag": '"v2"'},
    ],
)
async def test_a_partial_answer_that_does_not_fit_is_thrown_away(client, server, answer, part, lie) -> None:
    """Another offset, another length, no range, another entity tag: the download begins again."""
    whole = answer(200, CLIP, {"ETag": '"v1"'})
    answers = [
        answer(200, CLIP, {"ETag": '"v1"'}, cut_after=300_000),
        answer(206, CLIP[300_000:], lie),
        whole,
    ]
    server.handler = lambda request: answers.pop(0)
    done = await download(URL, part, client=client, limits=AT_ONCE)
    assert is_clip(part, done.sha256)
    assert ranges_asked(server) == [None, "bytes=300000-", None]


async def test_a_rest_that_is_shorter_than_its_range_is_short(client, server, answer, part) -> None:
    """A 206 that promises everything and frames less does not make a whole file."""
    promise = {"Content-Range": f"bytes 300000-{len(CLIP) - 1}/{len(CLIP)}"}
    answers = [answer(200, CLIP, {"ETag": '"v1"'}, cut_after=300_000), answer(206, CLIP[300_000:-9], promise)]
    server.handler = lambda request: answers.pop(0)
    with pytest.raises(DownloadError, match=f"sent {len(CLIP) - 9} of {len(CLIP)} bytes"):
        await download(URL, part, client=client, limits=Limits(pauses_s=(0.0,)))


async def test_any_way_of_being_cut_ends_in_the_same_bytes(client, files, tmp_path) -> None:
    """Twenty downloads, each cut up to four times at random places, with and without validators."""
    places = random.Random(3)
    for number in range(20):
        cuts = [places.randrange(len(CLIP) // 5) for _ in range(places.randrange(5))]
        files(cuts=cuts, tags=[places.choice(['"v1"', 'W/"v1"'])], ranges=places.random() < 0.8)
        done = await download(URL, tmp_path / f"{number}-0", client=client, limits=AT_ONCE)
        assert is_clip(tmp_path / f"{number}-0", done.sha256), cuts


async def test_a_second_call_continues_what_the_first_has_left(client, files, server, part) -> None:
    """A process that gave up, or was stopped, leaves a part that the next one builds on."""
    files(cuts=[400_000])
    with pytest.raises(DownloadError) as cut:
        await download(URL, part, client=client, limits=Limits(pauses_s=()))
    assert (cut.value.kind, cut.value.retryable) == ("short", True)
    assert part.read_bytes() == CLIP[:400_000]
    done = await download(URL, part, client=client, limits=AT_ONCE)
    assert is_clip(part, done.sha256)
    assert done.resumed_from == 400_000
    assert ranges_asked(server) == [None, "bytes=400000-"]


async def test_a_cancelled_download_keeps_what_came(client, files, server, answer, part) -> None:
    """Ctrl-C in the middle of a body: the next run asks for the rest only."""
    head = answer(200, CLIP, {"ETag": '"v1"'}, cut_after=400_000, hangs=True)
    server.handler = lambda request: head
    task = asyncio.create_task(download(URL, part, client=client, limits=AT_ONCE))
    while not part.exists():
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    kept = part.stat().st_size
    assert kept >= FLUSH_BYTES
    files()
    done = await download(URL, part, client=client, limits=AT_ONCE)
    assert is_clip(part, done.sha256)
    assert done.resumed_from == kept


async def test_a_whole_part_needs_no_network(client, files, server, part) -> None:
    """Downloaded, then killed before it was recorded: hashed and taken as it is."""
    files()
    first = await download(URL, part, client=client, limits=AT_ONCE)
    again = await download(URL, part, client=client, limits=AT_ONCE)
    assert again.sha256 == first.sha256
    assert again.resumed_from == len(CLIP)
    assert len(server.requests) == 1


async def test_a_whole_part_that_was_shortened_is_not_continued(client, files, server, part) -> None:
    """Somebody touched a finished file: its rest may not fit, so it is fetched again."""
    files()
    await download(URL, part, client=client, limits=AT_ONCE)
    part.write_bytes(CLIP[:-1])
    done = await download(URL, part, client=client, limits=AT_ONCE)
    assert is_clip(part, done.sha256)
    assert ranges_asked(server) == [None, None]


def test_a_part_that_begins_again_leaves_no_note_of_the_old_bytes(part) -> None:
    """A crash in between must not pair new bytes with the old entity tag."""
    file = PartFile(part, URL)
    file.restart(Source(etag='"v1"'))
    file.add(b"old")
    file.flush()
    assert part.with_name("0192-0.json").exists()
    file.restart(Source(etag='"v2"'))
    assert list(part.parent.iterdir()) == []
    file.abandon()


async def test_a_part_of_another_url_is_not_built_on(client, files, server, part) -> None:
    """A fresh link may lead to another file, whatever its entity tag is."""
    files(cuts=[400_000], content=CLIP[::-1])
    with pytest.raises(DownloadError):
        await download(URL, part, client=client, limits=Limits(pauses_s=()))
    files()
    done = await download(f"{URL}2", part, client=client, limits=AT_ONCE)
    assert is_clip(part, done.sha256)
    assert ranges_asked(server) == [None, None]


@pytest.mark.parametrize("note", [b"", b"{", b"[]", b'{"surprise": 1}', b"null"])
async def test_a_part_without_a_readable_note_is_begun_again(
    client, files, server, part, note: bytes
) -> None:
    """Bytes of unknown origin are overwritten, not continued."""
    part.write_bytes(b"x" * 900_000)
    part.with_name("0192-0.json").write_bytes(note)
    files()
    done = await download(URL, part, client=client, limits=AT_ONCE)
    assert is_clip(part, done.sha256)
    assert ranges_asked(server) == [None]


async def test_nothing_signed_is_written_beside_the_part(client, files, part) -> None:
    """The note knows the URL by its hash, in no other way."""
    files(cuts=[400_000])
    await download(URL, part, client=client, limits=AT_ONCE)
    note = part.with_name("0192-0.json").read_text()
    assert "SECRET" not in note
    assert "example.com" not in note
    assert json.loads(note)["whole"] is True


@pytest.mark.parametrize(
    ("status", "kind", "retryable", "requests"),
    [
        (401, "expired", False, 1),
        (403, "expired", False, 1),
        (410, "expired", False, 1),
        (404, "not_found", True, 5),
        (503, "status", True, 5),
        (429, "status", True, 5),
        (418, "status", False, 1),
        (206, "status", False, 1),
        (304, "status", False, 1),
    ],
)
async def test_a_status_says_whether_asking_again_helps(
    client, server, answer, part, status: int, kind: str, retryable: bool, requests: int
) -> None:
    """Expired links are not asked for again; what may come later is, five times at most."""
    server.handler = lambda request: answer(status)
    with pytest.raises(DownloadError) as failed:
        await download(URL, part, client=client, limits=AT_ONCE)
    assert (failed.value.kind, failed.value.retryable, failed.value.http_status) == (kind, retryable, status)
    assert len(server.requests) == requests
    assert "SECRET" not in str(failed.value)
    assert not part.exists()


async def test_a_file_that_appears_late_is_fetched(client, files, server, answer, part) -> None:
    """A file server that answers 404 and 503 first has not lost the clip."""
    files()
    then = server.handler
    early = [answer(404), answer(503)]
    server.handler = lambda request: early.pop(0) if early else then(request)
    assert is_clip(part, (await download(URL, part, client=client, limits=AT_ONCE)).sha256)


async def test_retry_after_is_waited_for_up_to_a_limit(client, files, server, answer, part) -> None:
    """A busy file server says when to come back, and is believed within reason."""
    files()
    then = server.handler
    busy = [answer(503, headers={"Retry-After": "3600"})]
    server.handler = lambda request: busy.pop() if busy else then(request)
    limits = Limits(pauses_s=(0.0,), retry_after_max_s=0.2)
    done = await download(URL, part, client=client, limits=limits)
    assert 0.2 <= done.elapsed_s < 60


async def test_a_body_that_is_always_shorter_than_announced_is_short(client, server, answer, part) -> None:
    """Five tries, then an error that says so; the generation is not touched."""
    server.handler = lambda request: answer(200, CLIP, announced=len(CLIP) + 1, cut_after=len(CLIP))
    with pytest.raises(DownloadError) as failed:
        await download(URL, part, client=client, limits=AT_ONCE)
    assert (failed.value.kind, failed.value.retryable) == ("short", True)
    assert len(server.requests) == 5


async def test_an_empty_body_is_short(client, server, answer, part) -> None:
    """Nothing is not a video."""
    server.handler = lambda request: answer(200, b"")
    with pytest.raises(DownloadError) as failed:
        await download(URL, part, client=client, limits=AT_ONCE)
    assert failed.value.kind == "short"


@pytest.mark.parametrize("announced", [True, False])
async def test_a_file_over_the_limit_is_not_kept(client, server, answer, part, announced: bool) -> None:
    """Announced or found out on the way, too much is too much, once."""
    chunked = b"%x\r\n%s\r\n0\r\n\r\n" % (len(CLIP), CLIP)
    headers = {} if announced else {"Transfer-Encoding": "chunked"}
    plain = answer(200, CLIP if announced else chunked, headers)
    plain.head = lambda: (  # Content-Length and chunks exclude each other
        b"HTTP/1.1 200 X\r\n"
        + (b"Content-Length: %d\r\n\r\n" % len(CLIP) if announced else b"Transfer-Encoding: chunked\r\n\r\n")
    )
    server.handler = lambda request: plain
    limits = Limits(max_bytes=len(CLIP) - 1, pauses_s=(0.0,))
    with pytest.raises(DownloadError) as failed:
        await download(URL, part, client=client, limits=limits)
    assert (failed.value.kind, failed.value.retryable) == ("too_large", False)
    assert not part.exists()
    assert len(server.requests) == 1


async def test_a_gzip_bomb_is_blocked_and_nothing_is_stored(client, server, answer, tmp_path, part) -> None:
    """An encoded answer is not unpacked, not asked for again, and leaves no file."""
    bomb = gzip.compress(bytes(10 << 20))
    server.handler = lambda request: answer(200, bomb, {"Content-Encoding": "gzip"})
    with pytest.raises(DownloadError) as failed:
        await download(URL, part, client=client, limits=AT_ONCE)
    assert (failed.value.kind, failed.value.retryable) == ("blocked", False)
    assert list(tmp_path.iterdir()) == []
    assert len(server.requests) == 1


async def test_a_blocked_address_is_asked_for_once_and_says_how_to_allow_it(client, net, part) -> None:
    """The door's refusal is final and carries the door's remedy."""
    net.names["clips.example.com"] = ["10.0.0.1"]
    with pytest.raises(DownloadError) as failed:
        await download(URL, part, client=client, limits=AT_ONCE)
    assert (failed.value.kind, failed.value.retryable) == ("blocked", False)
    assert "--allow-host" in failed.value.remedy
    assert net.asked == ["clips.example.com"]
    assert net.connected == []


async def test_a_name_that_does_not_resolve_is_a_network_failure(client, net, part) -> None:
    """It may resolve later, so it is asked for again, and retryable in the end."""
    net.names.clear()
    with pytest.raises(DownloadError) as failed:
        await download(URL, part, client=client, limits=AT_ONCE)
    assert (failed.value.kind, failed.value.retryable) == ("network", True)
    assert len(net.asked) == 5


async def test_silence_counts_as_a_cut(client, server, answer, files, part) -> None:
    """A body that stops without an end is continued on another connection."""
    files()
    then = server.handler
    stuck = [answer(200, CLIP, {"ETag": '"v1"'}, cut_after=400_000, hangs=True)]
    server.handler = lambda request: stuck.pop() if stuck else then(request)
    limits = Limits(idle_s=0.2, pauses_s=(0.0,) * 4)
    assert is_clip(part, (await download(URL, part, client=client, limits=limits)).sha256)
    assert ranges_asked(server) == [None, "bytes=400000-"]


async def test_the_whole_download_has_a_time_limit(client, server, answer, part) -> None:
    """Not each try: a server that always hangs is left after one limit."""
    server.handler = lambda request: answer(200, CLIP, cut_after=10, hangs=True)
    with pytest.raises(DownloadError, match=r"longer than 0\.2 s") as failed:
        await download(URL, part, client=client, limits=Limits(timeout_s=0.2, pauses_s=(0.0,) * 4))
    assert (failed.value.kind, failed.value.retryable) == ("network", True)


async def test_downloads_share_the_slots_of_their_client(net, files, server, tmp_path) -> None:
    """However many are wanted, only as many connections are open as the client has slots."""
    files()
    async with DownloadClient(net.door(), size=3) as client:
        parts = [tmp_path / f"{number}-0" for number in range(12)]
        done = await asyncio.gather(*(download(URL, part, client=client, limits=AT_ONCE) for part in parts))
    assert all(is_clip(part, one.sha256) for part, one in zip(parts, done, strict=True))
    assert len(net.connected) <= 3
    assert server.open_most <= 3


async def test_a_full_disk_is_a_trouble_with_a_remedy(client, files, tmp_path) -> None:
    """The machine failed, not the download: it says so and what to do."""
    part = tmp_path / "0192-0"
    part.symlink_to("/dev/full")
    files()
    with pytest.raises(TroubleError, match="No space left") as trouble:
        await download(URL, part, client=client, limits=AT_ONCE)
    assert "Free some space" in trouble.value.remedy


async def test_a_failed_fsync_forgets_the_part(client, files, part, monkeypatch) -> None:
    """After a failed fsync a second one may succeed and lie, so the bytes are fetched again."""

    def broken(descriptor: int) -> None:
        raise OSError(5, "Input/output error")

    files()
    with monkeypatch.context() as patched:
        patched.setattr("os.fsync", broken)
        with pytest.raises(TroubleError, match="Input/output error"):
            await download(URL, part, client=client, limits=AT_ONCE)
    assert not part.exists()
    assert is_clip(part, (await download(URL, part, client=client, limits=AT_ONCE)).sha256)


async def test_headers_of_the_caller_are_sent(client, files, server, part) -> None:
    """What a content endpoint needs travels with the request."""
    files()
    await download(URL, part, client=client, limits=AT_ONCE, headers={"X-Trace": "7"})
    assert server.requests[0].headers["x-trace"] == "7"


def test_a_download_error_survives_pickling() -> None:
    """Facts and words are the same on the other side of a process."""
    error = DownloadError("host: gone.", "expired", False, 403, "Ask again.")
    copy = pickle.loads(pickle.dumps(error))
    assert vars(copy) == vars(error)
    assert str(copy) == "host: gone. Ask again."


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("bytes 0-9/10", (0, 9, 10)),
        ("bytes 5-9/*", (5, 9, None)),
        ("bytes 9-5/10", None),
        ("bytes 0-10/10", None),
        ("bytes */10", None),
        ("items 0-9/10", None),
        ("bytes 0-9", None),
        ("", None),
    ],
)
def test_a_content_range_is_read_or_rejected(text: str, expected: tuple[int, int, int | None] | None) -> None:
    """RFC 9110, section 14.4; a range that contradicts itself is none."""
    got = content_range({"content-range": text})
    assert (got and (got.first, got.last, got.size_bytes)) == expected


@pytest.mark.parametrize(("tag", "strong"), [('"a"', True), ('W/"a"', False), ("a", False), ('""', False)])
def test_only_a_strong_entity_tag_counts(tag: str, strong: bool) -> None:
    """Weak tags promise meaning, not bytes; an empty tag promises nothing."""
    assert strong_etag({"etag": tag}) == (tag if strong else None)


def test_retry_after_is_read_in_both_forms() -> None:
    """Seconds or a date; a past date is no wait, nonsense is none."""
    now = datetime(2026, 1, 1, tzinfo=UTC)
    assert retry_after_s({"retry-after": "7"}, now) == 7
    assert retry_after_s({"retry-after": format_datetime(now + timedelta(seconds=9), usegmt=True)}, now) == 9
    assert retry_after_s({"retry-after": format_datetime(now - timedelta(seconds=9), usegmt=True)}, now) == 0
    assert retry_after_s({"retry-after": "soon"}, now) is None
    assert retry_after_s({}, now) is None
