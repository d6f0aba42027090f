"""The picture that stands for a clip on a page: one frame, small, as a JPEG.

Runs in a decode worker only (`decode_worker`), beside `decode`.
"""

from __future__ import annotations

import io
from typing import BinaryIO, cast

from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from PIL import Image
from reelsweep.tasks.artifacts.decode import opened, video_stream
from reelsweep.tasks.artifacts.facts import InvalidVideo
from reelsweep.tasks.artifacts.signature import HEAD_BYTES, signature

SIDE = 384
"""Pixels of the longer side."""
QUALITY = 82
MAX_DECODED = 60_000_000
"""Pixels decoded on the way to the middle of a clip; a long one gives an earlier frame."""


def draw_poster(file: BinaryIO) -> bytes:
    """The frame in the middle of the clip in `file`, or the last that can be had cheaply, as a JPEG.

    Raises InvalidVideo when the file is no clip of which a frame decodes.
    """
    container = signature(file.read(HEAD_BYTES))
    if container is None:
        raise InvalidVideo("not a video")
    with opened(file, container) as source:
        try:
            frame = _middle(source, video_stream(source))
        except InvalidVideo:
            raise
        except Exception as error:
            raise InvalidVideo(f"no frame decodes ({type(error).__name__})") from None
    return _jpeg(frame)


def _middle(source: InputContainer, stream: VideoStream) -> VideoFrame:
    """The middle frame, from the nearest key frame before it."""
    stream.codec_context.thread_count = 1
    middle = (stream.duration or 0) // 2
    if stream.duration:
        source.seek((stream.start_time or 0) + middle, stream=stream)
    until, pixels, last = (stream.start_time or 0) + middle, 0, None
    for frame in source.decode(stream):
        last, pixels = frame, pixels + frame.width * frame.height
        if (frame.pts or 0) >= until or pixels >= MAX_DECODED:
            break
    if last is None:
        raise InvalidVideo("no frame decodes")
    return last


def _jpeg(frame: VideoFrame) -> bytes:
    scale = min(1.0, SIDE / max(frame.width, frame.height))
    width, height = (max(2, round(side * scale)) for side in (frame.width, frame.height))
    buffer = io.BytesIO()
    picture = cast(Image.Image, frame.to_image(width=width, height=height, interpolation="BICUBIC"))
    picture.save(buffer, "JPEG", quality=QUALITY)
    return buffer.getvalue()
