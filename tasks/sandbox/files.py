"""`GET /files/…`: clips with ETag and Range as HTTP has them, and everything that goes wrong with downloads."""

from __future__ import annotations

import asyncio
import functools
import re
import time
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from reelsweep.tasks.sandbox.answers import SentSteps
from reelsweep.tasks.sandbox.clip import Clip, Ticket, parse_token
from reelsweep.tasks.sandbox.faults import Fault
from reelsweep.tasks.sandbox.jobs import Desk
from reelsweep.tasks.sandbox.render import Renderer, list_boxes
from reelsweep.tasks.sandbox.wire import Step, Transmission
from starlette.requests import Request
from starlette.responses import Response

BLOCK_BYTES = 65_536
BOMB_BYTES = 1 << 30
_ELSEWHERE = "http://169.254.169.254/latest/meta-data/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetch:
    """One GET of a file, as far as the answer depends on it."""

    path: str
    range: str | None = None
    if_range: str | None = None
    earlier: int = 0
    """GETs of this file before."""
    age_s: float = 0.0
    """Since the clip was ready."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """What is sent for it. `stop_at`: so many bytes of the body leave, then the connection closes."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    stop_at: int | None = None
    takes_s: float = 0.0


async def get_file(request: Request) -> Response:
    """A clip by its ticket."""
    name, _, ending = request.path_params["name"].rpartition(".")
    ticket = parse_token(name) if ending == "mp4" else None
    if ticket is None:
        return Response("not found\n", status_code=404)
    return await send_clip(request, ticket)


async def send_clip(request: Request, ticket: Ticket) -> Response:
    """The clip, drawn if need be, with the ticket's fault."""
    desk: Desk = request.app.state.desk
    renderer: Renderer = request.app.state.renderer
    fetch = Fetch(
        path=request.url.path,
        range=request.headers.get("range"),
        if_range=request.headers.get("if-range"),
        earlier=desk.count_get(f"{ticket.job}{ticket.clip.digest}") if request.method == "GET" else 0,
        age_s=time.time() - ticket.made_at,
    )
    clip = _served_clip(ticket, fetch)
    video = await renderer.fetch(clip)
    delivery = (
        await asyncio.to_thread(deliver, video, clip, ticket.fault, fetch)
        if _is_bomb(ticket)
        else deliver(video, clip, ticket.fault, fetch)
    )
    if request.method == "HEAD":
        return Response(status_code=delivery.status, headers=_headers(delivery))
    return SentSteps(_transmit(delivery), _headers(delivery), status=delivery.status)


def _is_bomb(ticket: Ticket) -> bool:
    return ticket.fault is not None and ticket.fault.fault == "video_bomb"


def _served_clip(ticket: Ticket, fetch: Fetch) -> Clip:
    """The clip; where a fault says that the file changed, another one from then on."""
    fault = ticket.fault
    if fault is None or fault.fault != "video_changed" or fault.applies(fetch.earlier):
        return ticket.clip
    return ticket.clip.model_copy(update={"epoch": ticket.clip.epoch + 8})


def _headers(delivery: Delivery) -> dict[str, str]:
    return {"content-type": "video/mp4", "content-length": str(len(delivery.body)), **delivery.headers}


