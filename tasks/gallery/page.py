"""`index.html`, and the scripts and styles beside it.

After `cells.py`. The page itself is small and says the outcome without a script; the sheet is drawn from
`gallery/cells.js`. Every text is escaped by the template or set as text; nothing runs but our own files.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import orjson
from jinja2 import Environment, FunctionLoader, StrictUndefined, Template
from reelsweep.tasks.gallery.words import STATUSES, dollars, shown, span

FACTS = ("table", "gateway", "gateway_kind", "run_id")
"""The facts that head the page, where given."""
SCRIPTS = ("table", "places", "state", "player", "tile", "sheet", "record", "bar", "keys", "main")
"""In the order in which they stand in one file: pages opened as files cannot load modules."""
STYLES = ("page", "sheet", "record")


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What an OUT adds up to."""

    counts: Mapping[str, int]
    num_distinct: int
    """Clips that differ in at least one frame."""
    footage_s: float
    cost_usd: float | None
    reserved_usd: float

    @property
    def num_rows(self) -> int:
        """Rows of the manifest."""
        return sum(self.counts.values())


def page(facts: Mapping[str, str], figures: Figures, notes: Sequence[str], *, out: str, running: bool) -> str:
    """The page as HTML; `out` is the name under which a person knows the folder."""
    counts = {name: figures.counts[name] for name in STATUSES if figures.counts.get(name)}
    return _template().render(
        facts={name: shown(facts.get(name)) for name in FACTS},
        title=_stem(facts.get("table", "")) or "results",
        out=shown(out),
        num_rows=figures.num_rows,
        tiles=_tiles(figures),
        bars=_bars(counts),
        counts=counts,
        words=STATUSES,
        notes=notes,
        running=running,
    )


def script() -> str:
    """All our scripts as one, in a scope of its own."""
    parts = "\n".join(_asset(f"{name}.js") for name in SCRIPTS)
    return f'"use strict";\n(() => {{\n{parts}}})();\n'


def style() -> str:
    """All our styles as one."""
    return "\n".join(_asset(f"{name}.css") for name in STYLES)


def call(name: str, *arguments: object) -> bytes:
    """A script that hands values to the page: `reelsweep.<name>(…)`.

    JSON is JavaScript; what could end a script element or a line is escaped all the same.
    """
    values = b",".join(orjson.dumps(argument) for argument in arguments)
    for character in ("<", "\u2028", "\u2029"):
        values = values.replace(character.encode(), b"\\u%04x" % ord(character))
    return b"reelsweep.%b(%b);\n" % (name.encode(), values)


def _tiles(figures: Figures) -> Sequence[tuple[str, str, str]]:
    """Number, name and explanation of each figure at the top."""
    done = figures.counts.get("success", 0)
    tiles = [(f"{done:,}", "done", f"of {figures.num_rows:,}")]
    if figures.num_distinct:
        tiles.append((f"{figures.num_distinct:,}", "different clips", "by their frames"))
        tiles.append((span(figures.footage_s), "of footage", ""))
    if figures.cost_usd is not None:
        tiles.append((dollars(figures.cost_usd), "settled", ""))
    if figures.reserved_usd:
        tiles.append((dollars(figures.reserved_usd), "reserved", "maybe billed"))
    return tiles


def _bars(counts: Mapping[str, int]) -> Sequence[tuple[str, float, float]]:
    """Status, offset and width (of 1000) of each part of the bar."""
    total, offset, bars = sum(counts.values()), 0.0, list[tuple[str, float, float]]()
    for status, count in counts.items():
        width = 1000 * count / total
        bars.append((status, round(offset, 2), round(width, 2)))
        offset += width
    return bars


def _stem(table: str) -> str:
    """The table's name without folder, scheme and suffix."""
    name = table.rstrip("/").rpartition("/")[2].partition(".")[0]
    return shown(name.rpartition(":")[2] or name.rstrip(":"))


@cache
def _asset(name: str) -> str:
    return (files(__package__ or "") / "web" / name).read_text(encoding="utf-8")


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
