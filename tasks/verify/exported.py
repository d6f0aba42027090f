"""An export held against its own records: every byte of every file, nothing missing, nothing foreign."""

from __future__ import annotations

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
from reelsweep.tasks.verify.findings import Expected, Report, find_foreign, find_missing
from reelsweep.tasks.verify.hashing import Meter, check_files

PASSED_OVER = (".git/", ".gitattributes", ".cache/", ".huggingface/")
"""What hubs and git leave in a dataset's folder."""
UNFINISHED = "the export was not finished; the command that began it goes on where it was"


def verify_export(place: Place, record: ExportRecord, meter: Meter) -> Report:
    """Hold every file of an export against its markers. Raises OutError for a damaged record."""
    entries = {entry.name: entry for entry in place.entries() if not entry.name.startswith(PASSED_OVER)}
    kept, is_complete = _kept(place, record)
    expected = {each.name: Expected(each.size_bytes, each.sha256) for each in kept}
    markers = [marker_name(shard) for shard in record.shards]
    missing = find_missing({*expected, *markers, *((COMPLETE,) if not is_complete else ())}, entries)
    absent = {finding.name for finding in missing}
    read = {name: each for name, each in expected.items() if name not in absent}
    notes = [
        "" if is_complete else UNFINISHED,
        f"sha256 of {COMPLETE}: {_seal(place)}" if is_complete else "",
    ]
    return Report(
        where=str(place),
        kind="export",
        checked=len(read),
        size_bytes=sum(entries[name].size_bytes for name in read),
        missing=tuple(missing),
        changed=tuple(check_files(place, read, meter)),
        foreign=tuple(
            find_foreign(entry)
            for name, entry in entries.items()
            if name not in expected and name not in (EXPORT, COMPLETE)
        ),
        notes=tuple(note for note in notes if note),
    )


def _kept(place: Place, record: ExportRecord) -> tuple[list[Kept], bool]:
    """Every file the records speak of, and whether the last word was written."""
    markers = [marker for shard in record.shards if (marker := read_marker(place, shard))]
    completion = read_completion(place)
    kept = [file for marker in markers for file in marker.files]
    return [*kept, *(completion.files if completion else ())], completion is not None


def _seal(place: Place) -> str:
    return hash_file(place, COMPLETE)[1]
