"""Facts about clips, the clips that are none, and the processes that find out."""

from __future__ import annotations

import asyncio
import io
import os
import pickle
import random
import select
import signal
import subprocess
import sys
import threading
from pathlib import Path

import av
import numpy as np
import psutil
import pytest
from reelsweep.prompts.errors import TroubleError
from reelsweep.tasks.artifacts.facts import Facts, InvalidVideo
from reelsweep.tasks.artifacts.phash import distance
from reelsweep.tasks.artifacts.probe import Prober
from reelsweep.tasks.artifacts.worker import ProbeLimits

VP9 = {"codec": "libvpx-vp9", "container": "webm", "options": (("cpu-used", "8"), ("deadline", "realtime"))}
FRAGMENTED = (("movflags", "frag_keyframe+empty_moov"),)


async def test_facts_are_what_decoding_shows(prober, render, save) -> None:
    """Size, rate, length, codec and sound as the clip was made."""
    facts = await prober.probe(save(render(sound=True)))
    assert (facts.width, facts.height, facts.num_frames, facts.fps) == (160, 90, 24, 24.0)
    assert facts.duration_s == pytest.approx(1.0, abs=0.05)
    assert (facts.mime_type, facts.codec, facts.has_audio, facts.notes) == ("video/mp4", "h264", True, ())
    assert (len(facts.frames_sha256), len(facts.phash)) == (64, 128)


async def test_a_clip_without_sound_has_none(prober, render, save) -> None:
    """The absence of sound is a fact too."""
    assert not (await prober.probe(save(render()))).has_audio


@pytest.mark.parametrize("container", ["matroska", "mov", "mp4"])
async def test_re_muxing_keeps_the_frames_hash(prober, render, remux, save, container: str) -> None:
    """The same packets in another container are the same pictures, though the bytes differ."""
    clip = render(num_frames=30)
    options = dict(FRAGMENTED) if container == "mp4" else None
    other = remux(clip, container, options)
    before, after = await prober.probe(save(clip)), await prober.probe(save(other, "other"))
    assert other != clip
    assert after.frames_sha256 == before.frames_sha256
    assert (after.phash, after.num_frames) == (before.phash, before.num_frames)


@pytest.mark.parametrize(
    "look", [{"options": (("preset", "veryfast"), ("crf", "38"))}, VP9, {"width": 320, "height": 180}]
)
async def test_re_encoding_is_near_and_another_clip_is_far(prober, render, save, look) -> None:
    """A worse copy, another codec and another size look the same; another seed does not."""
    one = await prober.probe(save(render()))
    copy = await prober.probe(save(render(**look), "copy"))
    other = await prober.probe(save(render(seed=1), "other"))
    assert copy.frames_sha256 != one.frames_sha256
    assert distance(one, copy) < 0.1
    assert distance(one, other) > 0.25


async def test_one_different_frame_changes_the_frames_hash(prober, render, save) -> None:
    """A clip that is one frame longer is another clip."""
    lossless = {"options": (("preset", "veryfast"), ("qp", "0"))}
    one = await prober.probe(save(render(num_frames=24, **lossless)))
    longer = await prober.probe(save(render(num_frames=25, **lossless), "longer"))
    assert longer.num_frames == one.num_frames + 1
    assert longer.frames_sha256 != one.frames_sha256


