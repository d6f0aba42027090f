"""What an export will hold, to the last sample, before a byte of it is written.

After `source`; before `write`. Reads the OUT, changes nothing.
"""

# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false, reportUnknownParameterType=false
# pyarrow ships no types; nothing of it is unknown outside the folders' Arrow modules.
from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pyarrow as pa
from reelsweep.prompts.errors import OutError, SettingsError
from reelsweep.tasks.export.choose import choose
from reelsweep.tasks.export.columns import FILE_NAME, KEY, check_columns, usual_columns
from reelsweep.tasks.export.documents import document
from reelsweep.tasks.export.recipe import Recipe
from reelsweep.tasks.export.shards import Sample, Shard, cut, sample_key
from reelsweep.tasks.export.source import Source
from reelsweep.tasks.export.splits import Grouped, assign, group_names

_CLIP_NAME = re.compile(
    r"(?!.*\.\.)[A-Za-z0-9_][A-Za-z0-9_.-]*(/[A-Za-z0-9_][A-Za-z0-9_.-]*)*\.[a-z0-9]{1,8}"
)
_SHA256 = re.compile(r"[0-9a-f]{64}")
_FOLDER_SUFFIXES = frozenset({".mp4", ".mov", ".mkv"})
"""Of the containers Reelsweep stores, those that `datasets` knows for videos."""


@dataclass(frozen=True)
class ExportPlan:
    """Every sample of an export, in its place."""

    source: Source
    recipe: Recipe
    columns: tuple[str, ...]
    shards: tuple[Shard, ...]
    num_groups: int
    num_repeated: int
    """Rows that were left out since `reproduce` made them, to compare them with an earlier one."""
    num_shared: int
    """Rows that were left out since another row has the same clip for the same request."""

    @property
    def samples(self) -> list[Sample]:
        """All of them, in order."""
        return [sample for shard in self.shards for sample in shard.samples]

    @property
    def counts(self) -> dict[str, int]:
        """Samples by split, in the recipe's order."""
        counted = Counter(sample.split for sample in self.samples)
        return {share.name: counted[share.name] for share in self.recipe.splits}

    @property
    def size_bytes(self) -> int:
        """All clips together."""
        return sum(shard.size_bytes for shard in self.shards)

    @cached_property
    def _carried(self) -> pa.Table:
        """The carried columns in one piece: taking rows from many chunks is slow."""
        return self.source.manifest.select(self.columns).combine_chunks()

    def table(self, shard: Shard) -> pa.Table:
        """The carried columns of a shard's samples, key and file name first."""
        rows = self._carried.take([sample.row for sample in shard.samples])
        names = pa.array([sample.name for sample in shard.samples], pa.string())
        keys = pa.array([sample.key for sample in shard.samples], pa.string())
        fields = [pa.field(field.name, field.type) for field in rows.schema]
        schema = pa.schema([pa.field(FILE_NAME, pa.string()), pa.field(KEY, pa.string()), *fields])
        return pa.Table.from_arrays([names, keys, *rows.columns], schema=schema)

    def document_types(self) -> dict[str, str]:
        """What `datasets` calls the types of a document's values; it cannot tell them where all are null."""
        types = {field.name: _dataset_type(field.type) for field in self.source.manifest.schema}
        return {KEY: "string", **{name: types[name] for name in self.columns}}

    def documents(self, shard: Shard) -> Iterator[tuple[Sample, dict[str, Any]]]:
        """Every sample with what is carried for it."""
        return zip(shard.samples, self.table(shard).to_pylist(), strict=True)

    @cached_property
    def export_id(self) -> str:
        """A hash over all that decides the export's bytes; the hashes of the clips stand for theirs."""
        digest = hashlib.sha256(document({"format": 1, "words": self.recipe.words()}))
        for shard in self.shards:
            digest.update(f"\n{shard.name}\n".encode())
            for sample, carried in self.documents(shard):
                digest.update(document({**carried, "sha256 of the clip": sample.sha256}))
        return digest.hexdigest()


