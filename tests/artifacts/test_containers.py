"""What a file is by its bytes, and whether it is all there."""

from __future__ import annotations

import io
import random
import struct

import pytest
from reelsweep.tasks.artifacts.boxes import check_boxes
from reelsweep.tasks.artifacts.ebml import check_elements, doc_type
from reelsweep.tasks.artifacts.facts import InvalidVideo
from reelsweep.tasks.artifacts.signature import image_format, signature


def checked(content: bytes) -> None:
    """Walk the boxes of an MP4 in memory."""
    check_boxes(io.BytesIO(content), len(content))


def box(kind: bytes, content: bytes = b"") -> bytes:
    """One MP4 box."""
    return struct.pack(">I4s", 8 + len(content), kind) + content


def nested(*kinds: bytes, content: bytes) -> bytes:
    """Boxes inside boxes around a content."""
    for kind in reversed(kinds):
        content = box(kind, content)
    return content


TABLES = (b"moov", b"trak", b"mdia", b"minf", b"stbl")
ENDLESS_TABLE = nested(*TABLES, b"stco", content=struct.pack(">III", 0, 2, 8))
FAR_CHUNK = nested(*TABLES, b"stco", content=struct.pack(">III", 0, 1, 1000))
FAR_CHUNK_64 = nested(*TABLES, b"co64", content=struct.pack(">IIQ", 0, 1, 1 << 40))
LARGE_SAMPLES = nested(*TABLES, b"stsz", content=struct.pack(">III", 0, 100, 100))


@pytest.mark.parametrize(
    ("container", "muxer", "suffix", "demuxer"),
    [
        ("mp4", "mp4", ".mp4", "mov"),
        ("mov", "mov", ".mov", "mov"),
        ("webm", "webm", ".webm", "matroska"),
        ("matroska", "matroska", ".mkv", "matroska"),
    ],
)
def test_a_container_is_known_by_its_first_bytes(render, remux, container, muxer, suffix, demuxer) -> None:
    """Name, suffix and demuxer follow from the signature."""
    clip = render(codec="libvpx-vp9", container="webm", options=(("cpu-used", "8"), ("deadline", "realtime")))
    clip = clip if muxer == "webm" else remux(render(), muxer)
    found = signature(clip[:4096])
    assert found is not None
    assert (found.name, found.suffix, found.demuxer) == (container, suffix, demuxer)


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"\0\0\0\x18ftyp",
        b"\0\0\0\x18ftypavif\0\0\0\0",
        b"\0\0\0\x18ftypheic\0\0\0\0",
        b"ffconcat version 1.0\nfile secret.mp4\n",
        b"#EXTM3U\n#EXT-X-VERSION:3\n",
        b"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\n",
        b"<!DOCTYPE html><html>",
        b"RIFF\0\0\0\0AVI LIST",
        b"\x1a\x45\xdf\xa3\x84\x42\x82\x81x",
        b"\x1a\x45\xdf\xa3",
        b"\x1a\x45\xdf\xa3\xff\xff\xff",
    ],
)
def test_what_is_no_clip_has_no_signature(head: bytes) -> None:
    """Texts that libav would follow, pictures, other containers and stumps of headers are not opened."""
    assert signature(head) is None


@pytest.mark.parametrize(
    ("head", "suffix"),
    [
        (b"\x89PNG\r\n\x1a\n\0", ".png"),
        (b"\xff\xd8\xff\xe0", ".jpg"),
        (b"GIF89a", ".gif"),
        (b"RIFF\1\2\3\4WEBPVP8 ", ".webp"),
        (b"<svg xmlns=", None),
        (b"BM\0\0", None),
        (b"\x89PNG", None),
        (b"", None),
    ],
)
def test_an_image_is_known_by_its_first_bytes(head: bytes, suffix: str | None) -> None:
    """Four formats; a drawing that can hold scripts is none of them."""
    form = image_format(head)
    assert (form and form.suffix) == suffix


@pytest.mark.parametrize("muxing", [(), (("movflags", "frag_keyframe+empty_moov"),)])
def test_a_whole_mp4_passes(render, muxing) -> None:
    """Plain and fragmented files are whole as their muxers write them."""
    checked(render(muxing=muxing))


