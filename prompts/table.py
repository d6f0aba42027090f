"""A prompt table from wherever it is: CSV, TSV, JSONL, Parquet, gzip, any fsspec URL, a DataFrame.

First in the line, before `rows`. Reads and counts; what the cells mean is decided by `rows`.
"""

from __future__ import annotations

import gzip
import zlib
from collections import Counter
from dataclasses import replace
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from typing import IO, TYPE_CHECKING, Literal, cast
from urllib.parse import urlsplit
from urllib.request import url2pathname

from reelsweep.prompts.delimited import Delimited, read_delimited
from reelsweep.prompts.errors import Problem, TableError, UsageError
from reelsweep.prompts.folder import is_several, read_several
from reelsweep.prompts.records import Table
from reelsweep.prompts.remote import refusal, shown_url
from reelsweep.prompts.request import payload_json
from reelsweep.prompts.typed import read_frame, read_lines, read_parquet
from reelsweep.prompts.whole import read_whole

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Table", "read_table"]

EXAMPLE = "example:"
_LINES = (".jsonl", ".ndjson")
_PARQUET = (".parquet", ".pq")
_TABS = (".tsv", ".tab")
_DELIMITED = (".csv", *_TABS)


def read_table(source: str | Path | pd.DataFrame) -> Table:
    """The table behind a path, a folder or pattern of them, an fsspec URL, `example:` or a DataFrame.

    Raises UsageError where nothing can be read there, TableError for what is not a table.
    """
    if not isinstance(source, str | Path):
        return _frame_table(source)
    text = str(source)
    if text.startswith(EXAMPLE):
        return _example_table(text)
    if "://" not in text and is_several(text):
        return read_several(text, _read_one)
    name = shown_url(text)
    folder, data = _read_url(text, name) if "://" in text else _read_file(Path(text), name)
    return _file_table(name, folder, data)


def _frame_table(frame: pd.DataFrame) -> Table:
    typed = read_frame("DataFrame", frame)
    digest = sha256("\0".join(typed.columns).encode())
    for record in typed.records:
        digest.update(payload_json({"cells": list(record)}).encode())
    return Table(
        name="DataFrame",
        stem="dataframe",
        folder=None,
        sha256=digest.hexdigest(),
        columns=_checked("DataFrame", typed.columns),
        records=typed.records,
    )


def _example_table(text: str) -> Table:
    folder = files("reelsweep.prompts.examples")
    wanted = text.removeprefix(EXAMPLE) or "example"
    shipped = sorted(item.name[:-4] for item in folder.iterdir() if item.name.endswith(".csv"))
    if wanted not in shipped:
        raise UsageError(f"no example {wanted!r}.", f"Shipped are: {', '.join(shipped)}.")
    place = folder / f"{wanted}.csv"
    table = _file_table(
        f"{wanted}.csv", place.parent if isinstance(place, Path) else None, place.read_bytes()
    )
    return replace(table, name=text)


def _read_one(path: Path) -> Table:
    folder, data = _read_file(path, str(path))
    return _file_table(str(path), folder, data)


def _read_file(path: Path, name: str) -> tuple[Path | None, bytes]:
    try:
        return path.absolute().parent, read_whole(path)
    except FileNotFoundError:
        remedy = "Check the path; `reelsweep run example:` shows how a table looks."
        raise UsageError(f"no table at {name!r}.", remedy) from None
    except IsADirectoryError:
        raise UsageError(f"{name!r} is a folder, expected a table.", "Name the file in it.") from None
    except OSError as error:
        raise UsageError(f"cannot read {name!r} ({error.strerror}).", "Check its permissions.") from None


def _read_url(url: str, name: str) -> tuple[Path | None, bytes]:
    if url.startswith("file://") and "::" not in url:
        return _read_file(Path(url2pathname(urlsplit(url).path)), name)
    import fsspec  # only here: a local table needs none of it

    try:
        # A file system that is kept would not notice that credentials have been set since.
        with cast("IO[bytes]", fsspec.open(url, "rb", skip_instance_cache=True)) as stream:
            return None, stream.read()
    except FileNotFoundError:
        raise UsageError(f"no table at {name!r}.", "Check the address.") from None
    except Exception as error:  # every file system has its own; their texts may hold keys
        refused = refusal(error, url)
        raise UsageError(f"cannot read {name!r}: {refused.why}.", refused.remedy) from None


def _file_table(name: str, folder: Path | None, data: bytes) -> Table:
    base = name.partition("::")[0].replace("\\", "/").rsplit("/", 1)[-1].removesuffix(".gz")
    stem, dot, suffix = base.rpartition(".")
    content = _unzipped(name, data)
    match _format(name, content, dot + suffix.lower()):
        case "parquet":
            typed = read_parquet(name, content)
        case "lines":
            typed = read_lines(name, content)
        case _ as kind:
            typed = read_delimited(name, content, tabs=kind == "tabs")
    return Table(
        name=name,
        stem=stem or base or "table",
        folder=folder,
        sha256=sha256(data).hexdigest(),
        columns=_checked(name, typed.columns),
        records=typed.records,
        decimal_comma=isinstance(typed, Delimited) and typed.decimal_comma,
    )


def _unzipped(name: str, data: bytes) -> bytes:
    if not data.startswith(b"\x1f\x8b"):
        return data
    try:
        return gzip.decompress(data)
    except (OSError, EOFError, zlib.error):
        raise _wrong(name, "not a whole gzip file") from None


def _format(name: str, content: bytes, suffix: str) -> Literal["parquet", "lines", "tabs", "commas"]:
    """What the bytes are: by their signature, then by the name, then by the first character."""
    first = content.removeprefix(b"\xef\xbb\xbf").lstrip()[:1]
    if content.startswith(b"PAR1") or suffix in _PARQUET:
        return "parquet"
    if content.startswith(b"PK\x03\x04"):
        raise _wrong(name, "an Excel workbook or a zip file; save the table as CSV UTF-8")
    if suffix in _LINES or (first == b"{" and suffix not in _DELIMITED):
        return "lines"
    if suffix == ".json" or (first == b"[" and suffix not in _DELIMITED):
        raise _wrong(name, "a JSON document; expected JSON lines, one object a line, in a file named .jsonl")
    return "tabs" if suffix in _TABS else "commas"


def _checked(name: str, columns: tuple[str, ...]) -> tuple[str, ...]:
    """The columns' names without white space around them; each there, and there once."""
    if not columns:
        raise _wrong(name, "the table is empty: not even a header")
    names = tuple(column.strip() for column in columns)
    problems = [
        Problem(
            row=None, column=None, message=f"column {number} has no name in the header{_index_hint(number)}"
        )
        for number, column in enumerate(names, 1)
        if not column
    ]
    problems += [
        Problem(row=None, column=column, message=f"{count} columns have this name")
        for column, count in Counter(names).items()
        if count > 1 and column
    ]
    if problems:
        raise TableError(name, tuple(problems))
    return names


def _index_hint(number: int) -> str:
    return "; a DataFrame's index? write it with index=False" if number == 1 else ""


def _wrong(name: str, message: str) -> TableError:
    return TableError(name, (Problem(row=None, column=None, message=message),))
