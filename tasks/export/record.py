"""What an export says of itself, in `.reelsweep/`: what it is, which shards are whole, that all of it is.

`export.json` is written first, a shard's marker when all its files are there, `complete.json` last. A marker
lists the shard's files with size and sha256, `complete.json` the markers and everything else, so that its own
hash stands for the whole. The folder is hidden from `datasets`, which passes over names with a leading dot.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError, field_validator
from reelsweep.prompts.errors import OutError
from reelsweep.tasks.export.documents import page
from reelsweep.tasks.export.place import Place, in_reading

T = TypeVar("T", bound=BaseModel)
FORMAT_VERSION = 1
FOLDER = ".reelsweep"
EXPORT = f"{FOLDER}/export.json"
COMPLETE = f"{FOLDER}/complete.json"
MARKERS = f"{FOLDER}/shards"


class Kept(BaseModel):
    """One file that is there and whole."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    size_bytes: int
    sha256: str

    @field_validator("name")
    @classmethod
    def _is_below(cls, name: str) -> str:
        """A record that comes from elsewhere names nothing outside its folder."""
        parts = PurePosixPath(name).parts
        if not parts or name.startswith("/") or ".." in parts or "\\" in name or "\0" in name:
            raise ValueError("the name leads out of the folder")
        return name


class ExportRecord(BaseModel):
    """Which export a folder holds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format_version: int = FORMAT_VERSION
    export_id: str
    out_id: str
    words: tuple[str, ...]
    """The options that made it."""
    shards: tuple[str, ...]
    samples: int


class Marker(BaseModel):
    """One shard, whole."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    shard: str
    samples: int
    files: tuple[Kept, ...]


class Completion(BaseModel):
    """All of it, whole."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    export_id: str
    files: tuple[Kept, ...]
    """Everything but the shards' own files, which the markers among these list."""


def marker_name(shard: str) -> str:
    """Where a shard's marker is."""
    return f"{MARKERS}/{shard}.json"


def to_page(record: BaseModel) -> bytes:
    """A record as it is written: the same bytes for the same record."""
    fields: Mapping[str, object] = record.model_dump(mode="json")
    return page(fields)


def read_record(place: Place) -> ExportRecord | None:
    """Which export is at a place; None for none. Raises OutError for a damaged or a newer one."""
    return _read(place, EXPORT, ExportRecord)


def read_marker(place: Place, shard: str) -> Marker | None:
    """A shard's marker; None where it is not whole yet."""
    return _read(place, marker_name(shard), Marker)


def read_completion(place: Place) -> Completion | None:
    """The last word; None while the export is not."""
    return _read(place, COMPLETE, Completion)


def _read(place: Place, name: str, kind: type[T]) -> T | None:
    if place.size(name) is None:
        return None
    with in_reading(f"{place}, {name}"), place.open(name) as file:
        text = file.read()
    try:
        return kind.model_validate_json(text)
    except ValidationError:
        raise OutError(
            f"{name} of {place} is damaged, or of a newer Reelsweep.", "Export again, to an empty folder."
        ) from None
