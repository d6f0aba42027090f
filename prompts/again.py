"""The command that makes one request again, alone. Pure.

After `request`. The canonical request is a table of one row, or of the rows it follows and itself: the
fingerprint, so the question, is the same.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping

from reelsweep.prompts.columns import BODY_PREFIX, COLUMNS
from reelsweep.prompts.messages import followed_fingerprint, image_hashes, prompt_text, without_images
from reelsweep.prompts.remote import is_remote
from reelsweep.prompts.request import Json, Output, value_json

_COLUMNS = frozenset(column.name for column in COLUMNS)
Payload = Mapping[str, Json]
_NOTHING: Mapping[str, Payload] = {}
_NO_FILES: Mapping[str, str] = {}


def again_command(
    payload: Payload,
    *,
    prompt_id: str,
    output: Output,
    gateway: str,
    out: str,
    earlier: Mapping[str, Payload] = _NOTHING,
    files: Mapping[str, str] = _NO_FILES,
) -> str:
    """A line for a shell that writes the table and runs it into a folder of its own, `<out>-again`.

    `earlier` are the requests it follows, by fingerprint; `files` the images' names in `<out>/inputs`, by
    sha256, where the table then stands.
    """
    rows = [_with_files(row, files) for row in again_rows(payload, prompt_id, earlier)]
    has_images = any("image" in row for row in rows)
    folder = f"runs/{out.rpartition('/')[2]}" if is_remote(out) else out
    table = f"{out}/inputs/again.jsonl" if has_images and not is_remote(out) else "again.jsonl"
    words = ["reelsweep", "run", table, "--out", f"{folder}-again"]
    words += [] if output == "video" else ["--output", output]
    words += [] if gateway.startswith("sandbox@") else ["--gateway", gateway]
    texts = " ".join(shlex.quote(value_json(row)) for row in rows)
    return f"printf '%s\\n' {texts} > {shlex.quote(table)} && {shlex.join(words)}"


def again_rows(payload: Payload, prompt_id: str, earlier: Mapping[str, Payload]) -> list[dict[str, Json]]:
    """The table's rows, those that are followed first; images by their sha256."""
    asked = payload.get("messages")
    messages = asked if isinstance(asked, list) else []
    row: dict[str, Json] = {"prompt_id": prompt_id}
    row |= {_column(name): value for name, value in payload.items() if name != "messages"}
    parent = followed_fingerprint(messages)
    before: list[dict[str, Json]] = []
    if parent is not None and parent in earlier:
        before = again_rows(earlier[parent], f"{prompt_id}-before", earlier)
        messages = messages[-1:]
        row |= {"follows": f"{prompt_id}-before", "prompt": prompt_text(messages)}
    else:
        row["messages"] = without_images(messages)
    if images := image_hashes(messages):
        row["image"] = list(images)
    return [*before, row]


def _with_files(row: dict[str, Json], files: Mapping[str, str]) -> dict[str, Json]:
    images = row.get("image")
    names: list[Json] = (
        [files.get(str(sha256), sha256) for sha256 in images] if isinstance(images, list) else []
    )
    return {**row, "image": names} if names else row


def _column(field: str) -> str:
    """The table's column for a field of the body."""
    return field if field in _COLUMNS else f"{BODY_PREFIX}{field}"
