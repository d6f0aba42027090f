"""The published files, as frames and facts.

After `write.py`, for notebooks and for the commands that look at an OUT.
"""

# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false, reportUnknownParameterType=false
# pyarrow ships no types; nothing of it is unknown outside this folder's Arrow modules.
from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow.parquet as pq
from reelsweep.prompts.errors import OutError
from reelsweep.tasks.manifest.parquet import FACT

if TYPE_CHECKING:
    import pandas


def read_manifest(out: str | Path) -> pandas.DataFrame:
    """The manifest of `out`, `file_name` as absolute paths.

    Dtypes are those of `columns.py`: `Int64`, `boolean`, `string`, float64, UTC instants.
    """
    return _read(Path(out), "manifest.parquet", "file_name", "")


def read_attempts(out: str | Path) -> pandas.DataFrame:
    """The attempts of `out`, `transcript` as absolute paths."""
    return _read(Path(out), "attempts.parquet", "transcript", "transcripts")


def read_facts(out: str | Path) -> dict[str, str]:
    """What the manifest says of its run as a whole (table, versions, gateway, totals)."""
    metadata = pq.read_metadata(_existing(Path(out), "manifest.parquet")).metadata or {}
    facts = {key.decode(): value.decode() for key, value in metadata.items()}
    return {key.removeprefix(FACT): facts[key] for key in sorted(facts) if key.startswith(FACT)}


def _read(out: Path, name: str, paths: str, below: str) -> pandas.DataFrame:
    frame = pq.read_table(_existing(out, name)).to_pandas()
    folder = (out / below).resolve()
    frame[paths] = (f"{folder}/" + frame[paths]).astype(frame[paths].dtype)
    return frame


def _existing(out: Path, name: str) -> Path:
    path = out / name
    if not path.is_file():
        raise OutError(f"{out} has no {name}.", "Give the output folder of a run, or run the table first.")
    return path
