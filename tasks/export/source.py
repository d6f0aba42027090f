"""An OUT as an export reads it: its manifest, what the manifest says of the run, which row edits which."""

# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false, reportUnknownParameterType=false
# pyarrow ships no types; nothing of it is unknown outside the folders' Arrow modules.
from __future__ import annotations

import json
import shlex
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from reelsweep.prompts.errors import OutError
from reelsweep.tasks.export.place import Place, in_reading
from reelsweep.tasks.manifest.outfile import NAME
from reelsweep.tasks.manifest.parquet import FACT

MANIFEST = "manifest.parquet"
REPRODUCTION = "reproduction.parquet"


@dataclass(frozen=True, slots=True)
class Source:
    """One OUT, read once."""

    place: Place
    manifest: pa.Table
    facts: Mapping[str, str]
    """What the manifest says of its run as a whole."""
    follows: Mapping[str, str]
    """Request to the request it edits."""
    repetitions: frozenset[tuple[str, str]]
    """Gateways and requests that were made only to compare them with an earlier result."""
    ended: bool
    """Whether its last run ended by itself."""

    @property
    def columns(self) -> tuple[str, ...]:
        """The manifest's columns."""
        return tuple(self.manifest.column_names)

    @property
    def num_rows(self) -> int:
        """The manifest's rows."""
        return len(self.manifest)

    def rows(self, names: Sequence[str]) -> list[dict[str, Any]]:
        """Every row with these columns; one that is not there is null."""
        there = self.manifest.select([name for name in names if name in self.columns])
        absent = dict.fromkeys(name for name in names if name not in self.columns)
        return [{**absent, **row} for row in there.to_pylist()]


def read_source(place: Place) -> Source:
    """The OUT at a place. Raises OutError where there is none, TroubleError where it cannot be read."""
    if place.size(MANIFEST) is None:
        raise OutError(f"{place} has no {MANIFEST}.", "Give the output folder of a run.")
    with _parquet(place, MANIFEST) as parquet:  # one file: a run may replace it meanwhile
        manifest, facts = parquet.read(), _facts(parquet)
    return Source(
        place=place,
        manifest=manifest,
        facts=facts,
        follows=_follows(place),
        repetitions=_repetitions(place),
        ended=read_ended(place),
    )


def read_table(place: Place, name: str, columns: Sequence[str] | None = None) -> pa.Table:
    """A Parquet file of the place. Raises OutError for a damaged one."""
    with _parquet(place, name) as parquet:
        if absent := set(columns or ()) - set(parquet.schema_arrow.names):
            raise pa.ArrowInvalid(f"no columns {sorted(absent)}")
        return parquet.read(columns=None if columns is None else list(columns))


@contextmanager
def _parquet(place: Place, name: str) -> Generator[pq.ParquetFile]:
    with in_reading(f"{place}, {name}"), place.open(name) as file:
        try:
            yield pq.ParquetFile(file, pre_buffer=True)
        except pa.ArrowInvalid as error:
            raise OutError(
                f"{name} of {place} is damaged.",
                f"Run the table again, or: `reelsweep reconcile {shlex.quote(str(place))}`, with --ledger"
                " where the run had one.",
            ) from error


def read_ended(place: Place) -> bool:
    """Whether the last run of an OUT ended by itself; True where nothing says."""
    if place.size(NAME) is None:
        return True
    with in_reading(f"{place}, {NAME}"), place.open(NAME) as file:
        try:
            return bool(json.loads(file.read()).get("ended", True))
        except (ValueError, AttributeError):
            return True


def _facts(parquet: pq.ParquetFile) -> dict[str, str]:
    stored = parquet.metadata.metadata or {}
    facts = {key.decode(): value.decode() for key, value in stored.items()}
    return {key.removeprefix(FACT): facts[key] for key in sorted(facts) if key.startswith(FACT)}


def _repetitions(place: Place) -> frozenset[tuple[str, str]]:
    if place.size(REPRODUCTION) is None:
        return frozenset()
    table = read_table(place, REPRODUCTION, ("gateway", "again_request_fingerprint"))
    return frozenset((row["gateway"], row["again_request_fingerprint"]) for row in table.to_pylist())


def _follows(place: Place) -> dict[str, str]:
    if place.size("plan.parquet") is None:
        return {}
    table = read_table(place, "plan.parquet", ("request_fingerprint", "follows"))
    return {row["request_fingerprint"]: row["follows"] for row in table.to_pylist() if row["follows"]}