def plan_export(source: Source, recipe: Recipe) -> ExportPlan:
    """Choose, group and shard.

    Raises SettingsError for options that do not fit the manifest, OutError where nothing is left to export.
    """
    check_columns("group-by", recipe.group_by, source.columns)
    if recipe.columns is not None:
        check_columns("columns", recipe.columns, source.columns, recipe.format)
    found = choose(source.manifest, recipe.filter, include_rejected=recipe.include_rejected)
    chosen = _without_repetitions(source, found)
    if not chosen:
        raise _nothing(source, recipe)
    groups = group_names(_grouped(source, recipe.group_by))
    samples = _samples(source, recipe, chosen, groups)
    carried = recipe.columns or usual_columns(source.columns, include_rejected=recipe.include_rejected)
    return ExportPlan(
        source=source,
        recipe=recipe,
        columns=tuple(name for name in carried if name != KEY),
        shards=tuple(cut(samples, recipe.splits, recipe.shard_bytes)),
        num_groups=len({groups[row] for row in chosen}),
        num_repeated=len(found) - len(chosen),
        num_shared=len(chosen) - len(samples),
    )


def _without_repetitions(source: Source, found: list[int]) -> list[int]:
    """The rows a table has asked for: what was made again would stand here twice."""
    rows = source.rows(("gateway", "request_fingerprint", "in_plan")) if source.repetitions else []
    return [
        row
        for row in found
        if not rows or rows[row]["in_plan"] or _asked(rows[row]) not in source.repetitions
    ]


def _asked(row: Mapping[str, Any]) -> tuple[str, str]:
    return row["gateway"], row["request_fingerprint"]


def _samples(source: Source, recipe: Recipe, chosen: Sequence[int], groups: Sequence[str]) -> list[Sample]:
    names = ("gateway", "request_fingerprint", "choice_idx", "file_name", "sha256", "size_bytes")
    rows = source.rows(names)
    samples: dict[str, Sample] = {}
    for row in chosen:
        cells = rows[row]
        key = sample_key(cells["gateway"], cells["request_fingerprint"], cells["choice_idx"])
        if key not in samples:
            samples[key] = Sample(
                key=key,
                split=assign(groups[row], recipe.splits),
                source=_clip_name(source, cells["file_name"]),
                sha256=_sha256(source, cells["sha256"]),
                size_bytes=cells["size_bytes"] or 0,
                row=row,
            )
    foreign = {sample.suffix for sample in samples.values()} - _FOLDER_SUFFIXES
    if recipe.format == "videofolder" and foreign:
        suffix = sorted(foreign)[0]
        raise SettingsError(
            f"--format videofolder: `datasets` does not take {suffix} for a video.",
            f"Use --format webdataset, or --filter \"file_name NOT LIKE '%{suffix}'\".",
        )
    return list(samples.values())


def _grouped(source: Source, group_by: Sequence[str]) -> list[Grouped]:
    """Every row of the manifest, chosen or not: a filter moves nothing from one split to another."""
    return [
        Grouped(
            values=tuple(row[name] for name in group_by),
            request=row["request_fingerprint"],
            follows=source.follows.get(row["request_fingerprint"]),
            planned_at=row["created_at"],
        )
        for row in source.rows((*group_by, "request_fingerprint", "created_at"))
    ]


def _dataset_type(kind: pa.DataType) -> str:
    """Integers and booleans as Arrow calls them; instants are texts in JSON."""
    if pa.types.is_floating(kind):
        return "float64"
    return str(kind) if pa.types.is_integer(kind) or pa.types.is_boolean(kind) else "string"


def _clip_name(source: Source, name: str) -> str:
    if not _CLIP_NAME.fullmatch(name):
        raise OutError(
            f"The manifest of {source.place} names a clip {name!r}.", "It is not Reelsweep's: do not use it."
        )
    return name


def _sha256(source: Source, sha256: str | None) -> str:
    if sha256 is None or not _SHA256.fullmatch(sha256):
        raise OutError(
            f"The manifest of {source.place} has a clip without its sha256.", "Run the table again."
        )
    return sha256


def _nothing(source: Source, recipe: Recipe) -> OutError:
    rows = source.rows(("status", "output"))
    good = [row for row in rows if row["status"] == "success"]
    if good and not any(row["output"] == "video" for row in good):
        return OutError(
            f"{source.place} holds texts, and an export hands over clips.",
            "The manifest is the dataset: pandas.read_parquet('OUT/manifest.parquet').",
        )
    if not good:
        return OutError(
            f"None of the {len(rows)} rows of {source.place} has a clip.",
            "The column status of its manifest says what became of each.",
        )
    why, remedy = (
        ("the filter leaves", "Widen --filter.")
        if recipe.filter
        else ("the content checks leave", "See reject_reason in the manifest, or add --include-rejected.")
    )
    return OutError(f"Of {len(good)} clips {why} none.", remedy)
