"""Tool calls that are streamed in pieces, put together by their index.

Used by `fold`. Pure.
"""

from __future__ import annotations

import json

from reelsweep.prompts.request import Json
from reelsweep.tasks.gateway.texts import Allowance, Text
from reelsweep.tasks.gateway.values import as_int, as_object, as_objects, as_text

_MAX_CALLS = 128


class ToolCalls:
    """Pieces of `tool_calls` in, the whole calls out."""

    def __init__(self, allowance: Allowance) -> None:
        self._allowance = allowance
        self._calls: dict[int, dict[str, str]] = {}
        self._arguments: dict[int, Text] = {}

    def add(self, value: Json) -> None:
        """Take the `tool_calls` of one delta, or of a message, which has no indexes."""
        for position, piece in enumerate(as_objects(value)):
            index = as_int(piece.get("index"))
            index = position if index is None else index
            if index in self._calls or len(self._calls) < _MAX_CALLS:
                self._add(index, piece)

    def _add(self, index: int, piece: dict[str, Json]) -> None:
        call = self._calls.setdefault(index, {"id": "", "name": ""})
        function = as_object(piece.get("function"))
        call["id"] = call["id"] or as_text(piece.get("id"))[:200]
        call["name"] = call["name"] or as_text(function.get("name"))[:200]
        arguments = self._arguments.setdefault(index, Text(self._allowance))
        arguments.append(as_text(function.get("arguments")))

    def as_json(self) -> str | None:
        """A JSON array in the order of the indexes, or None when there was no call."""
        if not self._calls:
            return None
        calls = [
            {
                "id": call["id"],
                "type": "function",
                "function": {"name": call["name"], "arguments": str(self._arguments[index])},
            }
            for index, call in sorted(self._calls.items())
        ]
        return json.dumps(calls, ensure_ascii=False)
