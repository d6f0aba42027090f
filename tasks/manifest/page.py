"""`index.html`: one static page to look at a result, without a server or a network.

Beside the Parquet files, fed with the same rows. Every text from a table or a gateway is escaped by the
template; scripts and styles run by their hash only (content security policy), so none can slip in.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from urllib.parse import quote

from jinja2 import Environment, FunctionLoader, StrictUndefined, Template
from markupsafe import Markup
from reelsweep.tasks.ledger.records import ManifestStatus
from reelsweep.tasks.manifest.rows import Row
from reelsweep.tasks.manifest.totals import Totals

MAX_CELLS = 2_000
MAX_CHARS = 1_000
"""Of one text on the page; the manifest has all of it."""

STATUSES: Mapping[ManifestStatus, str] = {
    "success": "success",
    "in_progress": "in progress",
    "planned": "planned",
    "refused": "refused",
    "failed": "failed",
    "invalid_output": "invalid output",
    "failed_to_download": "not downloaded",
    "unknown": "unknown",
    "cancelled": "cancelled",
    "skipped_budget": "skipped: budget",
    "skipped_parent": "skipped: parent",
}
"""Manifest status to the words on the page, in the order of the filter."""

HEAD = ("table", "gateway", "gateway_kind", "run_id", "command")
"""The facts that head the page, where given."""

_UNPRINTABLE = {code: None for code in (*range(32), *range(127, 160)) if code not in (9, 10)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
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


class Page:
    """Collects the cells while the rows go by, then renders."""

    def __init__(self) -> None:
        self._cells: list[Cell] = []

    def add(self, row: Row) -> None:
        """Show one row, if there is still room."""
        if len(self._cells) < MAX_CELLS:
            self._cells.append(cell_of(row))

    def render(self, facts: Mapping[str, str], totals: Totals) -> str:
        """The page as HTML."""
        counts: dict[ManifestStatus, int] = {
            status: totals.counts[status] for status in STATUSES if totals.counts[status]
        }
        return _template().render(
            facts={key: shown(facts.get(key)) for key in HEAD},
            title=_stem(facts.get("table", "")) or "results",
            totals=totals,
            tiles=_tiles(totals),
            bars=_bars(counts),
            counts=counts,
            words=STATUSES,
            cells=self._cells,
            max_cells=MAX_CELLS,
            style=Markup(_asset("page.css")),  # noqa: S704  our own file
            script=Markup(_asset("page.js")),  # noqa: S704  our own file
            policy=_policy(),
        )


def cell_of(row: Row) -> Cell:
    """The cell of one row."""
    return Cell(
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


_MARKS = (
    "request_fingerprint",
    "frames_sha256",
    "sha256",
    "phash",
    "system_fingerprint",
    "gateway_task_id",
    "file_name",
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


def _tiles(totals: Totals) -> tuple[tuple[str, str, str], ...]:
    """Number, name and explanation of each figure at the top."""
    clips = totals.counts["success"]
    tiles = [
        (f"{clips:,}", "done", f"of {totals.num_rows:,} rows"),
        (f"{totals.num_distinct:,}", "different clips", "by their frames"),
        (span(totals.duration_s), "of footage", ""),
        (dollars(totals.cost_musd / 1_000_000), "settled", ""),
    ]
    if totals.reserved_musd:
        tiles.append((dollars(totals.reserved_musd / 1_000_000), "reserved", "maybe billed"))
    return tuple(tiles)


def _bars(counts: Mapping[ManifestStatus, int]) -> tuple[tuple[str, float, float], ...]:
    """Status, offset and width (of 1000) of each part of the bar."""
    total, offset, bars = sum(counts.values()), 0.0, list[tuple[str, float, float]]()
    for status, count in counts.items():
        width = 1000 * count / total
        bars.append((status, round(offset, 2), round(width, 2)))
        offset += width
    return tuple(bars)


def _stem(table: str) -> str:
    return shown(table.rstrip("/").rsplit("/", 1)[-1].split(".", 1)[0].removeprefix("example:"))


def _policy() -> str:
    """Nothing from anywhere, but this page's own style, script and clips."""
    style, script = (_source_hash(_asset(name)) for name in ("page.css", "page.js"))
    return (
        f"default-src 'none'; style-src {style}; script-src {script}; media-src 'self' file:; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def _source_hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


@cache
def _asset(name: str) -> str:
    return (files(__package__ or "") / name).read_text(encoding="utf-8")


@cache
def _template() -> Template:
    environment = Environment(
        loader=FunctionLoader(_asset),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("index.html.j2")
