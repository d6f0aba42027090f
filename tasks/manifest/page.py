"""`index.html`: one static page to look at a result, without a server or a network.

Beside the Parquet files, fed with the same rows. Every text from a table or a gateway is escaped by the
template; scripts and styles run by their hash only (content security policy), so none can slip in.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files

from jinja2 import Environment, FunctionLoader, StrictUndefined, Template
from markupsafe import Markup
from reelsweep.tasks.ledger.records import ManifestStatus
from reelsweep.tasks.manifest.card import Card, card_of, dollars, shown, span
from reelsweep.tasks.manifest.rows import Row
from reelsweep.tasks.manifest.totals import Totals

MAX_CARDS = 2_000

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


class Page:
    """Collects the cards while the rows go by, then renders."""

    def __init__(self) -> None:
        self._cards: list[Card] = []

    def add(self, row: Row) -> None:
        """Show one row, if there is still room."""
        if len(self._cards) < MAX_CARDS:
            self._cards.append(card_of(row))

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
            cards=self._cards,
            max_cards=MAX_CARDS,
            style=Markup(_asset("page.css")),  # noqa: S704  our own file
            script=Markup(_asset("page.js")),  # noqa: S704  our own file
            policy=_policy(),
        )


def _tiles(totals: Totals) -> tuple[tuple[str, str, str], ...]:
    """Number, name and explanation of each figure at the top."""
    tiles = [(f"{totals.counts['success']:,}", "done", f"of {totals.num_rows:,} rows")]
    if totals.num_distinct:
        tiles.append((f"{totals.num_distinct:,}", "different clips", "by their frames"))
        tiles.append((span(totals.duration_s), "of footage", ""))
    tiles.append((dollars(totals.cost_musd / 1_000_000 if totals.priced else None), "settled", ""))
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
    """The table's name without folder, scheme and suffix."""
    name = table.rstrip("/").rpartition("/")[2].partition(".")[0]
    return shown(name.rpartition(":")[2] or name.rstrip(":"))


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
