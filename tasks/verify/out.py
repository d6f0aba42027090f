"""An OUT held against its manifest: every clip by size and sha256, nothing missing, nothing foreign.

Reads files only: no ledger, no network but the place's own.
"""

# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyarrow ships no types; nothing of it is unknown outside the folders' Arrow modules.
from __future__ import annotations

from collections.abc import Mapping

from reelsweep.prompts.errors import OutError, TroubleError
from reelsweep.tasks.export.place import Entry, Place
from reelsweep.tasks.export.source import MANIFEST, read_ended, read_table
from reelsweep.tasks.storage.objects import UnreachableError
from reelsweep.tasks.verify.findings import Expected, Finding, Report, find_foreign
from reelsweep.tasks.verify.hashing import Meter, check_files
from reelsweep.tasks.verify.layout import PUBLISHED, Belongs, belongs, hash_in

ATTEMPTS = "attempts.parquet"
GOING = "its last run has not ended: it is going, or was killed; what it has made meanwhile is no fault"


def verify_out(place: Place, meter: Meter) -> Report:
    """Hold every file of an OUT against its manifest. Raises OutError when the manifest cannot be read."""
    ended = read_ended(place)
    clips, unsafe = _listed_clips(place)
    others, damaged = _listed_others(place)
    entries = {entry.name: entry for entry in place.entries()}  # last: a run adds files, then lists them
    unlisted = _files(entries, "clip") - set(clips)
    hashed = _files(entries, "by_hash") | (set[str]() if ended else unlisted)
    named = {name: Expected(sha256=hash_in(name)) for name in hashed}
    checked = check_files(place, entries, {**clips, **others, **named}, meter)
    strange = {name for name in entries if _is_strange(entries[name])} | (unlisted if ended else set[str]())
    wrong = {finding.name for finding in checked.changed}
    return Report(
        where=str(place),
        kind="out",
        checked=checked.files,
        size_bytes=checked.size_bytes,
        missing=checked.missing,
        changed=(*unsafe, *damaged, *checked.changed),
        foreign=tuple(find_foreign(entries[name]) for name in sorted(strange - set(clips) - set(others))),
        pending=() if ended else tuple(Finding(name) for name in sorted(unlisted - wrong)),
        notes=() if ended else (GOING,),
    )


def _files(entries: Mapping[str, Entry], kind: Belongs) -> set[str]:
    return {name for name, entry in entries.items() if entry.kind == "file" and belongs(name) == kind}


def _is_strange(entry: Entry) -> bool:
    return entry.kind != "file" or belongs(entry.name) == "foreign"


def _listed_clips(place: Place) -> tuple[dict[str, Expected], list[Finding]]:
    """What the manifest says about clips, and where it names what no clip is called."""
    clips: dict[str, Expected] = {}
    unsafe: dict[str, Finding] = {}
    table = read_table(place, MANIFEST, ("status", "file_name", "size_bytes", "sha256"))
    for row in table.to_pylist():
        name = row["file_name"]
        if row["status"] != "success" or name is None:
            continue
        if belongs(name) == "clip":
            clips[name] = Expected(row["size_bytes"], row["sha256"])
        else:
            unsafe[name] = Finding(name, "the manifest names a clip so, which no clip of Reelsweep is called")
    return clips, [unsafe[name] for name in sorted(unsafe)]


def _listed_others(place: Place) -> tuple[dict[str, Expected], list[Finding]]:
    """The files a run publishes, and the transcripts its attempts name; which tables cannot be read."""
    others = {name: Expected() for name in PUBLISHED}
    damaged: list[Finding] = []
    for name in PUBLISHED:
        if not name.endswith(".parquet") or place.size(name) is None:
            continue
        try:
            table = read_table(place, name, ("transcript",) if name == ATTEMPTS else ())
        except UnreachableError:
            raise
        except (OutError, TroubleError):
            damaged.append(Finding(name, "it cannot be read"))
            continue
        if name == ATTEMPTS:
            names = {f"transcripts/{each}" for each in table["transcript"].to_pylist() if each}
            others |= {each: Expected() for each in names if belongs(each) == "transcript"}
    return others, damaged
