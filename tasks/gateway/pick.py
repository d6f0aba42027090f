"""Which address in an answer is the video.

In order: JSON fields, `<source src>`, `<video src>`, the text of `<video>`, a link whose label says
play, view or download, then the last bare address. Never a picture, a status page, a preview, or an
address that was in the request. Used by `judge` at the end of a body. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import IntEnum

from reelsweep.tasks.gateway.echo import Answer
from reelsweep.tasks.gateway.links import cannot_be_video, is_page, is_video_file, last_segment, tidy_url
from reelsweep.tasks.gateway.values import BREAK

_SRC = r"""[^<>]*?\ssrc\s*=\s*(?:"([^"<>]+)"|'([^'<>]+)'|([^\s"'<>]+))"""
_SOURCE = re.compile(rf"<source\b{_SRC}", re.IGNORECASE)
_VIDEO_SRC = re.compile(rf"<video\b{_SRC}", re.IGNORECASE)
_VIDEO_TEXT = re.compile(r"<video\b[^<>]*>\s*((?:https?:/)?/[^\s<>]+)\s*</video", re.IGNORECASE)
_URL = r"((?:https?:/)?/(?:[^\s()<>]|\([^\s()<>]*\))+)"
_LINK = re.compile(
    rf"(!?)\[((?:!\[[^\[\]\n]*\]\([^()\s]*\)|[^\[\]\n]){{0,300}})\]\(\s*{_URL}(?:\s+\"[^\"\n]*\")?\s*\)"
)
_IMAGE = re.compile(r"!\[[^\[\]\n]*\]\([^()\s]*\)")
_BARE = re.compile(r"(?i:https?)://[^\s<>\"'`|\\^{}\u0080-\U0010ffff]+")
_PATH = re.compile(
    r"^[ \t>*]*(/(?:[\w.~%+-]+/)+[\w.~%+-]*(?:\?[^\s<>\"'`]*)?)[ \t*]*$", re.MULTILINE | re.ASCII
)
_QUOTED = re.compile(r'"(?!https?://[^"\s]*")[^"\n]{0,4000}"')

_PLAY = re.compile(
    r"播放|观看|点击|查看|下载|成片|视频链接|play|watch|view|download|click|here|video|clip|result",
    re.IGNORECASE,
)
_DOWNLOAD = re.compile(r"下载|download", re.IGNORECASE)
_NOT_PLAY = re.compile(
    r"预览|原始|数据|进度|封面|缩略|文档|帮助|状态|日志|preview|raw|data\b|status|progress|cover|thumb|poster|docs?\b"
    r"|help|logs?\b|source|prompt|terms|policy",
    re.IGNORECASE,
)
_PREVIEW = re.compile(r"预览|preview|watermark", re.IGNORECASE)
_FILE_PATH = re.compile(r"file|video|media|download|tmp|static|output|cache|content|result", re.IGNORECASE)


class Strength(IntEnum):
    """What speaks for an address: nothing but its place, a link's label, a video tag, a JSON field."""

    BARE = 0
    LABEL = 1
    TAG = 2
    FIELD = 3


@dataclass(frozen=True, slots=True)
class Pick:
    """An address and where in the content it stands."""

    url: str
    position: int
    strength: Strength

    @property
    def is_sure(self) -> bool:
        """Whether it is a video even where a failure was told too."""
        return self.strength >= Strength.TAG or is_video_file(self.url)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What an address must not be, and whether one that touches the end of the text is whole."""

    task_id: str | None = None
    status_url: str | None = None
    asked: frozenset[str] = field(default_factory=frozenset[str])
    is_ended: bool = True
    last_piece: str = ""

    def allow(self, url: str) -> bool:
        """Whether the address may be a result at all."""
        if url == self.status_url or url in self.asked or cannot_be_video(url):
            return False
        return not (self.task_id and last_segment(url) == self.task_id)


def pick_video(answer: Answer, bounds: Bounds) -> Pick | None:
    """The video among everything the answer names, or None."""
    return _structured(answer, bounds) or pick_labelled(answer.text, bounds) or _bare(answer.text, bounds)


def pick_labelled(text: str, bounds: Bounds) -> Pick | None:
    """The video that a tag or a link's label names."""
    ways: tuple[tuple[Callable[[str], Iterator[tuple[str, int]]], Strength], ...] = (
        (_matches(_SOURCE), Strength.TAG),
        (_matches(_VIDEO_SRC), Strength.TAG),
        (_matches(_VIDEO_TEXT), Strength.TAG),
        (_links, Strength.LABEL),
    )
    for way, strength in ways:
        found = [
            Pick(url, at, strength) for raw, at in way(text) if (url := tidy_url(raw)) and bounds.allow(url)
        ]
        if found:
            return found[-1]
    return None