def test_no_proper_start_of_an_mp4_passes(render) -> None:
    """Wherever a file is cut, and the index was at its end or in its middle, the walk notices."""
    clip = render()
    for cut in random.Random(1).sample(range(len(clip)), 300):
        with pytest.raises(InvalidVideo):
            checked(clip[:cut])


def test_a_cut_mp4_with_its_index_in_front_is_noticed(render, index_first) -> None:
    """Media data that runs `to the end of the file` hides a cut from its box, not from the tables."""
    whole = index_first(render())
    checked(whole)
    with pytest.raises(InvalidVideo, match="the file has"):
        checked(whole[: whole.index(b"mdat") + 100])


@pytest.mark.parametrize(
    "tail", [b"\0" * 3, b"\0" * 8, b"\0" * 5000, box(b"free", b"x" * 9), box(b"uuid", bytes(16))]
)
def test_padding_after_the_last_box_is_no_fault(render, tail: bytes) -> None:
    """Zeros and unknown boxes at the end of a whole file change nothing."""
    checked(render() + tail)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (box(b"ftyp", b"isom"), "no moov"),
        (box(b"ftyp", b"isom") + box(b"moov"), "no mdat"),
        (box(b"moov", struct.pack(">I4s", 99, b"trak")) + box(b"mdat"), "needs"),
        (box(b"moov", struct.pack(">I4s", 0, b"trak")) + box(b"mdat"), "impossible size"),
        (struct.pack(">I4s", 7, b"moov"), "impossible size"),
        (struct.pack(">I4sQ", 1, b"moov", 15), "impossible size"),
        (struct.pack(">I4sQ", 1, b"mdat", 1 << 62), "needs"),
        (struct.pack(">I4s", 1, b"mdat"), "inside the head"),
        (box(b"moov") + box(b"mdat") + b"\0\0\0\1x", "inside the head"),
        (ENDLESS_TABLE + box(b"mdat"), "longer than its box"),
        (FAR_CHUNK + box(b"mdat"), "pictures start at byte 1000"),
        (FAR_CHUNK_64 + box(b"mdat"), "pictures start at byte"),
        (LARGE_SAMPLES + box(b"mdat"), "pictures need 10000 bytes"),
        (box(b"moov") * 200_001 + box(b"mdat"), "more boxes"),
    ],
)
def test_broken_boxes_are_named(content: bytes, reason: str) -> None:
    """Each way a box can lie about its size ends in a reason."""
    with pytest.raises(InvalidVideo, match=reason):
        checked(content)


def test_boxes_in_boxes_without_end_are_refused() -> None:
    """Depth is bounded, so a crafted file cannot exhaust the stack."""
    with pytest.raises(InvalidVideo, match="without end"):
        checked(nested(*[b"moov"] * 100, content=b"") + box(b"mdat"))


def test_the_doc_type_is_read(render, remux) -> None:
    """Matroska says what it is in its header."""
    assert doc_type(remux(render(), "matroska")[:4096]) == b"matroska"
    assert doc_type(render()[:4096]) is None


def test_a_whole_matroska_passes_and_no_start_of_it_does(render, remux) -> None:
    """A Segment of known size that runs past the end is a cut file."""
    clip = remux(render(), "matroska")
    check_elements(io.BytesIO(clip), len(clip))
    for cut in random.Random(1).sample(range(100, len(clip)), 100):
        with pytest.raises(InvalidVideo):
            check_elements(io.BytesIO(clip[:cut]), cut)


def test_a_live_matroska_of_unknown_size_passes(render, remux) -> None:
    """Streams written without seeking state no sizes, which is not a fault."""
    clip = remux(render(), "matroska", {"live": "1"})
    check_elements(io.BytesIO(clip), len(clip))


def test_an_element_larger_than_its_segment_is_noticed(render, remux) -> None:
    """Any element directly in the Segment that overruns it spoils the file."""
    clip = bytearray(remux(render(), "matroska"))
    cluster = clip.index(b"\x1f\x43\xb6\x75")
    width = 9 - clip[cluster + 4].bit_length()
    clip[cluster + 4 : cluster + 4 + width] = ((1 << 7 * width) | (1 << 7 * width - 2)).to_bytes(width, "big")
    with pytest.raises(InvalidVideo):
        check_elements(io.BytesIO(bytes(clip)), len(clip))
