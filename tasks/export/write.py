"""An export on its way to the disk: shard by shard, each with its marker last, so that a killed one goes on.

After `plan`. The same plan gives the same bytes, to an empty folder as to one that holds a part of it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import assert_never

from reelsweep.prompts.errors import OutError
from reelsweep.tasks.export.card.card import render_card
from reelsweep.tasks.export.card.figures import check_installed
from reelsweep.tasks.export.clips import Tick, check_clips
from reelsweep.tasks.export.place import LocalPlace, Place
from reelsweep.tasks.export.plan import ExportPlan
from reelsweep.tasks.export.record import (
    COMPLETE,
    EXPORT,
    FOLDER,
    Completion,
    ExportRecord,
    Kept,
    Marker,
    marker_name,
    read_completion,
    read_marker,
    read_record,
    to_page,
)
from reelsweep.tasks.export.shards import Shard
from reelsweep.tasks.export.videofolder import write_folder
from reelsweep.tasks.export.webdataset import write_tar
from reelsweep.tasks.export.written import put_bytes

Meter = Callable[[str, int], Tick]
"""Opens a count: what is done, and of how many; what comes back is told of each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """What an export came to."""

    dest: str
    export_id: str
    sha256: str
    """Of `complete.json`, which stands for every byte."""
    samples: Mapping[str, int]
    """By split."""
    size_bytes: int
    shards: int
    shards_written: int
    """Of them, by this call; the others were there."""


def write_export(plan: ExportPlan, place: Place, meter: Meter) -> Exported:
    """Check every clip, write what is not there yet, then the card and the last word.

    Raises OutError when the folder holds something else or a clip is missing or changed (nothing is written
    then), TroubleError when a disk or a store fails (the same call goes on where it was).
    """
    check_installed()
    _check_apart(plan, place)
    with place.claimed():
        markers = _markers(plan, place)
        todo = [shard for shard in plan.shards if shard.name not in markers]
        samples = [sample for shard in todo for sample in shard.samples]
        check_clips(plan.source.place, samples, meter("checking", len(samples)))
        record = put_bytes(place, EXPORT, to_page(_record(plan)))
        if todo:
            place.remove(COMPLETE)
        tick = meter("copying", len(samples))
        for shard in todo:
            _write_shard(plan, shard, place, tick)
        return _finish(plan, place, record, len(todo))


def _write_shard(plan: ExportPlan, shard: Shard, place: Place, tick: Tick) -> None:
    match plan.recipe.format:
        case "videofolder":
            files = write_folder(plan, shard, place, tick)
        case "webdataset":
            files = write_tar(plan, shard, place, tick)
        case _:
            assert_never(plan.recipe.format)
    marker = Marker(shard=shard.name, samples=len(shard.samples), files=tuple(files))
    put_bytes(place, marker_name(shard.name), to_page(marker))


def _finish(plan: ExportPlan, place: Place, record: Kept, shards_written: int) -> Exported:
    """The card, and the last word about everything."""
    markers = [_kept(marker_name(shard.name), to_page(_marker(place, shard))) for shard in plan.shards]
    pages = render_card(plan)
    card = [_kept(name, pages[name]) for name in sorted(pages)]
    completion = Completion(export_id=plan.export_id, files=(record, *markers, *card))
    if read_completion(place) != completion:
        place.remove(COMPLETE)
        for name in sorted(pages):
            put_bytes(place, name, pages[name])
        put_bytes(place, COMPLETE, to_page(completion))
    return Exported(
        dest=str(place),
        export_id=plan.export_id,
        sha256=hashlib.sha256(to_page(completion)).hexdigest(),
        samples=plan.counts,
        size_bytes=plan.size_bytes,
        shards=len(plan.shards),
        shards_written=shards_written,
    )


def _record(plan: ExportPlan) -> ExportRecord:
    return ExportRecord(
        export_id=plan.export_id,
        out_id=plan.source.facts.get("out_id", ""),
        words=tuple(plan.recipe.words()),
        shards=tuple(shard.name for shard in plan.shards),
        samples=len(plan.samples),
    )


def _markers(plan: ExportPlan, place: Place) -> dict[str, Marker]:
    """The shards that are there and whole. Raises OutError when the folder holds something else."""
    record = read_record(place)
    if record is None:
        _check_empty(place)
        return {}
    if record.export_id != plan.export_id:
        raise OutError(
            f"{place} holds another export ({' '.join(record.words)}; {record.samples} samples).",
            "Choose an empty folder, or give the options it was made with.",
        )
    sizes = {entry.name: entry.size_bytes for entry in place.entries() if entry.kind == "file"}
    found = {shard.name: read_marker(place, shard.name) for shard in plan.shards}
    return {name: marker for name, marker in found.items() if marker and _is_there(sizes, marker)}


def _is_there(sizes: Mapping[str, int], marker: Marker) -> bool:
    return all(sizes.get(kept.name) == kept.size_bytes for kept in marker.files)


def _check_empty(place: Place) -> None:
    """A folder that an export died in before its first word counts as empty."""
    first = next((entry.name for entry in place.entries() if not entry.name.startswith(f"{FOLDER}/.")), None)
    if first is not None:
        raise OutError(
            f"{place} is not empty: it has {first!r}, and no export of Reelsweep's.",
            "Name a folder that is empty or not there yet.",
        )


def _check_apart(plan: ExportPlan, place: Place) -> None:
    out, dest = _parts(plan.source.place), _parts(place)
    shared = min(len(out), len(dest))
    if out[:shared] == dest[:shared]:
        raise OutError(f"{place} and the output folder lie in each other.", "Name a folder of its own.")


def _parts(place: Place) -> tuple[str, ...]:
    return place.root.resolve().parts if isinstance(place, LocalPlace) else tuple(str(place).split("/"))


def _marker(place: Place, shard: Shard) -> Marker:
    marker = read_marker(place, shard.name)
    assert marker is not None
    return marker


def _kept(name: str, content: bytes) -> Kept:
    return Kept(name=name, size_bytes=len(content), sha256=hashlib.sha256(content).hexdigest())