def pick_preview(text: str, bounds: Bounds) -> str | None:
    """What a link labels a preview and is no picture or page."""
    links = [match[3] for match in _LINK.finditer(text) if not match[1] and _PREVIEW.search(match[2])]
    return next((url for raw in links if (url := tidy_url(raw)) and bounds.allow(url)), None)


def pick_alone(text: str, bounds: Bounds) -> Pick | None:
    """The last address that has a line for itself."""
    picks = [pick for line in re.finditer(r"[^\n]+", text) if (pick := _whole_line(line, bounds))]
    return picks[-1] if picks else None


def urls_in(text: str) -> frozenset[str]:
    """Every address in a request, for `Bounds.asked`."""
    return frozenset(url for match in _BARE.finditer(text.replace("\\/", "/")) if (url := tidy_url(match[0])))


def _structured(answer: Answer, bounds: Bounds) -> Pick | None:
    for position, found in reversed(answer.objects):
        for url in found.videos:
            if bounds.allow(url):
                return Pick(url, position, Strength.FIELD)
    return None


def _matches(pattern: re.Pattern[str]) -> Callable[[str], Iterator[tuple[str, int]]]:
    def find(text: str) -> Iterator[tuple[str, int]]:
        for match in pattern.finditer(text):
            yield next(group for group in match.groups() if group), match.start()

    return find


def _links(text: str) -> Iterator[tuple[str, int]]:
    """Links by label: those that download come before those that play, for the last one counts."""
    links = [(_IMAGE.sub("", match[2]), match) for match in _LINK.finditer(text) if not match[1]]
    named = [
        (label, match)
        for label, match in links
        if _PLAY.search(label) and not _NOT_PLAY.search(label) and not label.startswith("http")
    ]
    for _, match in sorted(named, key=lambda link: not _DOWNLOAD.search(link[0])):
        yield match[3], match.start()


def _bare(text: str, bounds: Bounds) -> Pick | None:
    text = _LINK.sub(_without_refused, _QUOTED.sub(lambda match: " " * len(match[0]), text))
    picks = [
        Pick(url, match.start(), Strength.BARE)
        for match in _BARE.finditer(text)
        if (url := tidy_url(match[0]))
        and bounds.allow(url)
        and not is_page(url)
        and _is_whole(url, match.end(), text, bounds)
    ]
    return picks[-1] if picks else _path(text, bounds)


def _without_refused(link: re.Match[str]) -> str:
    """A link to a picture, a preview or a page is no bare address either."""
    if link[1] or _NOT_PLAY.search(_IMAGE.sub("", link[2])):
        return " " * len(link[0])
    return _IMAGE.sub(lambda image: " " * len(image[0]), link[0])


def _path(text: str, bounds: Bounds) -> Pick | None:
    """A path from the gateway's root, alone on its line."""
    picks = [
        Pick(url, match.start(1), Strength.BARE)
        for match in _PATH.finditer(text)
        if (url := tidy_url(match[1]))
        and (_FILE_PATH.search(url) or is_video_file(url))
        and bounds.allow(url)
        and _is_whole(url, match.end(1), text, bounds)
    ]
    return picks[-1] if picks else None


def _whole_line(line: re.Match[str], bounds: Bounds) -> Pick | None:
    url = tidy_url(line[0].strip(" \t>*"))
    if not url or not url.startswith("http") or is_page(url) or not bounds.allow(url):
        return None
    return Pick(url, line.start(), Strength.BARE)


def _is_whole(url: str, end: int, text: str, bounds: Bounds) -> bool:
    """An address at the very end of a cut text, or before something unreadable, may lack its own end."""
    if text[end : end + 1] == BREAK:
        return False
    if bounds.is_ended or end < len(text):
        return True
    return (is_video_file(url) and "?" not in url) or bounds.last_piece.strip() == url
