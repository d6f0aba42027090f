"""Bytes to events: one JSON object each, as soon as it is complete.

The second step of reading a body, after `lines`, before `fold`. What is server-sent events goes
through the decoder of httpx-sse; what is not (plain, glued, pretty-printed or bare JSON) through
`salvage`. Nothing here raises, whatever the bytes are. Pure.

A `data:` line that is a whole object is an event at once: several gateways forget the blank line.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from httpx_sse._decoders import SSEDecoder  # the only public door to it wants an httpx.Response
from reelsweep.prompts.request import Json
from reelsweep.tasks.gateway.lines import LINE_LIMIT_BYTES, Line, LineSplitter
from reelsweep.tasks.gateway.salvage import split_values
from reelsweep.tasks.gateway.values import JsonObject, as_objects, parse_json

KEPT_CHARS = 64 * 1024
"""How much is kept of what could not be read, and of text that is no JSON."""

_FIELD = re.compile(r"(?:data|event|id|retry)(?::|$)|:")


@dataclass(frozen=True, slots=True)
class Event:
    """One JSON object of a body. `name` is the SSE event's; `bare` when it did not come as SSE.

    The empty ones stand where an event could not be read (`broken`) and where the terminator was (`done`).
    """

    value: JsonObject
    name: str = ""
    bare: bool = False
    kind: Literal["object", "broken", "done"] = "object"


class Decoder:
    """Feed bytes, get events.

    done            the `[DONE]` terminator was seen
    num_malformed   pieces that began like JSON and are not
    num_cut_lines   lines beyond `LINE_LIMIT_BYTES`, cut
    fragments       what those held, bounded
    junk            text that is neither SSE nor JSON (a web page, a proxy's sentence), bounded
    """

    def __init__(self) -> None:
        self.done = False
        self.num_malformed = 0
        self.num_cut_lines = 0
        self.fragments: list[str] = []
        self.junk = ""
        self._lines = LineSplitter()
        self._sse = SSEDecoder()
        self._open_size = 0
        self._bare: list[str] = []
        self._bare_size = 0
        self._events: list[Event] = []
        self._is_first = True

    def feed(self, chunk: bytes) -> list[Event]:
        """The events that this chunk completes."""
        return self._read(self._lines.feed(chunk))

    def end(self) -> list[Event]:
        """The events that the end of the body completes."""
        events = self._read(self._lines.end())
        self._dispatch()
        self._close_bare()
        events += self._events
        self._events = []
        return events

    def _read(self, lines: list[Line]) -> list[Event]:
        for line in lines:
            self._line(line)
        events, self._events = self._events, []
        return events

    def _line(self, line: Line) -> None:
        text = line.data.decode("utf-8", "replace")
        if self._is_first:
            self._is_first, text = False, text.removeprefix("\ufeff")
        if line.cut:
            self.num_cut_lines += 1
            self._keep_fragment(text)
        elif not text or text.isspace():
            self._dispatch()
        elif _FIELD.match(text):
            self._field(text)
        elif not self._bare and _FIELD.match(text.lstrip()):
            self._field(text.lstrip())
        else:
            self._bare_line(text)

    def _field(self, text: str) -> None:
        self._close_bare()
        if not text.startswith("data"):
            self._sse.decode(text)
            return
        payload = text[5:].strip()
        if payload.startswith("[DONE]"):
            self._dispatch()
            self._note_done()
            if "{" in payload:
                self._salvage(payload[6:], "")
        elif payload.startswith("{") and self._is_whole(text, payload):
            return
        else:
            self._open(text)

    def _is_whole(self, text: str, payload: str) -> bool:
        """Take a line that is an object by itself; inside an open event only what is surely an event."""
        value = parse_json(payload)
        if not isinstance(value, dict):
            return False
        if self._open_size:
            if not _is_event(payload, value):
                return False
            self._dispatch()
        self._sse.decode(text)
        event = self._sse.decode("")
        self._events.append(Event(value, event.event if event else ""))
        return True

    def _open(self, text: str) -> None:
        """A line of an event that goes on until a blank line."""
        if self._open_size + len(text) > LINE_LIMIT_BYTES:
            self._dispatch()
        self._open_size += len(text) + 1
        self._sse.decode(text)

    def _dispatch(self) -> None:
        event = self._sse.decode("")
        self._open_size = 0
        if event is None or not event.data.strip():
            return
        value = parse_json(event.data)
        if isinstance(value, dict | list):
            self._events += [Event(item, event.event) for item in as_objects(value)]
        elif event.event == "error" and "{" not in event.data:
            self._events.append(Event({"error": {"message": event.data}}, event.event))
        else:
            self._salvage(event.data, event.event)

    def _bare_line(self, text: str) -> None:
        """A line that is no SSE field: JSON by itself, a part of a JSON text, or junk."""
        if self._open_size:
            if not _is_event(text):
                self._open(f"data: {text}")
                return
            self._dispatch()
        if self._bare:
            self._bare.append(text)
            self._bare_size += len(text) + 1
            if self._bare_size > LINE_LIMIT_BYTES:
                self._close_bare()
            return
        if text.lstrip()[0] not in "{[":
            if '{"' in text and text.lstrip()[0] != "<":
                self._salvage(text, "")
            else:
                self._junk(text)
            return
        values = split_values(text)
        if values.objects and len(values.objects) == len(values.pieces):
            self._take_bare(values.objects)
            if values.done:
                self._note_done()
        else:
            self._bare, self._bare_size = [text], len(text)

    def _close_bare(self) -> None:
        if not self._bare:
            return
        text = "\n".join(self._bare)
        self._bare, self._bare_size = [], 0
        value = parse_json(text)
        if isinstance(value, dict | list):
            self._take_bare(as_objects(value))
        else:
            self._salvage(text, "", bare=True)

    def _take_bare(self, objects: list[JsonObject]) -> None:
        self._events += [Event(value, bare=True) for value in objects]

    def _salvage(self, text: str, name: str, *, bare: bool = False) -> None:
        values = split_values(text)
        for piece in values.pieces:
            if not isinstance(piece, str):
                self._events.append(Event(piece, name, bare))
            elif piece.lstrip().startswith(("{", "[")):
                self.num_malformed += 1
                self._keep_fragment(piece)
            else:
                self._junk(piece)
        if values.done:
            self._note_done()

    def _note_done(self) -> None:
        self.done = True
        self._events.append(Event({}, kind="done"))

    def _keep_fragment(self, text: str) -> None:
        room = KEPT_CHARS - sum(map(len, self.fragments))
        if room > 0:
            self.fragments.append(text[:room])
        self._events.append(Event({}, kind="broken"))

    def _junk(self, text: str) -> None:
        room = KEPT_CHARS - len(self.junk)
        if room > 0:
            self.junk += text[:room] + "\n"


def _is_event(text: str, value: Json | ValueError | None = None) -> bool:
    """Whether a line is surely an event of its own, and no line of a pretty-printed one."""
    value = parse_json(text.strip()) if value is None else value
    return isinstance(value, dict) and ("choices" in value or "error" in value)
