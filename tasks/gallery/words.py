"""Texts and figures as a person reads them, not escaped yet. Pure.

Below `cells.py` and `page.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from reelsweep.tasks.ledger.records import ManifestStatus

MAX_CHARS = 1_000
"""Of one text in a cell; its record has more."""
MAX_RECORD_CHARS = 100_000
"""Of one text in a record; the manifest has all of it."""

_UNPRINTABLE = {code: None for code in (*range(32), *range(127, 160)) if code not in (9, 10)}


@dataclass(frozen=True, slots=True)
class StatusWords:
    """How a status is said where colour does not tell: a word and a sign."""

    word: str
    sign: str


STATUSES: Mapping[ManifestStatus, StatusWords] = {
    "success": StatusWords("success", "●"),
    "in_progress": StatusWords("in progress", "◐"),
    "planned": StatusWords("planned", "○"),
    "refused": StatusWords("refused", "⊘"),
    "failed": StatusWords("failed", "✕"),
    "invalid_output": StatusWords("invalid output", "✕"),
    "failed_to_download": StatusWords("not downloaded", "↓"),
    "unknown": StatusWords("unknown", "?"),
    "cancelled": StatusWords("cancelled", "–"),
    "skipped_budget": StatusWords("skipped: budget", "–"),
    "skipped_parent": StatusWords("skipped: parent", "–"),
}
"""In the order in which they are listed."""


def shown(text: str | None, max_chars: int = MAX_CHARS) -> str:
    """A text from outside: printable, and not longer than a page can bear."""
    clean = (text or "")[: max_chars + 1].translate(_UNPRINTABLE)
    return clean if len(clean) <= max_chars else f"{clean[:max_chars]}…"


def dollars(usd: float) -> str:
    """`$0.80`; four digits where two would say nothing."""
    return f"${usd:,.4f}" if 0 < usd < 0.01 else f"${usd:,.2f}"


def span(seconds: float) -> str:
    """`4.5 s`, `2 min 5 s`, `1 h 3 min`."""
    if seconds < 60:
        return f"{seconds:.3g} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60:,} h {minutes % 60} min"
