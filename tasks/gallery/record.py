"""Everything about some rows, for the dialog that shows one of them. Pure.

Beside `cells.py`: the same rows in the same order, a few hundred to a file.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from reelsweep.tasks.gallery.encoded import Columns, Encoded, exact
from reelsweep.tasks.gallery.words import MAX_RECORD_CHARS, shown
from reelsweep.tasks.manifest.columns import ATTEMPTS, MANIFEST

SECTIONS: Mapping[str, tuple[str, ...]] = {
    "Asked": (
        *("prompt_id", "model", "seed", "sample_idx", "choice_idx", "candidate_idx"),
        *("size_asked", "seconds_asked", "output", "gateway"),
    ),
    "Outcome": (
        *("status", "refused_at", "error_type", "error_code", "error_message", "finish_reason"),
        *("served_model", "seed_honoured", "system_fingerprint", "stratum", "gateway_task_id"),
    ),
    "Clip": (
        *("file_name", "size_bytes", "mime_type", "width", "height", "duration_s", "fps", "num_frames"),
        *("codec", "has_audio"),
    ),
    "Cost": (
        *("cost_usd", "reserved_usd", "cost_source", "billed", "num_purchases", "num_attempts"),
        *("usage_prompt_tokens", "usage_completion_tokens"),
    ),
    "Fingerprints": ("request_fingerprint", "sha256", "frames_sha256", "phash", "plan_hash", "row_key"),
    "Times": (
        *("created_at", "started_at", "first_event_at", "completed_at", "generation_s", "download_s"),
        *("run_id", "code_version"),
    ),
}
"""Headings of a record and the columns under them; what has no heading stands under its own kind."""
VERDICTS = ("accepted", "reject_reason", "near_duplicate_of")
"""What the checks amount to; it stands beside them."""
APART = frozenset({"prompt", "messages", "text", "tool_calls", "params", "in_plan", "shared"})
"""Shown in a way of their own."""
ATTEMPT = (
    *("attempt_id", "sent_at", "kind", "http_status", "error_type", "error_message", "billed", "cost_usd"),
    *("reserved_usd", "completed_at", "request_id", "transcript"),
)
"""Columns of an attempt, as far as a person looks at them."""
Attempts = Mapping[str, Sequence[Mapping[str, Any]]]
"""By what was asked of whom (`asked_of`), oldest first."""


def records(columns: Columns, attempts: Attempts, again: Mapping[str, str]) -> Mapping[str, Any]:
    """The document of some rows; `again` is the command that makes a request again, by `asked_of`."""
    fingerprints, gateways = columns["request_fingerprint"], columns["gateway"]
    asked = {asked_of(fingerprints.at(row), gateways.at(row)) for row in range(len(fingerprints))}
    return {
        "columns": {name: _whole(column).as_json() for name, column in columns.items()},
        "attempts": {name: attempts[name] for name in sorted(asked & attempts.keys())},
        "again": {name: again[name] for name in sorted(asked & again.keys())},
    }


def asked_of(request_fingerprint: str, gateway: str) -> str:
    """What a request to one gateway is called: a folder may hold the same one to several."""
    return f"{request_fingerprint}@{gateway}"


def sections(names: Iterable[str]) -> Sequence[tuple[str, Sequence[str]]]:
    """Headings with the columns that are there; those a table or a check brought come last."""
    known = {name for group in SECTIONS.values() for name in group} | APART
    brought: dict[str, list[str]] = defaultdict(list)
    present = set(names)
    for name in names:
        if name not in known:
            brought[_kind(name)].append(name)
    found = {title: [name for name in group if name in present] for title, group in SECTIONS.items()}
    return [(title, group) for title, group in {**found, **brought}.items() if group]


def meanings() -> Mapping[str, str]:
    """What each declared column means, with its unit."""
    return {
        column.name: f"{column.meaning} [{column.unit}]" if column.unit else column.meaning
        for column in (*ATTEMPTS, *MANIFEST)
    }


def attempts_of(rows: Iterable[Mapping[str, Any]]) -> Attempts:
    """The attempts of `attempts.parquet`, by what they asked for."""
    found: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for row in rows:
        told = {name: _told(row[name]) for name in ATTEMPT if row.get(name) is not None}
        found[asked_of(row["request_fingerprint"], row["gateway"])].append(told)
    return found


def _kind(name: str) -> str:
    if name in VERDICTS:
        return "Checks"
    for prefix, title in (("param_", "Parameters"), ("check_", "Checks"), ("meta_", "Carried along")):
        if name.startswith(prefix):
            return title
    return "More"


def _whole(column: Encoded) -> Encoded:
    return Encoded([_told(value) for value in column.values], column.codes)


def _told(value: Any) -> Any:
    return shown(value, MAX_RECORD_CHARS) if isinstance(value, str) else exact(value)
