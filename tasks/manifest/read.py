"""The published files, as frames and facts.

After `write.py`, for notebooks and for the commands that look at an OUT.
"""

# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false, reportUnknownParameterType=false
# pyarrow ships no types; nothing of it is unknown outside this folder's Arrow modules.
from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from reelsweep.prompts.errors import OutError
from reelsweep.prompts.remote import is_remote
from reelsweep.tasks.ledger.records import ToldPosts
from reelsweep.tasks.ledger.standing import LOST
from reelsweep.tasks.manifest.parquet import FACT
from reelsweep.tasks.storage.objects import Objects
from reelsweep.tasks.storage.remote import checked_url

_FINGERPRINT = "request_fingerprint"

if TYPE_CHECKING:
    import pandas


def read_manifest(out: str | Path) -> pandas.DataFrame:
    """The manifest of `out`, a folder or a URL, `file_name` as absolute paths or URLs.

    Dtypes are those of `columns.py`: `Int64`, `boolean`, `string`, float64, UTC instants.
    """
    return _read(out, "manifest.parquet", "file_name", "")


def read_attempts(out: str | Path) -> pandas.DataFrame:
    """The attempts of `out`, `transcript` as absolute paths or URLs."""
    return _read(out, "attempts.parquet", "transcript", "transcripts")


def read_facts(out: str | Path) -> dict[str, str]:
    """What the manifest says of its run as a whole (table, versions, gateway, totals)."""
    return _facts(out, "manifest.parquet")


def _facts(out: str | Path, name: str) -> dict[str, str]:
    metadata = pq.read_metadata(existing(out, name)).metadata or {}
    facts = {key.decode(): value.decode() for key, value in metadata.items()}
    return {key.removeprefix(FACT): facts[key] for key in sorted(facts) if key.startswith(FACT)}


def published_attempts(out: str | Path) -> list[str]:
    """The ids of the POSTs that the files know of, of those that were really made; the newest last."""
    try:
        ids = pq.read_table(existing(out, "attempts.parquet"), columns=["attempt_id"])["attempt_id"]
    except (OutError, OSError, pa.ArrowException):
        return []
    return sorted(name for name in ids.to_pylist() if not name.startswith(LOST))


def published_lines(out: str | Path) -> list[ToldPosts]:
    """The POSTs that lines of the manifest speak of and the ids of `published_attempts` do not vouch for.

    Empty where the manifest cannot be read: a run replaces it.
    """
    columns = ["gateway", _FINGERPRINT, "started_at", "num_purchases", "choice_idx"]
    try:
        told = pq.read_table(existing(out, "manifest.parquet"), columns=columns)
    except (OutError, OSError, pa.ArrowException):
        return []
    lines = told.filter((pc.field("choice_idx") == 0) & pc.field("started_at").is_valid())
    named = _named_posts(out)
    silent = (
        lines
        if named is None
        else lines.join(named, ["gateway", _FINGERPRINT, "started_at"], None, "left anti")
    )
    several = lines.filter(pc.field("num_purchases") > 1)
    return [
        ToldPosts(*row)
        for table in (silent, several)
        for row in zip(*(_plain(table, name) for name in columns[:4]), strict=True)
    ]


def tells_a_success(out: str | Path, names: Collection[tuple[str, str]]) -> bool:
    """Whether the manifest has a success, which is never taken back, of a (gateway, request_fingerprint)."""
    if not names:
        return False
    columns = ["gateway", _FINGERPRINT, "status"]
    try:
        told = pq.read_table(existing(out, "manifest.parquet"), columns=columns)
    except (OutError, OSError, pa.ArrowException):
        return False
    asked = pa.array([fingerprint for _, fingerprint in names], pa.string())
    made = told.filter(pc.field(_FINGERPRINT).isin(asked) & (pc.field("status") == "success"))
    return any((row["gateway"], row[_FINGERPRINT]) in names for row in made.to_pylist())


def _named_posts(out: str | Path) -> pa.Table | None:
    """When the POSTs of attempts.parquet were sent, of those that were really made."""
    columns = ["gateway", _FINGERPRINT, "sent_at", "attempt_id"]
    try:
        found = pq.read_table(existing(out, "attempts.parquet"), columns=columns)
    except (OutError, OSError, pa.ArrowException):
        return None
    really = found.filter(pc.field("attempt_id") < LOST).drop_columns(["attempt_id"])  # they are hex
    return really.rename_columns(["gateway", _FINGERPRINT, "started_at"])


def _plain(table: pa.Table, name: str) -> list[Any]:
    """A column as Python values, instants as microseconds since 1970."""
    column = table[name]
    return (column.cast(pa.int64()) if pa.types.is_timestamp(column.type) else column).to_pylist()


def kept_facts(out: str | Path) -> dict[str, str]:
    """The facts of a run, for who publishes after it; none where they cannot be read.

    A manifest that is gone or damaged has a copy of them beside it.
    """
    for name in ("manifest.parquet", "attempts.parquet"):
        with suppress(OutError, OSError, pa.ArrowException):
            return _facts(out, name)
    return {}


def are_of_one_moment(out: str | Path) -> bool:
    """Whether manifest and attempts were published together, by the totals that both carry."""
    with suppress(OutError, OSError, pa.ArrowException):
        return _facts(out, "manifest.parquet") == _facts(out, "attempts.parquet")
    return False


def read_seeds(out: str | Path) -> dict[tuple[str, str], Literal["yes", "no"]]:
    """What the manifest says of seeds, by (gateway, model); what it does not know is absent.

    One that cannot be read knows nothing: a run replaces it.
    """
    columns = ["gateway", "model", "seed_honoured"]
    try:
        table = pq.read_table(existing(out, "manifest.parquet"), columns=columns)
    except (OutError, OSError, pa.ArrowException):
        return {}
    said = table.group_by(columns).aggregate([]).to_pylist()
    known = [row for row in said if row["seed_honoured"] in ("yes", "no")]
    return {(row["gateway"], row["model"]): row["seed_honoured"] for row in known}


def _read(out: str | Path, name: str, paths: str, below: str) -> pandas.DataFrame:
    frame = pq.read_table(existing(out, name)).to_pandas()
    folder = f"{_root(out)}/{below}".rstrip("/")
    frame[paths] = (f"{folder}/" + frame[paths]).astype(frame[paths].dtype)
    return frame


def _root(out: str | Path) -> str:
    return str(out).rstrip("/") if is_remote(str(out)) else str(Path(out).resolve())


def existing(out: str | Path, name: str) -> Path | pa.BufferReader:
    """The file where it is a file, else its bytes, read in one piece: an object may be replaced meanwhile."""
    if is_remote(str(out)):
        content = Objects(checked_url(str(out))).read(name)
        found = None if content is None else pa.BufferReader(content)
    else:
        found = path if (path := Path(out) / name).is_file() else None
    if found is None:
        raise OutError(f"{out} has no {name}.", "Give the output of a run, or run the table first.")
    return found
