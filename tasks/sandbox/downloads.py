"""What each fault of stage `download` makes of a file. Pure; see `faults.FAULTS` for what they mean."""

from __future__ import annotations

import functools
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace

from reelsweep.tasks.sandbox.boxes import list_boxes
from reelsweep.tasks.sandbox.clip import Clip, Ticket
from reelsweep.tasks.sandbox.delivery import Delivery, Fetch, deliver, parse_range, write_etag
from reelsweep.tasks.sandbox.faults import Fault

BOMB_BYTES = 1 << 30
_ELSEWHERE = "http://169.254.169.254/latest/meta-data/"
_OTHER_EPOCH = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Spoilt:
    """One GET of a file with which something shall go wrong."""

    video: bytes
    clip: Clip
    fault: Fault
    fetch: Fetch

    @property
    def happens(self) -> bool:
        """Whether it still happens at this GET."""
        return self.fault.applies(self.fetch.earlier)

    def properly(self) -> Delivery:
        """The answer as it should be."""
        return deliver(self.video, self.clip, self.fetch)


def choose_clip(ticket: Ticket, fetch: Fetch) -> Clip:
    """The clip to serve; where a fault says that the file changes, another one from then on."""
    fault = ticket.fault
    if fault is None or fault.fault != "video_changed" or fault.applies(fetch.earlier):
        return ticket.clip
    return ticket.clip.model_copy(update={"epoch": ticket.clip.epoch + _OTHER_EPOCH})


def deliver_spoilt(spoilt: Spoilt) -> Delivery:
    """The answer with the fault in it."""
    return _SPOILERS[spoilt.fault.fault](spoilt)


def _cut(spoilt: Spoilt) -> Delivery:
    whole = spoilt.properly()
    if not spoilt.happens:
        return whole
    return replace(whole, stop_at=max(1, int(len(whole.body) * spoilt.fault.at)))


def _short(spoilt: Spoilt) -> Delivery:
    """The bytes behind a certain place never come, however they are asked for."""
    whole, size = spoilt.properly(), len(spoilt.video)
    if whole.status not in (200, 206):
        return whole
    span = parse_range(spoilt.fetch.range or "", size) if whole.status == 206 else None
    start = span.start if span else 0
    limit = max(0, int(size * spoilt.fault.at) - start)
    return whole if limit >= len(whole.body) else replace(whole, stop_at=limit)


def _no_range(spoilt: Spoilt) -> Delivery:
    video = spoilt.video
    whole = Delivery(status=200, body=video, headers={"etag": write_etag(spoilt.clip)})
    return replace(whole, stop_at=int(len(video) * spoilt.fault.at)) if spoilt.happens else whole


def _bad_range(spoilt: Spoilt) -> Delivery:
    """The first GET is cut; a range asked for while the fault lasts is answered with the file's beginning."""
    if spoilt.fetch.range is None or not spoilt.happens:
        return _cut(spoilt) if spoilt.fetch.earlier == 0 else spoilt.properly()
    size = len(spoilt.video)
    length = len(parse_range(spoilt.fetch.range, size) or range(size))
    headers = {"etag": write_etag(spoilt.clip), "content-range": f"bytes 0-{length - 1}/{size}"}
    return Delivery(status=206, body=spoilt.video[:length], headers=headers)


def _slow(spoilt: Spoilt) -> Delivery:
    return replace(spoilt.properly(), takes_s=spoilt.fault.s or 0.0)


def _failing(status: int, message: str) -> _Spoiler:
    def spoil(spoilt: Spoilt) -> Delivery:
        if not spoilt.happens:
            return spoilt.properly()
        return Delivery(status=status, body=message.encode(), headers={"content-type": "text/plain"})

    return spoil


def _expired(spoilt: Spoilt) -> Delivery:
    fault, fetch = spoilt.fault, spoilt.fetch
    is_over = fetch.age_s >= fault.s if fault.s is not None else fetch.earlier + 1 >= fault.gets
    if not is_over:
        return spoilt.properly()
    body = b"<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>"
    return Delivery(status=403, body=body, headers={"content-type": "application/xml"})


def _altered(alter: Callable[[bytes], bytes], media_type: str = "video/mp4") -> _Spoiler:
    def spoil(spoilt: Spoilt) -> Delivery:
        whole = deliver(alter(spoilt.video), spoilt.clip, spoilt.fetch)
        return replace(whole, headers={**whole.headers, "content-type": media_type})

    return spoil


def _find_data(video: bytes) -> tuple[int, int]:
    """Where the picture data is, and how long."""
    return next((offset, size) for name, offset, size in list_boxes(video) if name == b"mdat")


def _flip(video: bytes) -> bytes:
    """The last two thirds of the picture data inverted: it opens, and does not decode to its end."""
    start, size = _find_data(video)
    first, last = start + size // 3, start + size
    return video[:first] + bytes(byte ^ 0xFF for byte in video[first:last]) + video[last:]


def _truncate(video: bytes) -> bytes:
    start, size = _find_data(video)
    return video[: start + size // 2]


def _drop_index(video: bytes) -> bytes:
    return b"".join(video[at : at + size] for name, at, size in list_boxes(video) if name != b"moov")


def _instead(text: str) -> Callable[[bytes], bytes]:
    return lambda _: text.encode()


def _bomb(_: Spoilt) -> Delivery:
    return Delivery(status=200, body=_pack_zeros(BOMB_BYTES), headers={"content-encoding": "gzip"})


@functools.cache
def _pack_zeros(size: int) -> bytes:
    """A gzip file of `size` zeros: one block is packed and repeated, only the check sum walks through all."""
    block = bytes(1 << 20)
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    packed = packer.compress(block) + packer.flush(zlib.Z_FULL_FLUSH)
    checksum = 0
    for _ in range(size // len(block)):
        checksum = zlib.crc32(block, checksum)
    head = bytes((0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 255))
    tail = checksum.to_bytes(4, "little") + (size % 2**32).to_bytes(4, "little")
    return head + packed * (size // len(block)) + zlib.compressobj(wbits=-zlib.MAX_WBITS).flush() + tail


def _loop(spoilt: Spoilt) -> Delivery:
    place = f"{spoilt.fetch.path}?hop={spoilt.fetch.earlier + 1}"
    return Delivery(status=302, body=b"", headers={"location": place})


def _elsewhere(spoilt: Spoilt) -> Delivery:
    return Delivery(status=302, body=b"", headers={"location": spoilt.fault.to or _ELSEWHERE})


_Spoiler = Callable[[Spoilt], Delivery]

_SDP = """v=0
o=- 0 0 IN IP4 127.0.0.1
s=clip
c=IN IP4 127.0.0.1
t=0 0
m=video 9 RTP/AVP 96
a=rtpmap:96 H264/90000
"""
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
