"""The gallery's files below an OUT, written from its published ones.

After `publish`, by whoever holds OUT's manifest. Each file is whole at any moment; none is fsynced, since
`reelsweep gallery` makes all of them anew.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain
from pathlib import Path

from reelsweep.tasks.artifacts.checklist import DEFAULT_CHECKS, Checks
from reelsweep.tasks.artifacts.disk import write_whole
from reelsweep.tasks.gallery.alike import Alike, find_alike
from reelsweep.tasks.gallery.cells import RECORDS_PER_FILE, cells
from reelsweep.tasks.gallery.encoded import Columns, Encoded
from reelsweep.tasks.gallery.notes import notes
from reelsweep.tasks.gallery.page import call, page, script, style
from reelsweep.tasks.gallery.record import meanings, records, sections
from reelsweep.tasks.gallery.source import ASKED, add_up, read_attempts, read_records, read_sheet
from reelsweep.tasks.manifest.read import read_facts
from reelsweep.tasks.storage.out import Out

FOLDER = "gallery"
NEAR = "near_duplicate"
PAGE = "index.html"


def write_gallery(
    storage: Out,
    *,
    name: str | None = None,
    again: Mapping[str, str] | None = None,
    running: bool = False,
) -> list[str]:
    """Write `index.html` and what it loads on OUT's desk; the names of what changed, the page last.

    `name` is OUT as a person calls it, `again` the command that makes each request again. While
    `running`, records and likenesses are left for the end. Raises OutError where no manifest is, TroubleError
    when the files cannot be written.
    """
    out = storage.desk
    facts, columns = read_facts(out), read_sheet(out / "manifest.parquet")
    limit = near_limit(facts)
    alike = find_alike(columns, limit) if columns and not running else Alike([], [], limit)
    sheet = _sheet(storage, columns, alike, facts, running=running)
    figures = add_up(facts, columns)
    told = notes(columns) if columns else ()
    html = page(facts, figures, told, out=name or str(storage), running=running)
    parts = chain(
        () if running else _records(out, columns, again or {}),
        [(f"{FOLDER}/cells.js", call("cells", sheet))],
        [(f"{FOLDER}/gallery.js", script().encode()), (f"{FOLDER}/gallery.css", style().encode())],
        [(PAGE, html.encode())],
    )
    return [part for part, content in parts if _changed(out / part, content)]


def near_limit(facts: Mapping[str, str]) -> float:
    """What the run's own check holds for a near-duplicate."""
    limits = Checks.parse(facts.get("checks", "default")).limits
    return limits.get(NEAR, DEFAULT_CHECKS.limits[NEAR])


def _sheet(
    storage: Out, columns: Columns, alike: Alike, facts: Mapping[str, str], *, running: bool
) -> Mapping[str, object]:
    if not columns:
        return {"num_rows": 0, "running": running}
    return cells(
        columns,
        alike,
        num_rows=int(facts["rows"]),
        gone=_gone(storage, columns["file_name"]),
        posters=_hashes(storage.desk / FOLDER / "posters"),
        running=running,
        has_records=not running,
    )


def _gone(storage: Out, names: Encoded) -> list[int]:
    """Rows whose clip is named and not there."""
    gone = {code for code, name in enumerate(names.values) if not storage.has_clip(name)}
    return [row for row, code in enumerate(names.codes) if code in gone]


def _hashes(folder: Path) -> frozenset[str]:
    """The hashes that name the files of `folder/ab/<sha256>.<suffix>`."""
    return frozenset(path.stem for path in folder.glob("[0-9a-f][0-9a-f]/*"))


def _records(out: Path, sheet: Columns, again: Mapping[str, str]) -> Iterator[tuple[str, bytes]]:
    """The files of records, one at a time."""
    asked = sheet[ASKED].values if sheet else ()
    attempts = read_attempts(out / "attempts.parquet", asked)
    for place, columns in enumerate(read_records(out / "manifest.parquet", RECORDS_PER_FILE)):
        document = records(columns, attempts, again)
        document = {**document, "sections": sections(columns), "meanings": meanings()}
        yield f"{FOLDER}/records/{place}.js", call("records", place, document)


def _changed(path: Path, content: bytes) -> bool:
    """Write `content`, unless it is there already."""
    if path.is_file() and path.stat().st_size == len(content) and path.read_bytes() == content:
        return False
    write_whole(path, content, durable=False)
    return True
