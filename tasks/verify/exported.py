"""An export held against its own records: every byte of every file, nothing missing, nothing foreign."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from reelsweep.tasks.export.clips import hash_file
from reelsweep.tasks.export.place import Place
from reelsweep.tasks.export.record import (
    COMPLETE,
    EXPORT,
    ExportRecord,
    Kept,
    marker_name,
    read_completion,
    read_marker,
)
from reelsweep.tasks.verify.findings import Expected, Report, find_foreign
from reelsweep.tasks.verify.hashing import Checked, Meter, check_files

PASSED_OVER = (".git/", ".gitattributes", ".cache/", ".huggingface/")
"""What hubs and git leave in a dataset's folder."""
UNFINISHED = (
    "the export was not finished, so what is foreign cannot be told; the command that began it goes on"
    " where it was"
)


def verify_export(place: Place, record: ExportRecord, meter: Meter) -> Report:
    """Hold every file of an export against its markers. Raises OutError for a damaged record."""
    entries = {entry.name: entry for entry in place.entries() if not entry.name.startswith(PASSED_OVER)}
    kept, is_complete = _kept(place, record)
    written = {each.name: Expected(each.size_bytes, each.sha256) for each in kept}
    needed = dict.fromkeys((*map(marker_name, record.shards), COMPLETE), Expected())
    checked = check_files(place, entries, {**needed, **written}, meter)
    known = {*written, *needed, EXPORT}
    strange = sorted(name for name in entries if name not in known) if is_complete else []
    return Report(
        where=str(place),
        kind="export",
        checked=checked.files,
        size_bytes=checked.size_bytes,
        missing=checked.missing,
        changed=checked.changed,
        foreign=tuple(find_foreign(entries[name]) for name in strange),
        notes=tuple(_notes(place, record, checked, is_complete=is_complete)),
    )


def _notes(place: Place, record: ExportRecord, checked: Checked, *, is_complete: bool) -> Iterator[str]:
    if not is_complete:
        yield UNFINISHED
    elif checked.missing or checked.changed:
        command = shlex.join(["reelsweep", "export", "OUT", str(place), *record.words])
        yield f"what has changed may be deleted; this writes again what is missing: {command}"
    else:
        yield f"sha256 of {COMPLETE}: {hash_file(place, COMPLETE)[1]}"


def _kept(place: Place, record: ExportRecord) -> tuple[list[Kept], bool]:
    """Every file the records speak of, and whether the last word was written."""
    markers = [marker for shard in record.shards if (marker := read_marker(place, shard))]
    completion = read_completion(place)
    kept = [file for marker in markers for file in marker.files]
    return [*kept, *(completion.files if completion else ())], completion is not None
