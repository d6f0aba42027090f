"""A network of the tests' own: names, addresses and servers that exist nowhere else, and clips to serve."""

from __future__ import annotations

import asyncio
import io
import struct
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import av
import httpcore
import numpy as np
import pytest
from PIL import Image
from reelsweep.tasks.artifacts.door import Door, connect_tcp
from reelsweep.tasks.artifacts.probe import Prober


@dataclass
class Request:
    """What a server was asked."""

    method: str
    target: str
    headers: dict[str, str]


@dataclass
class Answer:
    """What a server says; `announced` overrides Content-Length, `cut_after` ends the body early."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    announced: int | None = None
    cut_after: int | None = None
    hangs: bool = False

    def head(self) -> bytes:
        length = len(self.body) if self.announced is None else self.announced
        fields = {"Content-Length": str(length), **self.headers}
        lines = [f"HTTP/1.1 {self.status} X", *(f"{name}: {value}" for name, value in fields.items())]
        return ("\r\n".join(lines) + "\r\n\r\n").encode()


Handler = Callable[[Request], Answer]


class Server:
    """A loopback server that answers what its handler says and remembers what it was asked."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.handler: Handler = lambda request: Answer(404)
        self.open_now = 0
        self.open_most = 0
        self.port = 0
        self._talking: set[asyncio.Task[None] | None] = set()
        """The loop itself holds its tasks weakly: one that waits for ever could be collected."""

    async def converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._talking.add(asyncio.current_task())
        try:
            while (request := await _request(reader)) is not None:
                self.requests.append(request)
                self.open_now += 1
                self.open_most = max(self.open_most, self.open_now)
                answer = self.handler(request)
                whole = await _answer(writer, answer)
                self.open_now -= 1
                if not whole:
                    break
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


async def _request(reader: asyncio.StreamReader) -> Request | None:
    lines = []
    while (line := (await reader.readline()).decode("latin-1").rstrip("\r\n")) != "":
        lines.append(line)
    if not lines:
        return None
    method, target, _ = lines[0].split(" ")
    fields = (line.split(": ", 1) for line in lines[1:])
    return Request(method, target, {name.lower(): value for name, value in fields})


async def _answer(writer: asyncio.StreamWriter, answer: Answer) -> bool:
    body = answer.body if answer.cut_after is None else answer.body[: answer.cut_after]
    writer.write(answer.head() + body)
    await writer.drain()
    if answer.hangs:
        await asyncio.Event().wait()
    return answer.cut_after is None


class Net:
    """Names and addresses as this test says; a connection can only be made to one of its servers."""

    def __init__(self) -> None:
        self.names: dict[str, list[str]] = {}
        self.at: dict[str, Server] = {}
        self.asked: list[str] = []
        self.connected: list[tuple[str, int]] = []

    async def resolve(self, host: str, port: int) -> list[str]:
        self.asked.append(host)
        if host not in self.names:
            raise OSError("no such name")
        return self.names[host]

    async def connect(self, address: str, port: int, timeout_s: float | None) -> httpcore.AsyncNetworkStream:
        self.connected.append((address, port))
        if address not in self.at:
            raise httpcore.ConnectError("nobody there")
        return await connect_tcp("127.0.0.1", self.at[address].port, timeout_s)

    def host(self, name: str, address: str, server: Server) -> None:
        self.names[name] = [address]
        self.at[address] = server

    def door(self, **options: object) -> Door:
        return Door(resolve=self.resolve, connect=self.connect, **options)


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    """A server on loopback, reachable in `net` as clips.example.com."""
    made = Server()
    listening = await asyncio.start_server(made.converse, "127.0.0.1", 0)
    made.port = listening.sockets[0].getsockname()[1]
    yield made
    listening.close()
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


@pytest.fixture
def net(server: Server) -> Net:
    """The test's own network, with one public host in it."""
    made = Net()
    made.host("clips.example.com", "93.184.215.14", server)
    return made


@pytest.fixture(scope="session")
def prober() -> Iterator[Prober]:
    """Decode workers shared by all tests."""
    with Prober(1) as made:
        yield made


