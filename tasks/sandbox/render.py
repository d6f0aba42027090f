"""A clip's bytes: H.264 in MP4, index first, the same bytes for the same clip in any process.

The renderer keeps drawn clips in a bounded cache and draws in threads of its own, so that open
streams keep flowing; libx264 lets go of the interpreter while it works.
"""

from __future__ import annotations

import asyncio
import io
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction

import av
import numpy as np
from av.video.plane import VideoPlane
from av.video.stream import VideoStream
from reelsweep.tasks.sandbox.boxes import pad_video
from reelsweep.tasks.sandbox.clip import Clip, describe_clip
from reelsweep.tasks.sandbox.recent import Recent
from reelsweep.tasks.sandbox.scene import Bytes2D, draw_frames

CACHE_BYTES = 64_000_000
SOUND_RATE = 44_100
BLOCK = 1_024
"""Samples of one block of sound."""


def render_clip(
    model: str, prompt: str, seed: int, size: str = "320x180", seconds: float = 2.0, *, clip_bytes: int = 0
) -> bytes:
    """The MP4 for one request; raises ValueError for a size or duration out of range."""
    clip = describe_clip(model, prompt, seed, size, seconds)
    return pad_video(draw_clip(clip), clip_bytes, clip.digest)


def draw_clip(clip: Clip) -> bytes:
    """The MP4 without padding."""
    frames = list(draw_frames(clip))
    file = io.BytesIO()
    # One thread and no look-ahead: the same bytes every time. `moov_size` reserves room for the index
    # before the data; the faststart flag would have to open the file a second time by its name.
    num_blocks = 0 if clip.sound == "none" else round(clip.seconds * SOUND_RATE / BLOCK)
    options = {"moov_size": str(2048 + 24 * (len(frames) + num_blocks)), "fflags": "+bitexact"}
    with av.open(file, "w", format="mp4", options=options) as container:
        stream = _add_stream(container.add_stream("libx264", rate=clip.fps), clip)
        sound = container.add_stream("aac", rate=SOUND_RATE, layout="mono") if num_blocks else None
        for idx, planes in enumerate(frames):
            frame = av.VideoFrame(clip.width, clip.height, "yuv420p")
            frame.pts, frame.time_base = idx, Fraction(1, clip.fps)
            for plane, pixels in zip(frame.planes, planes, strict=True):
                _fill(plane, pixels)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        if sound is not None:
            for block in _sound(clip, num_blocks):
                container.mux(sound.encode(block))
            container.mux(sound.encode(None))
    return file.getvalue()


def _sound(clip: Clip, num_blocks: int) -> Iterator[av.AudioFrame]:
    """A tone of the clip's own, or silence."""
    pitch_hz = 220 + int(clip.digest[:2], 16)
    volume = 0.3 if clip.sound == "tone" else 0.0
    for block in range(num_blocks):
        at = np.arange(block * BLOCK, (block + 1) * BLOCK) / SOUND_RATE
        wave = (volume * np.sin(2 * np.pi * pitch_hz * at)).astype(np.float32)
        frame = av.AudioFrame.from_ndarray(wave[None], format="fltp", layout="mono")
        frame.rate, frame.pts = SOUND_RATE, block * BLOCK
        yield frame


def _add_stream(stream: VideoStream, clip: Clip) -> VideoStream:
    stream.width, stream.height, stream.pix_fmt = clip.width, clip.height, "yuv420p"
    stream.codec_context.thread_count = 1
    stream.codec_context.options = {
        "preset": "superfast",
        "crf": "23",
        "x264-params": "threads=1:lookahead-threads=1:sync-lookahead=0:rc-lookahead=0",
    }
    return stream


def _fill(plane: VideoPlane, pixels: Bytes2D) -> None:
    """Copy rows into a plane whose lines may be longer than the picture is wide."""
    height, width = pixels.shape
    if plane.line_size == width:
        plane.update(pixels.tobytes())
        return
    lines = np.zeros((height, plane.line_size), np.uint8)
    lines[:, :width] = pixels
    plane.update(lines.tobytes())


class Renderer:
    """Clips by ticket: drawn once, kept while there is room, in threads of its own."""

    def __init__(self, threads: int = 1, cache_bytes: int = CACHE_BYTES) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="render")
        self._cache = Recent[Clip, bytes](cache_bytes, weigh=len)
        self._under_way: dict[Clip, asyncio.Future[bytes]] = {}

    async def fetch(self, clip: Clip) -> bytes:
        """The clip's bytes; whoever asks for a clip that is being drawn waits for the same drawing."""
        picture = clip.picture
        video = self._cache.get(picture)
        video = await self._draw(picture) if video is None else video
        return pad_video(video, clip.min_bytes, clip.digest)

    async def _draw(self, picture: Clip) -> bytes:
        drawing = self._under_way.get(picture)
        if drawing is None:
            drawing = asyncio.get_running_loop().run_in_executor(self._pool, draw_clip, picture)
            self._under_way[picture] = drawing
            drawing.add_done_callback(lambda _: self._under_way.pop(picture, None))
        video = await asyncio.shield(drawing)
        self._cache.put(picture, video)
        return video

    def close(self) -> None:
        """Draw nothing more."""
        self._pool.shutdown(cancel_futures=True)