@pytest.mark.parametrize(
    ("look", "codec", "mime_type"),
    [
        (VP9, "vp9", "video/webm"),
        ({"muxing": FRAGMENTED}, "h264", "video/mp4"),
        ({"container": "matroska"}, "h264", "video/x-matroska"),
        ({"container": "mov", "codec": "mpeg4", "options": ()}, "mpeg4", "video/quicktime"),
        ({"pixels": "yuv444p"}, "h264", "video/mp4"),
        ({"pixels": "yuv420p10le"}, "h264", "video/mp4"),
        (
            {"codec": "ffv1", "container": "matroska", "pixels": "bgr0", "options": ()},
            "ffv1",
            "video/x-matroska",
        ),
        ({"width": 162, "height": 94, "num_frames": 3}, "h264", "video/mp4"),
        ({"num_frames": 1}, "h264", "video/mp4"),
    ],
)
async def test_other_containers_codecs_and_sizes_decode(prober, render, save, look, codec, mime_type) -> None:
    """Containers that state no number of frames, odd pixel formats and tiny clips are clips."""
    facts = await prober.probe(save(render(**look)))
    assert (facts.codec, facts.mime_type, facts.num_frames) == (codec, mime_type, look.get("num_frames", 24))
    assert len(facts.phash) == 128


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"ffconcat version 1.0\nfile 'other.mp4'\n", "playlist"),
        (b"#EXTM3U\n#EXTINF:1,\nother.mp4\n#EXT-X-ENDLIST\n", "playlist"),
        (b"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\nm=video 9 RTP/AVP 96\r\n", "playlist"),
        (b"<!DOCTYPE html><title>sign in</title>", "HTML"),
        (b'{"error": "expired"}', "JSON"),
        (b"just words", "text"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "not an MP4"),
        (b"", "empty"),
    ],
)
async def test_what_is_no_video_is_never_opened(prober, render, save, content: bytes, reason: str) -> None:
    """Texts that libav would follow to a clip that lies beside them are refused by their first bytes."""
    save(render(), "other.mp4")
    with pytest.raises(InvalidVideo, match=reason):
        await prober.probe(save(content, "video.mp4"))


