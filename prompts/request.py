"""The canonical request: what is asked of a gateway, before any profile respells it.

After `plan`, before the ledger. Pure: no clock, no environment, no I/O.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Scalar = str | int | float | bool | None
Json = Scalar | list["Json"] | dict[str, "Json"]

Output = Literal["video", "text"]
"""What a row must yield."""

IMAGE_TAG = "reelsweep-image:"
"""Stands before the sha256 of an image, in place of its data URL."""
TURN_TAG = "reelsweep-turn:"
"""Stands before the parent's request_fingerprint, in place of its finished turn."""
URL_QUERY = "reelsweep-url-query"
"""Payload field with the query parameters a profile adds: part of what is asked, never of the body."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationSpec:
    """One cell of the plan: a table row, its parameters, one seed, one sample.

    `payload` is the Chat Completions body without `stream`; images stand in it as
    `reelsweep-image:<sha256>` in place of the data URL, and a followed turn as the assistant
    message `{"role": "assistant", "content": "reelsweep-turn:<parent request_fingerprint>"}`. What a profile
    adds to the body is in it too; what it adds to the URL is its field `reelsweep-url-query`.
    """

    ordinal: int
    """Position in the plan, from 0."""
    prompt_id: str
    row_idx: int
    """0-based data row of the table."""
    sample_idx: int
    output: Output
    model: str
    payload: Mapping[str, Json]
    request_fingerprint: str
    """64 hex digits, see `prompts.fingerprint`."""
    prompt: str | None
    """The rendered text of the last user message, for people."""
    seed: int | None = None
    params: Mapping[str, Scalar] = field(default_factory=dict[str, Scalar])
    """Scalar parameters and axes, the manifest's `param_<name>`."""
    meta: Mapping[str, str | None] = field(default_factory=dict[str, "str | None"])
    """Carried columns, the manifest's `meta_<name>`."""
    images: tuple[str, ...] = ()
    """sha256 of every image in `payload`, in order; the bytes are in OUT/inputs."""
    follows: str | None = None
    """`request_fingerprint` of the generation whose finished turn this one edits."""

    @property
    def n(self) -> int:
        """Choices asked for."""
        n = self.payload.get("n")
        return n if isinstance(n, int) else 1


_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def payload_json(payload: Mapping[str, Json]) -> str:
    """The payload as JSON text that keeps every order and every digit: `json.loads` gives it back."""
    return value_json(dict(payload))


def value_json(value: Json) -> str:
    """Any value as compact JSON text, in its own order. ValueError for NaN and infinities."""
    return _ENCODER.encode(value)


def url_query(payload: Mapping[str, Json]) -> dict[str, str]:
    """The query parameters of the URL the payload is POSTed to."""
    query = payload.get(URL_QUERY)
    return {name: str(value) for name, value in query.items()} if isinstance(query, dict) else {}


def wire_body(
    payload: Mapping[str, Json],
    *,
    images: Mapping[str, str] | None = None,
    turns: Mapping[str, str] | None = None,
) -> bytes:
    """The bytes to POST: the payload with `stream: true`, UTF-8, always the same for the same arguments.

    `images` gives the data URL of each sha256, `turns` the finished text of each parent's fingerprint;
    a placeholder that is in neither raises KeyError, before anything is sent.
    """
    body = {name: value for name, value in payload.items() if name != URL_QUERY}
    messages = body.get("messages")
    if isinstance(messages, list):
        body["messages"] = [_filled(message, images or {}, turns or {}) for message in messages]
    return payload_json({**body, "stream": True}).encode()


def turns_in(payload: Mapping[str, Json]) -> tuple[str, ...]:
    """The fingerprints of all earlier turns that the payload's messages hold a place for, oldest first."""
    messages = payload.get("messages")
    contents = [
        message.get("content")
        for message in (messages if isinstance(messages, list) else [])
        if isinstance(message, dict) and message.get("role") == "assistant"
    ]
    return tuple(
        content.removeprefix(TURN_TAG)
        for content in contents
        if isinstance(content, str) and content.startswith(TURN_TAG)
    )


def _filled(message: Json, images: Mapping[str, str], turns: Mapping[str, str]) -> Json:
    match message:
        case {"role": "assistant", "content": str(content)} if content.startswith(TURN_TAG):
            return {**message, "content": turns[content.removeprefix(TURN_TAG)]}
        case {"content": list(parts)}:
            return {**message, "content": [_with_image(part, images) for part in parts]}
        case _:
            return message


def _with_image(part: Json, images: Mapping[str, str]) -> Json:
    match part:
        case {"image_url": {"url": str(url)} as image} if url.startswith(IMAGE_TAG):
            return {**part, "image_url": {**image, "url": images[url.removeprefix(IMAGE_TAG)]}}
        case _:
            return part
