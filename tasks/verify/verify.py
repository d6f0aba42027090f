"""One question for every folder of Reelsweep's: is everything there, as written, and nothing else?"""

from __future__ import annotations

from pathlib import Path

from reelsweep.prompts.errors import OutError
from reelsweep.tasks.export.places import open_place
from reelsweep.tasks.export.record import read_record
from reelsweep.tasks.export.source import MANIFEST
from reelsweep.tasks.verify.exported import verify_export
from reelsweep.tasks.verify.findings import Report
from reelsweep.tasks.verify.hashing import Meter
from reelsweep.tasks.verify.out import verify_out


def verify(where: str | Path, meter: Meter = lambda _what, _number: lambda _done: None) -> Report:
    """Hold the files of an OUT or an export, at a path or an fsspec URL, against what is written about them.

    Raises OutError for a folder that is neither.
    """
    place = open_place(where)
    record = read_record(place)
    if record is not None:
        return verify_export(place, record, meter)
    if place.size(MANIFEST) is None:
        raise OutError(
            f"{place} is neither an output folder with a manifest nor an export.",
            "Name one, such as runs/sandbox/example.",
        )
    return verify_out(place, meter)
