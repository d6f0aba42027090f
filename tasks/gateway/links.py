"""Addresses as gateways write them: escapes undone, punctuation cut off, and what they cannot be.

Used by `scan`, `structure` and `pick`. No gateway is known here: only paths, suffixes and labels speak. Pure.
"""

from __future__ import annotations

import re
from urllib.parse import SplitResult, urljoin, urlsplit

from reelsweep.tasks.gateway.values import BREAK

MAX_URL_CHARS = 8192

_ENTITIES = {
    "&amp;": "&",
    "&#38;": "&",
    "&#x26;": "&",
    "&quot;": '"',
    "&#39;": "'",
    "\\/": "/",
    "\\u0026": "&",
}
_ENTITY = re.compile("|".join(re.escape(entity) for entity in _ENTITIES))
_NEVER_IN_URL = re.compile(rf"[\s\x00-\x1f{BREAK}]")
_TRAILING = ".,;:!?*~|，。；：！？、"
_PAIRS = {")": "(", "]": "[", "}": "{"}
_VIDEO_SUFFIX = re.compile(r"\.(?:mp4|m4v|mov|webm|mkv|avi)$", re.IGNORECASE)
_OTHER_SUFFIX = re.compile(
    r"\.(?:webp|jpe?g|png|gif|svg|bmp|avif|heic|ico|json|html?|txt|md|xml|css|js|srt|vtt|mp3|wav|m3u8)$",
    re.IGNORECASE,
)
_STATUS_PATH = re.compile(r"/(?:web|source|status|tasks?|jobs?|query|fetch|poll)/[^/.]+/?$", re.IGNORECASE)
_PAGE_HOST = re.compile(r"(?:help|docs?|support|status|forum)\.", re.IGNORECASE)


def tidy_url(text: str) -> str | None:
    """An absolute http(s) address or a path from the root, or None for anything else."""
    if len(text) > MAX_URL_CHARS:
        return None
    url = _ENTITY.sub(lambda match: _ENTITIES[match[0]], text.strip())
    url = _trim(url.partition("\\")[0])
    if url.startswith("//"):
        url = f"https:{url}"
    if len(url) < 2 or _NEVER_IN_URL.search(url):
        return None
    if url.startswith("/"):
        return url
    parts = split_url(url)
    return url if parts and parts.scheme.lower() in ("http", "https") and parts.hostname else None


def split_url(url: str) -> SplitResult | None:
    """The parts of an address, or None where it has none."""
    try:
        parts = urlsplit(url)
        _ = parts.hostname, parts.port
    except ValueError:
        return None
    return parts


def join_url(base_url: str | None, url: str) -> str:
    """A path from the root as an address at the gateway, where its base is known."""
    if base_url is None or not url.startswith("/"):
        return url
    try:
        return urljoin(base_url, url)
    except ValueError:
        return url


def is_video_file(url: str) -> bool:
    """Whether the path ends like a video file."""
    parts = split_url(url)
    return parts is not None and bool(_VIDEO_SUFFIX.search(parts.path))


def cannot_be_video(url: str) -> bool:
    """Whether the path ends like something else: a picture, a text, a page about a task."""
    parts = split_url(url)
    return parts is None or bool(_OTHER_SUFFIX.search(parts.path) or _STATUS_PATH.search(parts.path))


def is_page(url: str) -> bool:
    """Whether a bare address rather leads to a web site than to a file."""
    parts = split_url(url)
    if parts is None or _PAGE_HOST.match(parts.hostname or ""):
        return True
    return not parts.path.strip("/") and not is_video_file(url)


def last_segment(url: str) -> str:
    """The last part of the path, empty where there is none."""
    parts = split_url(url)
    return parts.path.rstrip("/").rpartition("/")[2] if parts else ""


def _trim(url: str) -> str:
    """Cut off punctuation of the sentence around; a bracket only where it was opened outside."""
    while url:
        last = url[-1]
        opener = _PAIRS.get(last)
        if last in _TRAILING or (opener and url.count(opener) < url.count(last)):
            url = url[:-1]
        else:
            break
    return url