async def test_a_truncated_clip_is_invalid(prober, render, save) -> None:
    """Half a file is no clip, wherever its index is."""
    clip = render()
    with pytest.raises(InvalidVideo):
        await prober.probe(save(clip[: len(clip) // 2]))


@pytest.mark.parametrize(
    "look", [{}, {"codec": "mpeg4", "options": ()}, {"codec": "libvpx-vp9", "options": VP9["options"]}]
)
async def test_a_cut_that_only_the_last_picture_feels_is_noticed(
    prober, render, index_first, save, look
) -> None:
    """Twenty bytes less than the pictures need, in a file whose boxes and tables all fit."""
    whole = index_first(render(**look))
    assert (await prober.probe(save(whole))).num_frames == 24
    with pytest.raises(InvalidVideo):
        await prober.probe(save(whole[:-20]))


async def test_zeros_in_the_middle_of_a_clip_are_noticed(prober, render, save) -> None:
    """A hole in the media data, which libav conceals when it is let, spoils the clip."""
    clip = bytearray(render())
    start = clip.index(b"mdat") + 1200
    clip[start : start + 400] = bytes(400)
    with pytest.raises(InvalidVideo):
        await prober.probe(save(bytes(clip)))


async def test_damage_in_the_pictures_is_noticed(prober, render, save) -> None:
    """Of thirty clips with one flipped byte nearly all are refused, where libav by itself shows them all.

    Not every one is: H.264 carries no checksum, and damage at the end of a picture may look like a picture.
    """
    clip = render(width=320, height=180)
    start, end = clip.index(b"mdat") + 800, clip.index(b"moov") - 8
    noticed = 0
    for place in random.Random(5).sample(range(start, end), 30):
        damaged = clip[:place] + bytes([clip[place] ^ 0x55]) + clip[place + 1 :]
        try:
            await prober.probe(save(damaged))
        except InvalidVideo:
            noticed += 1
    assert noticed >= 27


async def test_a_slip_that_spoils_no_picture_is_a_note(prober, render, save) -> None:
    """A malformed side message in the bitstream, which players ignore, does not cost a paid clip."""
    clip = render()
    facts = await prober.probe(save(_edited(clip, message=BROKEN)))
    assert facts.notes == ("the bitstream has slips that spoil no picture",)
    assert facts.frames_sha256 == (await prober.probe(save(clip))).frames_sha256


async def test_a_slip_that_costs_a_picture_spoils_the_clip(prober, render, save) -> None:
    """The second opinion counts: with a picture missing, the slip is damage."""
    with pytest.raises(InvalidVideo, match="does not decode"):
        await prober.probe(save(_edited(render(), message=BROKEN, early=4)))


async def test_another_count_in_the_container_is_a_note(prober, render, save) -> None:
    """A clip whose first pictures its container cuts off: what is shown is counted, the rest is said."""
    facts = await prober.probe(save(_edited(render(), early=4)))
    assert (facts.num_frames, facts.notes) == (20, ("the container states 24 frames",))
    assert len(facts.phash) == 128


BROKEN = bytes([0x06, 0x05, 0xF0, 1, 2, 3, 0x80])
"""An SEI message that claims more bytes than it has."""


def _edited(clip: bytes, message: bytes = b"", early: int = 0) -> bytes:
    """The clip with a message before each picture, or with its first pictures before its beginning."""
    out = io.BytesIO()
    with av.open(io.BytesIO(clip)) as source, av.open(out, "w", format="mp4") as target:
        stream = source.streams.video[0]
        copy = target.add_stream_from_template(stream)
        for packet in source.demux(stream):
            if packet.dts is None:
                continue
            head = len(message).to_bytes(4, "big") + message if message else b""
            edited = av.Packet(head + bytes(packet))
            shift = early * packet.duration
            edited.pts, edited.dts = packet.pts - shift, packet.dts - shift
            edited.time_base, edited.duration = packet.time_base, packet.duration
            edited.is_keyframe, edited.stream = packet.is_keyframe, copy
            target.mux(edited)
    return out.getvalue()


async def test_sound_that_does_not_decode_is_a_note(prober, render, save) -> None:
    """The pictures are what was asked for; damaged sound is said, not punished."""
    clip = render(sound=True)
    packets = _audio_packets(clip)
    damaged = bytearray(clip)
    for start, size in packets[3:6]:
        damaged[start : start + size] = b"\xff" * size
    facts = await prober.probe(save(bytes(damaged)))
    assert any("sound" in note for note in facts.notes)
    assert facts.num_frames == 24


def _audio_packets(clip: bytes) -> list[tuple[int, int]]:
    with av.open(io.BytesIO(clip)) as source:
        return [(packet.pos, packet.size) for packet in source.demux(audio=0) if packet.pos is not None]


async def test_a_file_of_sound_only_is_no_video(prober, save) -> None:
    """A container without pictures is refused."""
    out = io.BytesIO()
    with av.open(out, "w", format="mp4") as container:
        stream = container.add_stream("aac", rate=44100, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.rate, frame.pts = 44100, 0
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    with pytest.raises(InvalidVideo, match="no video stream"):
        await prober.probe(save(out.getvalue()))


async def test_a_missing_file_is_a_trouble_and_no_verdict(prober, tmp_path: Path) -> None:
    """A file that cannot be read says nothing about the clip."""
    with pytest.raises(TroubleError, match="No such file"):
        await prober.probe(tmp_path / "gone.mp4")


async def test_a_worker_holds_no_key_and_few_rights(prober, render, save, monkeypatch) -> None:
    """No variable of ours, no file but the clip, no writing, no core, bounded memory."""
    monkeypatch.setenv("REELSWEEP_API_KEY", "SECRET")
    with Prober(1) as own:
        await own.probe(save(render()))
        (pid,) = own.worker_pids
        worker = psutil.Process(pid)
        assert set(worker.environ()) <= {"LANG", "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "LD_LIBRARY_PATH"}
        assert "SECRET" not in " ".join(worker.cmdline())
        assert worker.rlimit(psutil.RLIMIT_NOFILE)[1] == worker.num_fds() + 1
        assert worker.rlimit(psutil.RLIMIT_FSIZE)[1] == 0
        assert worker.rlimit(psutil.RLIMIT_CORE)[1] == 0
        assert worker.rlimit(psutil.RLIMIT_AS)[1] == ProbeLimits().memory_bytes


async def test_a_worker_that_was_killed_is_replaced_and_the_file_decoded(render, save) -> None:
    """The death of a worker from outside costs nothing but time."""
    with Prober(1) as own:
        path = save(render())
        first = await own.probe(path)
        (pid,) = own.worker_pids
        os.kill(pid, signal.SIGKILL)
        assert await own.probe(path) == first
        assert own.worker_pids.isdisjoint({pid})


async def test_a_file_that_takes_too_long_is_invalid_and_the_next_one_is_not(render, save) -> None:
    """A hanging decoder is ended; the next file gets a new one."""
    with Prober(1, ProbeLimits(wall_s=0.0)) as own:
        with pytest.raises(InvalidVideo, match="within 0 s"):
            await own.probe(save(render()))
        assert own.worker_pids == frozenset()


async def test_a_file_that_needs_too_much_memory_is_invalid(render, save) -> None:
    """Large pictures in a worker with little memory: a reason, not a crash of ours."""
    big = render(width=4000, height=3000, num_frames=2, codec="mpeg4", options=())
    with Prober(1, ProbeLimits(memory_bytes=330 << 20)) as own:
        with pytest.raises(InvalidVideo, match=r"too much memory|does not decode|crashed twice"):
            await own.probe(save(big))
        assert (await own.probe(save(render()))).num_frames == 24


async def test_pictures_over_the_limit_are_refused(prober, render, save) -> None:
    """A small file that unpacks to giant pictures is not decoded."""
    giant = render(width=6000, height=4000, num_frames=1, codec="mpeg4", options=())
    with pytest.raises(InvalidVideo):
        await prober.probe(save(giant))


async def test_a_prober_serves_several_loops_at_once(render, save) -> None:
    """Tasks that Prefect runs each in a loop of its own share the workers."""
    path, results = save(render()), []
    with Prober(2) as own:

        def loop() -> None:
            async def three() -> list[Facts]:
                return await asyncio.gather(*(own.probe(path) for _ in range(3)))

            results.extend(asyncio.run(three()))

        threads = [threading.Thread(target=loop) for _ in range(4)]
        for thread in threads:
            thread.start()
        await asyncio.gather(*(asyncio.to_thread(thread.join) for thread in threads))
        assert 1 <= len(own.worker_pids) <= 2
    assert len(results) == 12
    assert len(set(results)) == 1


async def test_no_worker_is_started_before_the_first_file_and_none_is_left_after_close(render, save) -> None:
    """A run that makes no video starts no decoder; closing twice is fine."""
    own = Prober(2)
    assert own.worker_pids == frozenset()
    await own.probe(save(render()))
    (pid,) = own.worker_pids
    own.close()
    own.close()
    assert not psutil.pid_exists(pid)


async def test_what_is_asked_of_a_closed_prober_fails_at_once(render, save) -> None:
    """No hang, no verdict on the clip."""
    own = Prober(1)
    own.close()
    with pytest.raises((TroubleError, RuntimeError)):
        await own.probe(save(render()))


async def test_a_cancelled_caller_does_not_disturb_the_next(render, save) -> None:
    """The worker finishes what nobody waits for and goes on."""
    with Prober(1) as own:
        path = save(render())
        task = asyncio.create_task(own.probe(path))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (await own.probe(path)).num_frames == 24


def test_workers_end_when_their_parent_is_killed(render, save) -> None:
    """SIGKILL leaves no decoder behind."""
    program = (
        "import asyncio, sys, pathlib\n"
        "from reelsweep.tasks.artifacts.probe import Prober\n"
        "own = Prober(1)\n"
        "asyncio.run(own.probe(pathlib.Path(sys.argv[1])))\n"
        "print(*own.worker_pids, flush=True)\n"
        "sys.stdin.read()\n"
    )
    arguments = [sys.executable, "-c", program, str(save(render()))]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        worker = os.pidfd_open(int(parent.stdout.readline()))
        parent.kill()
    try:
        ended, _, _ = select.select([worker], [], [], 60)
    finally:
        os.close(worker)
    assert ended


def test_an_interrupt_at_the_terminal_leaves_workers_alone(render, save) -> None:
    """Ctrl-C reaches the whole group; what is paid for is still decoded."""

    async def interrupted() -> Facts:
        with Prober(1) as own:
            path = save(render())
            await own.probe(path)
            (pid,) = own.worker_pids
            os.kill(pid, signal.SIGINT)
            os.kill(pid, signal.SIGTERM)
            await own.probe(path)
            assert own.worker_pids == frozenset({pid})
            return await own.probe(path)

    assert asyncio.run(interrupted()).num_frames == 24


async def test_facts_become_columns_and_come_back(prober, render, save) -> None:
    """What goes into the ledger as JSON is the same facts when read again."""
    facts = await prober.probe(save(render()))
    columns = facts.columns()
    assert columns["num_frames"] == 24
    assert Facts.from_columns(columns) == facts


def test_an_invalid_video_survives_pickling() -> None:
    """The reason is there on the other side of a process."""
    copy = pickle.loads(pickle.dumps(InvalidVideo("no moov")))
    assert (copy.reason, str(copy)) == ("no moov", "no moov")
