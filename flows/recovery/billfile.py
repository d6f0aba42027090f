"""A bill's file as rows of text: CSV, TSV, or JSON Lines as the sandbox writes it.

Before `bill`, which says what the cells mean.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from reelsweep.prompts.delimited import read_delimited
from reelsweep.prompts.errors import Problem, SettingsError, TableError

JSON_LINES = (".jsonl", ".ndjson")


@dataclass(frozen=True, slots=True, kw_only=True)
class BillFile:
    """Every record has every column; what a line does not say is an empty text."""

    columns: tuple[str, ...]
    records: Sequence[dict[str, str]]
    decimal_comma: bool
    """Whether a number may be written `0,80`."""


def read_bill(path: Path) -> BillFile:
    """The rows of a file. Raises SettingsError where there is none, TableError for what is no row."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise SettingsError(
            f"--bill: {path} cannot be read ({error.strerror}).", "Name a CSV or JSON Lines file."
        ) from None
    if path.suffix in JSON_LINES:
        return _of_objects(_objects(str(path), data))
    table = read_delimited(str(path), data, tabs=path.suffix == ".tsv")
    cells = (cast(tuple[str, ...], record) for record in table.records)
    records = [dict(zip(table.columns, record, strict=True)) for record in cells]
    return BillFile(columns=table.columns, records=records, decimal_comma=table.decimal_comma)


def _objects(name: str, data: bytes) -> list[dict[str, Any]]:
    """Numbers as they are written, so that no amount is rounded."""
    objects: list[dict[str, Any]] = []
    problems: list[Problem] = []
    for row, line in enumerate((line for line in data.splitlines() if line.strip()), start=1):
        try:
            value = json.loads(line, parse_float=str, parse_int=str)
        except ValueError:
            value = None
        if isinstance(value, dict):
            objects.append(cast(dict[str, Any], value))
        else:
            problems.append(Problem(row=row, column=None, message="expected a JSON object on one line"))
    if problems:
        raise TableError(name, tuple(problems))
    return objects


def _of_objects(objects: Sequence[dict[str, Any]]) -> BillFile:
    columns = tuple(dict.fromkeys(name for told in objects for name in told))
    records = [{name: _text(told.get(name)) for name in columns} for told in objects]
    return BillFile(columns=columns, records=records, decimal_comma=False)


def _text(value: object) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value)
