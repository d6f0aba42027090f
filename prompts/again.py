"""The command that makes one request again, alone. Pure.

After `request`. The canonical request is a table of one row: the fingerprint, so the question, is the same.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping

from reelsweep.prompts.columns import BODY_PREFIX, COLUMNS
from reelsweep.prompts.remote import is_remote
from reelsweep.prompts.request import Json, Output, value_json

_COLUMNS = frozenset(column.name for column in COLUMNS)


def again_command(
    payload: Mapping[str, Json], *, prompt_id: str, output: Output, gateway: str, out: str
) -> str:
    """A line for a shell that writes the table and runs it into a folder of its own, `<out>-again`."""
    folder = f"runs/{out.rpartition('/')[2]}" if is_remote(out) else out
    row: dict[str, Json] = {"prompt_id": prompt_id}
    row |= {_column(name): value for name, value in payload.items()}
    words = ["reelsweep", "run", "again.jsonl", "--out", f"{folder}-again"]
    words += [] if output == "video" else ["--output", output]
    words += [] if gateway.startswith("sandbox@") else ["--gateway", gateway]
    return f"printf '%s\\n' {shlex.quote(value_json(row))} > again.jsonl && {shlex.join(words)}"


def _column(field: str) -> str:
    """The table's column for a field of the body."""
    return field if field in _COLUMNS else f"{BODY_PREFIX}{field}"
