"""Bodies fit to be kept or shown: no key, no token, no signed query, bounded.

Used before anything of a body is written to a file or printed. Pure. A scrubbed body is still read
as the same dialect; an answer that came one character at a time is joined, where that hides a secret.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from urllib.parse import quote

from reelsweep.tasks.gateway.decode import Decoder, Event
from reelsweep.tasks.gateway.values import JsonObject, as_int, as_object, as_objects, as_text, whole_text

TRANSCRIPT_BYTES = 1024 * 1024

_GONE = "REMOVED"
_MIN_KEY_CHARS = 4
_CHANNELS = ("content", "reasoning_content", "reasoning", "refusal", "text")
_BEARER = re.compile(r"(?ai)\b(bearer|basic)(\s+|%20|\+)[A-Za-z0-9._~+/=-]{8,}")
_KEY = re.compile(r"(?a)\b(?:sk|pk|rk|key|ak)-[A-Za-z0-9_-]{8,}")
_JWT = re.compile(r"(?a)\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*")
_SIGNED = re.compile(
    r"(?ai)((?:[?&;]|\\u0026|&amp;|%26)(?:x-(?:amz|goog|oss|cos|tos)-[a-z-]+|(?:[a-z]*_)?sig(?:nature)?|hmac|"
    r"[a-z_-]*token|(?:[a-z]*_?)?(?:api|auth|access)?_?key(?:[_-]?(?:pair[_-]?)?id)?|googleaccessid|awsaccesskeyid|"
    r"ossaccesskeyid|policy|credential|password|secret|auth|ticket|hdnts|hash|md5|st|se|sp|sr|sv|skoid|sktid)=)"
    r"[^&\"'<>\s\\)\]`#]+"
)
_USERINFO = re.compile(r"(?a)(https?:(?:\\?/){2})[^/\s\"'@<>\\]{1,200}@")


def scrub(body: bytes, keys: Sequence[str] = (), *, limit_bytes: int = TRANSCRIPT_BYTES) -> bytes:
    """The body without the keys and whatever looks like one; its middle is left out beyond the limit."""
    cleaned = _scrub_bytes(body, keys)
    if _tells_when_joined(cleaned, keys):
        cleaned = _scrub_bytes(_joined(cleaned, keys), keys)
    return _bounded(cleaned, limit_bytes)


def scrub_text(text: str, keys: Sequence[str] = ()) -> str:
    """A text without the keys, bearer tokens, and the values that sign an address."""
    for key in sorted(filter(lambda key: len(key) >= _MIN_KEY_CHARS, keys), key=len, reverse=True):
        for spelling in {key, json.dumps(key)[1:-1], quote(key, safe="")}:
            text = text.replace(spelling, _GONE)
    text = _BEARER.sub(rf"\1\2{_GONE}", text)
    text = _JWT.sub(_GONE, _KEY.sub(_GONE, text))
    return _USERINFO.sub(r"\1", _SIGNED.sub(rf"\1{_GONE}", text))


def _scrub_bytes(body: bytes, keys: Sequence[str]) -> bytes:
    """Byte for byte, whatever the encoding: the patterns are ASCII."""
    raw_keys = [key.encode().decode("latin-1") for key in keys]
    return scrub_text(body.decode("latin-1"), [*keys, *raw_keys]).encode("latin-1", "ignore")


def _tells_when_joined(body: bytes, keys: Sequence[str]) -> bool:
    """Whether the texts, put together from their pieces, still hold a secret."""
    texts: dict[tuple[int, str], list[str]] = {}
    for event in _events(body):
        for delta, choice_idx, channel in _pieces(event.value):
            texts.setdefault((choice_idx, channel), []).append(as_text(delta[channel]))
    whole = ["".join(pieces) for pieces in texts.values()]
    return any(scrub_text(text, keys) != text for text in whole)


def _joined(body: bytes, keys: Sequence[str]) -> bytes:
    """The same stream with each text, scrubbed, in the last event that carries a piece of it."""
    events = _events(body)
    pieces: dict[tuple[int, str], list[str]] = {}
    last: dict[tuple[int, str], JsonObject] = {}
    for event in events:
        for delta, choice_idx, channel in _pieces(event.value):
            pieces.setdefault((choice_idx, channel), []).append(as_text(delta[channel]))
            last[choice_idx, channel] = delta
            delta[channel] = ""
    for (choice_idx, channel), delta in last.items():
        delta[channel] = scrub_text(whole_text("".join(pieces[choice_idx, channel])), keys)
    lines = [f"data: {json.dumps(event.value, ensure_ascii=False)}\n\n" for event in events]
    if b"[DONE]" in body:
        lines.append("data: [DONE]\n\n")
    return "".join(lines).encode("utf-8", "replace")


def _events(body: bytes) -> list[Event]:
    decoder = Decoder()
    return [event for event in (*decoder.feed(body), *decoder.end()) if event.kind == "object"]


def _pieces(value: JsonObject) -> Iterator[tuple[JsonObject, int, str]]:
    """Every place of an event that holds a piece of a text: its object, its choice, its field."""
    for choice in as_objects(value.get("choices")):
        delta = as_object(choice.get("delta")) or as_object(choice.get("message"))
        for channel in _CHANNELS:
            if isinstance(delta.get(channel), str):
                yield delta, as_int(choice.get("index")) or 0, channel


def _bounded(body: bytes, limit_bytes: int) -> bytes:
    """Three quarters of the limit from the head, one from the tail, cut at line ends."""
    if len(body) <= limit_bytes:
        return body
    head = body[: limit_bytes * 3 // 4]
    tail = body[-(limit_bytes // 4) :]
    head = head[: head.rfind(b"\n") + 1] or head
    tail = tail[tail.find(b"\n") + 1 :]
    gap = f"\n: {len(body) - len(head) - len(tail)} bytes left out\n\n".encode()
    return head + gap + tail
