"""One row of the manifest as the page shows it: words and figures, not escaped yet.

Between rows and `page.py`. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote

from reelsweep.tasks.manifest.rows import Row

MAX_CHARS = 1_000
"""Of one text on the page; the manifest has all of it."""

_UNPRINTABLE = {code: None for code in (*range(32), *range(127, 160)) if code not in (9, 10)}
_MARKS = (
    "request_fingerprint",
    "frames_sha256",
    "sha256",
    "phash",
    "system_fingerprint",
    "gateway_task_id",
    "file_name",
)
"""Columns of the record behind a card: fingerprints and ids."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """One row of the manifest as the page shows it; texts are not escaped yet."""

    prompt: str
    prompt_id: str
    status: str
    reason: str
    href: str | None
    text: str
    hue: int
    """0 to 11, from the request: colours the place of a clip that is not loaded."""
    label: str
    """Seed, sample and choice, as far as they tell rows apart."""
    notes: tuple[str, ...]
    """Model, size, length and cost in a word or two each."""
    flags: tuple[str, ...]
    marks: tuple[tuple[str, str], ...]
    """Name and value of every fingerprint and id."""


def card_of(row: Row) -> Card:
    """The card of one row."""
    return Card(
        prompt=shown(row.get("prompt")),
        prompt_id=shown(row["prompt_id"]),
        status=row["status"],
        reason=shown(_reason(row)),
        href=row.get("file_name") and quote(row["file_name"]),
        text=shown(row.get("text") or row.get("tool_calls")),
        hue=int(row["request_fingerprint"][:4], 16) % 12,
        label=_label(row),
        notes=_notes(row),
        flags=_flags(row),
        marks=tuple((name, shown(row[name])) for name in _MARKS if row.get(name)),
    )


def shown(text: str | None) -> str:
    """A text from outside as the page shows it: printable, and not longer than a page can bear."""
    clean = (text or "")[: MAX_CHARS + 1].translate(_UNPRINTABLE)
    return clean if len(clean) <= MAX_CHARS else f"{clean[:MAX_CHARS]}…"


def dollars(usd: float | None) -> str:
    """`$0.80`; four digits where two would say nothing; a dash when it is not known."""
    if usd is None:
        return "–"
    return f"${usd:,.4f}" if 0 < usd < 0.01 else f"${usd:,.2f}"


def span(seconds: float) -> str:
    """`4.5 s`, `2 min 5 s`, `1 h 3 min`."""
    if seconds < 60:
        return f"{seconds:.3g} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60:,} h {minutes % 60} min"


def _reason(row: Row) -> str | None:
    if row["status"] == "refused" and row.get("refused_at"):
        return f"{row['refused_at']}: {row.get('error_message') or 'no reason given'}"
    return row.get("error_message") or row.get("error_type")


def _label(row: Row) -> str:
    seed = "no seed" if row.get("seed") is None else f"seed {row['seed']}"
    sample = f" · sample {row['sample_idx']}" if row["sample_idx"] else ""
    return seed + sample + (f" · choice {row['choice_idx']}" if row["choice_idx"] else "")


def _notes(row: Row) -> tuple[str, ...]:
    size = f"{row['width']}×{row['height']}" if row.get("width") and row.get("height") else ""
    length = span(row["duration_s"]) if row.get("duration_s") else ""
    cost = "" if row.get("cost_usd") is None else dollars(row["cost_usd"])
    return tuple(note for note in (shown(row["model"]), size, length, cost) if note)


def _flags(row: Row) -> tuple[str, ...]:
    return (*(("shared",) if row["shared"] else ()), *(() if row["in_plan"] else ("no longer in the plan",)))