def _transmit(delivery: Delivery) -> Transmission:
    body = delivery.body if delivery.stop_at is None else delivery.body[: delivery.stop_at]
    # A file that shall take its time leaves in twenty blocks, else in as few as the socket likes.
    size = max(1, -(-len(body) // 20)) if delivery.takes_s else BLOCK_BYTES
    blocks = [body[at : at + size] for at in range(0, len(body), size)]
    pause_s = delivery.takes_s / max(1, len(blocks))
    # Instants that differ by nothing that can be measured keep the blocks apart.
    steps = tuple(Step(idx * (pause_s or 1e-9), block) for idx, block in enumerate(blocks))
    return Transmission(steps=steps, close="end" if delivery.stop_at is None else "close")


def deliver(video: bytes, clip: Clip, fault: Fault | None, fetch: Fetch) -> Delivery:
    """What to send for one GET."""
    spoil = _SPOILERS.get(fault.fault) if fault is not None else None
    if fault is None or spoil is None:
        return _whole_or_range(video, clip, fetch)
    return spoil(video, clip, fault, fetch)


def _etag(clip: Clip) -> str:
    return f'"{clip.digest}-{clip.epoch}"'


def _whole_or_range(video: bytes, clip: Clip, fetch: Fetch) -> Delivery:
    headers = {"etag": _etag(clip), "accept-ranges": "bytes"}
    if fetch.range is None or fetch.if_range not in (None, _etag(clip)):
        return Delivery(status=200, body=video, headers=headers)
    span = parse_range(fetch.range, len(video))
    if span is None:
        return Delivery(status=200, body=video, headers=headers)
    if not span:
        return Delivery(status=416, body=b"", headers={**headers, "content-range": f"bytes */{len(video)}"})
    headers["content-range"] = f"bytes {span.start}-{span.stop - 1}/{len(video)}"
    return Delivery(status=206, body=video[span.start : span.stop], headers=headers)


def parse_range(header: str, size: int) -> range | None:
    """The bytes of a single range; an empty one when it cannot be met, None when it is to be ignored."""
    match = re.fullmatch(r"\s*bytes\s*=\s*(\d{0,18})-(\d{0,18})\s*", header)
    if match is None or not (match[1] or match[2]):
        return None
    if not match[1]:
        return range(max(0, size - int(match[2])), size)
    start = int(match[1])
    stop = min(size, int(match[2]) + 1) if match[2] else size
    if match[2] and int(match[2]) < start:
        return None
    return range(start, stop) if start < size else range(0)


def _cut(video: bytes, clip: Clip, fault: Fault, fetch: Fetch) -> Delivery:
    whole = _whole_or_range(video, clip, fetch)
    if not fault.applies(fetch.earlier):
        return whole
    return replace(whole, stop_at=max(1, int(len(whole.body) * fault.at)))


def _short(video: bytes, clip: Clip, fault: Fault, fetch: Fetch) -> Delivery:
    """The bytes behind a certain place never come, however they are asked for."""
    whole = _whole_or_range(video, clip, fetch)
    limit = int(len(video) * fault.at)
    start = len(video) - len(whole.body) if whole.status == 206 else 0
    return replace(whole, stop_at=max(0, limit - start)) if whole.status in (200, 206) else whole


def _no_range(video: bytes, clip: Clip, fault: Fault, fetch: Fetch) -> Delivery:
    whole = replace(_whole_or_range(video, clip, replace(fetch, range=None)), headers={"etag": _etag(clip)})
    return replace(whole, stop_at=int(len(video) * fault.at)) if fault.applies(fetch.earlier) else whole


def _bad_range(video: bytes, clip: Clip, fault: Fault, fetch: Fetch) -> Delivery:
    """The first GET is cut; a range asked for while the fault lasts is answered with the file's beginning."""
    if fetch.earlier == 0:
        return _cut(video, clip, fault, fetch)
    if fetch.range is None or not fault.applies(fetch.earlier):
        return _whole_or_range(video, clip, fetch)
    span = parse_range(fetch.range, len(video)) or range(len(video))
    headers = {"etag": _etag(clip), "content-range": f"bytes 0-{len(span) - 1}/{len(video)}"}
    return Delivery(status=206, body=video[: len(span)], headers=headers)


def _slow(video: bytes, clip: Clip, fault: Fault, fetch: Fetch) -> Delivery:
    return replace(_whole_or_range(video, clip, fetch), takes_s=fault.s or 0.0)


def _failing(status: int, message: str) -> _Spoiler:
    def spoil(video: bytes, clip: Clip, fault: Fault, fetch: Fetch) -> Delivery:
        if not fault.applies(fetch.earlier):
            return _whole_or_range(video, clip, fetch)
        return Delivery(status=status, body=message.encode(), headers={"content-type": "text/plain"})

    return spoil


def _expired(video: bytes, clip: Clip, fault: Fault, fetch: Fetch) -> Delivery:
    is_over = fetch.age_s >= fault.s if fault.s is not None else fetch.earlier + 1 >= fault.gets
    if not is_over:
        return _whole_or_range(video, clip, fetch)
    body = b"<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>"
    return Delivery(status=403, body=body, headers={"content-type": "application/xml"})


def _altered(alter: Callable[[bytes], bytes], media_type: str = "video/mp4") -> _Spoiler:
    def spoil(video: bytes, clip: Clip, fault: Fault, fetch: Fetch) -> Delivery:
        whole = _whole_or_range(alter(video), clip, fetch)
        return replace(whole, headers={**whole.headers, "content-type": media_type})

    return spoil


def _flip(video: bytes) -> bytes:
    """The picture data inverted but for the first pictures' worth: it opens, and does not decode to its end."""
    start, size = next((offset, size) for name, offset, size in list_boxes(video) if name == b"mdat")
    first, last = start + size // 3, start + size - 16
    return video[:first] + bytes(byte ^ 0xFF for byte in video[first:last]) + video[last:]


def _truncate(video: bytes) -> bytes:
    start, size = next((offset, size) for name, offset, size in list_boxes(video) if name == b"mdat")
    return video[: start + size // 2]


def _drop_index(video: bytes) -> bytes:
    return b"".join(video[at : at + size] for name, at, size in list_boxes(video) if name != b"moov")


def _instead(text: str) -> Callable[[bytes], bytes]:
    return lambda _: text.encode()


def _bomb(video: bytes, clip: Clip, fault: Fault, fetch: Fetch) -> Delivery:
    return Delivery(status=200, body=_pack_nothing(BOMB_BYTES), headers={"content-encoding": "gzip"})


@functools.cache
def _pack_nothing(size: int) -> bytes:
    """A gzip file of `size` zeros: one block's worth is packed and repeated, only the check sum is walked through."""
    block = bytes(1 << 20)
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    packed = packer.compress(block) + packer.flush(zlib.Z_FULL_FLUSH)
    checksum = 0
    for _ in range(size // len(block)):
        checksum = zlib.crc32(block, checksum)
    head = bytes((0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 255))
    tail = checksum.to_bytes(4, "little") + (size % 2**32).to_bytes(4, "little")
    return head + packed * (size // len(block)) + zlib.compressobj(wbits=-zlib.MAX_WBITS).flush() + tail


def _loop(video: bytes, clip: Clip, fault: Fault, fetch: Fetch) -> Delivery:
    return Delivery(status=302, body=b"", headers={"location": f"{fetch.path}?hop={fetch.earlier + 1}"})


def _elsewhere(video: bytes, clip: Clip, fault: Fault, fetch: Fetch) -> Delivery:
    return Delivery(status=302, body=b"", headers={"location": fault.to or _ELSEWHERE})


_Spoiler = Callable[[bytes, Clip, Fault, Fetch], Delivery]

_SDP = "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=clip\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=video 9 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n"
_HLS = "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:2\n#EXTINF:2.0,\nneighbour.mp4\n#EXT-X-ENDLIST\n"

_SPOILERS: dict[str, _Spoiler] = {
    "video_404": _failing(404, "not found\n"),
    "video_expired": _expired,
    "video_500": _failing(500, "storage error\n"),
    "video_short": _short,
    "video_cut": _cut,
    "video_no_range": _no_range,
    "video_changed": _cut,
    "video_bad_range": _bad_range,
    "video_slow": _slow,
    "video_corrupt": _altered(_flip),
    "video_truncated": _altered(_truncate),
    "video_no_moov": _altered(_drop_index),
    "video_empty": _altered(_instead("")),
    "video_html": _altered(_instead("<!DOCTYPE html><title>Sign in</title>\n"), "text/html"),
    "video_ffconcat": _altered(_instead("ffconcat version 1.0\nfile 'neighbour.mp4'\n")),
    "video_sdp": _altered(_instead(_SDP)),
    "video_hls": _altered(_instead(_HLS)),
    "video_bomb": _bomb,
    "video_loop": _loop,
    "video_elsewhere": _elsewhere,
}
