"""What the sheet needs of every row: little, so that thousands open at once. Pure.

After the manifest, before `write.py`. The rest of a row is its record, loaded when somebody opens it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from reelsweep.tasks.gallery.alike import Alike
from reelsweep.tasks.gallery.axes import choose_axes
from reelsweep.tasks.gallery.encoded import NONE, Columns, Encoded, encode
from reelsweep.tasks.gallery.words import STATUSES, shown

MAX_ROWS = 20_000
"""On one page; the manifest has all."""
RECORDS_PER_FILE = 250
"""Rows whose records are loaded together."""
LOOKS = ("request_fingerprint", "choice_idx", "frames_sha256", "sha256", "phash")
"""Columns that tell clips apart."""
_SHEET = ("prompt_id", "prompt", "status", "seed", "sample_idx", "choice_idx", "width", "height")
_OTHERS = ("text", "tool_calls", "file_name", "duration_s", "cost_usd", "in_plan", "shared")
_JUDGED = ("accepted", "reject_reason")
_REASONS = ("refused_at", "error_type", "error_message")
NEEDED = (*_SHEET, *_OTHERS, *_JUDGED, *_REASONS, *LOOKS)
"""Columns without which there is no sheet; every manifest has them."""


def cells(
    columns: Columns,
    alike: Alike,
    *,
    num_rows: int,
    gone: Sequence[int],
    posters: Collection[str],
    running: bool,
    has_records: bool,
) -> Mapping[str, Any]:
    """The document of the sheet. `gone` are rows whose clip is not there, `posters` hashes of those drawn."""
    axes = choose_axes(columns)
    sheet = {name: columns[name].sorted() for name in axes.names}
    sheet |= {name: columns[name] for name in (*_SHEET, *_OTHERS, *_JUDGED) if name not in sheet}
    sheet |= {name: _short(sheet[name]) for name in sheet if _is_text(sheet[name])}
    sheet["file_name"] = sheet["file_name"].map(quote)
    sheet["reason"] = _reasons(columns)
    sheet["fingerprint"] = columns["request_fingerprint"].map(lambda text: text[:12])
    return {
        "columns": {name: column.as_json() for name, column in sheet.items()},
        "axes": axes.names,
        "rows": axes.rows,
        "across": axes.columns,
        "statuses": {name: [words.word, words.sign] for name, words in STATUSES.items()},
        "num_rows": num_rows,
        "posters": _posters(columns["sha256"], posters),
        "gone": gone,
        "twins": alike.twins,
        "near": alike.near,
        "near_threshold": alike.threshold,
        "records_per_file": RECORDS_PER_FILE if has_records else 0,
        "running": running,
    }


def poster_name(sha256: str) -> str:
    """Where the poster of a clip is, below OUT."""
    return f"gallery/posters/{sha256[:2]}/{sha256}.jpg"


def _short(column: Encoded) -> Encoded:
    # Cut texts may fall together; as values of an axis they stay apart.
    return Encoded([shown(value) for value in column.values], column.codes)


def _is_text(column: Encoded) -> bool:
    return any(isinstance(value, str) for value in column.values)


def _reasons(columns: Columns) -> Encoded:
    """Why there is no result, in a sentence."""
    refused, kind, message = (columns[name] for name in _REASONS)
    rows = range(len(kind))
    return encode([_reason(refused.at(row), kind.at(row), message.at(row)) for row in rows])


def _reason(refused_at: str | None, error_type: str | None, message: str | None) -> str | None:
    if refused_at:
        return shown(f"{refused_at}: {message or 'no reason given'}")
    return shown(message or error_type) or None


def _posters(sha256: Encoded, posters: Collection[str]) -> Sequence[str | int]:
    """By row: its poster, or 0."""
    names = [poster_name(value) if value in posters else 0 for value in sha256.values]
    return [0 if code == NONE else names[code] for code in sha256.codes]
