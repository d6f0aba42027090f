"""The published files, as frames and facts.

After `write.py`, for notebooks and for the commands that look at an OUT.
"""

# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false, reportUnknownParameterType=false
# pyarrow ships no types; nothing of it is unknown outside this folder's Arrow modules.
from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pyarrow as pa
import pyarrow.parquet as pq
from reelsweep.prompts.errors import OutError
from reelsweep.prompts.remote import is_remote
from reelsweep.tasks.ledger.standing import LOST
from reelsweep.tasks.manifest.parquet import FACT
from reelsweep.tasks.storage.objects import Objects
from reelsweep.tasks.storage.remote import checked_url

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
    metadata = pq.read_metadata(_existing(out, name)).metadata or {}
    facts = {key.decode(): value.decode() for key, value in metadata.items()}
    return {key.removeprefix(FACT): facts[key] for key in sorted(facts) if key.startswith(FACT)}


def published_attempts(out: str | Path) -> list[str]:
    """The ids of the POSTs that the files know of, of those that were really made; the newest last."""
    try:
        ids = pq.read_table(_existing(out, "attempts.parquet"), columns=["attempt_id"])["attempt_id"]
    except (OutError, OSError, pa.ArrowException):
        return []
    return sorted(name for name in ids.to_pylist() if not name.startswith(LOST))


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
        table = pq.read_table(_existing(out, "manifest.parquet"), columns=columns)
    except (OutError, OSError, pa.ArrowException):
        return {}
    said = table.group_by(columns).aggregate([]).to_pylist()
    known = [row for row in said if row["seed_honoured"] in ("yes", "no")]
    return {(row["gateway"], row["model"]): row["seed_honoured"] for row in known}


def _read(out: str | Path, name: str, paths: str, below: str) -> pandas.DataFrame:
    frame = pq.read_table(_existing(out, name)).to_pandas()
    folder = f"{_root(out)}/{below}".rstrip("/")
    frame[paths] = (f"{folder}/" + frame[paths]).astype(frame[paths].dtype)
    return frame


def _root(out: str | Path) -> str:
    return str(out).rstrip("/") if is_remote(str(out)) else str(Path(out).resolve())


def _existing(out: str | Path, name: str) -> Path | pa.BufferReader:
    """The file where it is a file, else its bytes, read in one piece: an object may be replaced meanwhile."""
    if is_remote(str(out)):
        content = Objects(checked_url(str(out))).read(name)
        found = None if content is None else pa.BufferReader(content)
    else:
        found = path if (path := Path(out) / name).is_file() else None
    if found is None:
        raise OutError(f"{out} has no {name}.", "Give the output of a run, or run the table first.")
    return found
