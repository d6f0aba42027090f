"""One clip decoded to its end: its facts, or why it is no video.

Runs in a decode worker only (`decode_worker`), never in the process that holds keys.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import BinaryIO

import av
from av.audio.frame import AudioFrame
from av.container import InputContainer
from av.packet import Packet
from av.stream import Disposition, Stream
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from PIL import Image
from reelsweep.tasks.artifacts.boxes import check_boxes
from reelsweep.tasks.artifacts.content import Pictures, Sound
from reelsweep.tasks.artifacts.ebml import check_elements
from reelsweep.tasks.artifacts.facts import Facts, InvalidVideo
from reelsweep.tasks.artifacts.frames import FrameHash
from reelsweep.tasks.artifacts.phash import evenly_spaced, frame_hash
from reelsweep.tasks.artifacts.signature import HEAD_BYTES, Container, signature

MAX_FRAMES = 200_000
MAX_PIXELS = 4096 * 4096
STRICT = {"err_detect": "explode", "max_pixels": str(MAX_PIXELS)}
LENIENT = {"max_pixels": str(MAX_PIXELS)}
MARKS_DAMAGE = frozenset({"h264"})
"""Codecs whose decoder marks every frame it had to repair, so that a slip that spoils no picture need not
spoil the clip (tried: of 1,209 damaged clips that the strict pass refused, the lenient one let 1 through)."""


@dataclass(slots=True)
class _Reel:
    """What one pass over a clip has shown so far."""

    picks: frozenset[int]
    num_frames: int = 0
    frames: FrameHash = field(default_factory=FrameHash)
    hashes: dict[int, str] = field(default_factory=dict[int, str])
    size: tuple[int, int] = (0, 0)
    size_changes: bool = False
    bad_audio: int = 0
    pictures: Pictures = field(default_factory=Pictures)
    sound: Sound = field(default_factory=Sound)


def inspect(file: BinaryIO) -> Facts:
    """The facts of the clip in `file`, decoded to its end; InvalidVideo otherwise."""
    container = signature(file.read(HEAD_BYTES))
    size_bytes = os.fstat(file.fileno()).st_size
    if container is None:
        file.seek(0)
        raise InvalidVideo(_what_it_is(file.read(HEAD_BYTES)))
    if container.demuxer == "mov":
        check_boxes(file, size_bytes)
    else:
        check_elements(file, size_bytes)
    try:
        return _decoded(file, container, STRICT)
    except _Slip as slip:
        if slip.codec not in MARKS_DAMAGE:
            raise InvalidVideo(slip.reason) from None
        return _second_opinion(file, container, slip)


def _second_opinion(file: BinaryIO, container: Container, slip: _Slip) -> Facts:
    """The facts of a clip that a strict decoder refused, if every frame is there and none is damaged."""
    try:
        facts = _decoded(file, container, LENIENT)
    except _Slip as second:
        raise InvalidVideo(second.reason) from None
    if facts.notes:
        raise InvalidVideo(slip.reason)
    return replace(facts, notes=("the bitstream has slips that spoil no picture",))


class _Slip(Exception):  # noqa: N818
    """The decoder refused something."""

    def __init__(self, reason: str, codec: str) -> None:
        super().__init__(reason, codec)
        self.reason = reason
        self.codec = codec


def _decoded(file: BinaryIO, container: Container, options: dict[str, str]) -> Facts:
    with opened(file, container) as source:
        stream = video_stream(source)
        stated = _stated_frames(stream)
        reel = _run(source, stream, options, evenly_spaced(stated))
        facts = _facts(source, stream, container, reel)
    picks = evenly_spaced(reel.num_frames)
    if reel.num_frames != stated:
        with opened(file, container) as source:
            reel = _run(source, video_stream(source), options, picks)
    return replace(facts, phash="".join(reel.hashes[pick] for pick in picks))


@contextmanager
def opened(file: BinaryIO, container: Container) -> Generator[InputContainer]:
    """The container, read by the one demuxer its signature names. Nothing else is ever tried."""
    file.seek(0)
    try:
        source = av.open(file, "r", format=container.demuxer, metadata_errors="replace")
    except Exception as error:
        raise InvalidVideo(f"the {container.name} container cannot be read ({_name(error)})") from None
    with source:
        yield source


def video_stream(source: InputContainer) -> VideoStream:
    """The moving pictures of a container. Raises InvalidVideo where there are none."""
    for stream in source.streams.video:
        if not stream.disposition & Disposition.attached_pic:
            return stream
    raise InvalidVideo("there is no video stream in the file")


def _stated_frames(stream: VideoStream) -> int:
    """The number of frames the container states, or lets one reckon, else 0."""
    if stream.frames:
        return stream.frames
    source = stream.container
    assert isinstance(source, InputContainer)
    if not stream.average_rate or not source.duration:
        return 0
    return round(source.duration / av.time_base * stream.average_rate)


def _run(
    source: InputContainer, stream: VideoStream, options: dict[str, str], picks: tuple[int, ...]
) -> _Reel:
    """Decode everything, once. Whatever libav raises on the way is a slip of the file."""
    reel = _Reel(frozenset(picks))
    codec = stream.codec_context.name
    stream.codec_context.thread_count = 1
    stream.codec_context.options = options
    try:
        for packet in source.demux(stream, *source.streams.audio[:1]):
            _take(packet, stream, reel)
    except InvalidVideo as invalid:
        raise _Slip(invalid.reason, codec) from None
    except Exception as error:
        raise _Slip(
            f"{codec} does not decode after frame {reel.num_frames} ({_name(error)})", codec
        ) from None
    if not reel.num_frames:
        raise _Slip(f"{codec}: not one frame decodes", codec)
    return reel


def _take(packet: Packet[Stream], stream: VideoStream, reel: _Reel) -> None:
    if packet.stream.index != stream.index:
        _take_audio(packet, reel)
        return
    if packet.is_corrupt:
        raise InvalidVideo(f"the file is cut: a packet after frame {reel.num_frames} is not whole")
    for frame in packet.decode():
        if isinstance(frame, VideoFrame):
            _take_frame(frame, reel)


def _take_audio(packet: Packet[Stream], reel: _Reel) -> None:
    try:
        for frame in packet.decode():
            if isinstance(frame, AudioFrame):
                reel.sound.add(frame)
    except Exception:
        reel.bad_audio += 1


def _take_frame(frame: VideoFrame, reel: _Reel) -> None:
    if frame.is_corrupt:
        raise InvalidVideo(f"frame {reel.num_frames} is damaged")
    if reel.num_frames >= MAX_FRAMES:
        raise InvalidVideo(f"the clip has more than {MAX_FRAMES} frames")
    size = frame.width, frame.height
    reel.size_changes |= bool(reel.num_frames) and size != reel.size
    reel.size = reel.size if reel.num_frames else size
    reel.frames.add(frame)
    reel.pictures.add(frame)
    if reel.num_frames in reel.picks:
        reel.hashes[reel.num_frames] = frame_hash(_luma(frame))
    reel.num_frames += 1


def _luma(frame: VideoFrame) -> Image.Image:
    """The brightness of a frame as a picture; of 8-bit YUV the very plane, so that it is exact everywhere."""
    name = frame.format.name
    if not (name.startswith("yuv") and name.endswith("p")):
        frame = frame.reformat(format="gray")
    plane = frame.planes[0]
    size = frame.width, frame.height
    return Image.frombuffer("L", size, bytes(plane), "raw", "L", plane.line_size, 1)


def _facts(source: InputContainer, stream: VideoStream, container: Container, reel: _Reel) -> Facts:
    return Facts(
        mime_type=container.mime_type,
        width=reel.size[0],
        height=reel.size[1],
        duration_s=_duration_s(source, stream),
        fps=round(float(stream.average_rate), 6) if stream.average_rate else None,
        num_frames=reel.num_frames,
        codec=stream.codec_context.name,
        has_audio=bool(source.streams.audio),
        frames_sha256=reel.frames.hexdigest(),
        phash="",
        black_share=reel.pictures.black_share,
        frozen_share=reel.pictures.frozen_share,
        audio_peak_dbfs=reel.sound.peak_dbfs if source.streams.audio else None,
        notes=tuple(_notes(stream, reel)),
    )


def _duration_s(source: InputContainer, stream: VideoStream) -> float | None:
    if stream.duration and stream.time_base:
        return round(float(stream.duration * stream.time_base), 6)
    return round(source.duration / av.time_base, 6) if source.duration else None


def _notes(stream: VideoStream, reel: _Reel) -> Iterator[str]:
    if stream.frames and stream.frames != reel.num_frames:
        yield f"the container states {stream.frames} frames"
    if reel.size_changes:
        yield "frames differ in size"
    if reel.bad_audio:
        yield f"{reel.bad_audio} packets of sound do not decode"


def _name(error: Exception) -> str:
    return "too much memory" if isinstance(error, MemoryError) else type(error).__name__


def _what_it_is(head: bytes) -> str:
    """A word on a file that is no video, from its first bytes."""
    start = head.lstrip(b"\xef\xbb\xbf \r\n\t").lower()
    if not head:
        return "the file is empty"
    if start.startswith((b"<!doctype html", b"<html")):
        return "not a video: an HTML page"
    if start.startswith((b"{", b"[")):
        return "not a video: JSON"
    if start.startswith((b"#extm3u", b"ffconcat", b"v=0")):
        return "not a video: a playlist, which is not followed"
    if b"\0" not in head:
        return "not a video: text"
    return "not an MP4, QuickTime, WebM or Matroska file"