@dataclass(frozen=True)
class Look:
    """How a test clip is made."""

    seed: int = 0
    num_frames: int = 24
    width: int = 160
    height: int = 90
    codec: str = "libx264"
    container: str = "mp4"
    pixels: str = "yuv420p"
    options: tuple[tuple[str, str], ...] = (("preset", "veryfast"),)
    muxing: tuple[tuple[str, str], ...] = ()
    sound: bool = False


def rendered(look: Look) -> bytes:
    """A moving picture drawn from a seed."""
    out = io.BytesIO()
    with av.open(out, "w", format=look.container, options=dict(look.muxing)) as container:
        stream = container.add_stream(look.codec, rate=24, options=dict(look.options))
        stream.width, stream.height, stream.pix_fmt = look.width, look.height, look.pixels
        sound = container.add_stream("aac", rate=44100, layout="mono") if look.sound else None
        for picture in _pictures(look):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
        if sound is not None:
            for packet in _tone(sound):
                container.mux(packet)
    return out.getvalue()


def _pictures(look: Look) -> Iterator[np.ndarray]:
    patches = np.random.default_rng(look.seed).integers(0, 255, (6, 8, 3)).astype(np.uint8)
    size = look.width, look.height
    for index in range(look.num_frames):
        patch = Image.fromarray(np.roll(patches, index // 4, axis=1))
        picture = np.array(patch.resize(size, Image.Resampling.BICUBIC))
        top, side = look.height // 9, look.width // 8
        left = index * look.width // 30 % (look.width - side)
        picture[top : top + side, left : left + side] = 255
        yield picture


def _tone(stream: av.AudioStream) -> Iterator[list[av.Packet]]:
    for index in range(20):
        wave = np.sin(np.arange(1024) / 20).astype(np.float32)[None]
        frame = av.AudioFrame.from_ndarray(wave, format="fltp", layout="mono")
        frame.rate, frame.pts = 44100, index * 1024
        yield stream.encode(frame)
    yield stream.encode()


def remuxed(clip: bytes, container: str, options: dict[str, str] | None = None) -> bytes:
    """The same packets in another container."""
    out = io.BytesIO()
    with av.open(io.BytesIO(clip)) as source, av.open(out, "w", format=container, options=options) as target:
        stream = source.streams.video[0]
        copy = target.add_stream_from_template(stream)
        for packet in source.demux(stream):
            if packet.dts is not None:
                packet.stream = copy
                target.mux(packet)
    return out.getvalue()


@pytest.fixture(scope="session")
def render() -> Callable[..., bytes]:
    """`render(seed=…, codec=…)`: a clip, made once per look."""
    made: dict[Look, bytes] = {}

    def render(**options: object) -> bytes:
        look = Look(**options)
        if look not in made:
            made[look] = rendered(look)
        return made[look]

    return render


@pytest.fixture(scope="session")
def index_first() -> Callable[[bytes], bytes]:
    """`index_first(mp4)`: its index before its media data, whose box runs to the end of the file."""

    def index_first(clip: bytes) -> bytes:
        media, index = clip.index(b"mdat") - 4, clip.index(b"moov") - 4
        moved = bytearray(clip[index:])
        at = moved.index(b"stco") + 8
        (count,) = struct.unpack_from(">I", moved, at)
        for entry in range(at + 4, at + 4 + 4 * count, 4):
            (offset,) = struct.unpack_from(">I", moved, entry)
            struct.pack_into(">I", moved, entry, offset + len(moved))
        return clip[:media] + bytes(moved) + struct.pack(">I4s", 0, b"mdat") + clip[media + 8 : index]

    return index_first


@pytest.fixture(scope="session")
def remux() -> Callable[..., bytes]:
    """`remux(clip, "matroska")`: the same packets in another container."""
    return remuxed


@pytest.fixture
def save(tmp_path: Path) -> Callable[[bytes], Path]:
    """Write bytes to a file of this test."""

    def save(content: bytes, name: str = "clip") -> Path:
        path = tmp_path / name
        path.write_bytes(content)
        return path

    return save


@pytest.fixture
def answer() -> type[Answer]:
    """The class of answers, for handlers."""
    return Answer
