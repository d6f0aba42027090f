"""CSV and its relatives: bytes to rows of text, every cell exactly as written.

Before `table`. Commas, semicolons or tabs; UTF-8 or UTF-16, with or without BOM; quoted newlines.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from reelsweep.prompts.arrow import BATCH_ROWS, ArrowRecords, Batch, columns_with_nul, text_batch
from reelsweep.prompts.errors import MAX_PROBLEMS, Problem, TableError

MAX_CELL_CHARS = 64_000_000
"""The csv module's own limit, 131,072, is less than a long prompt."""

_NOTHING: list[str] = []
_BOMS = ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))
_SEP_LINE = re.compile(r'"?sep=([,;\t|])"?\s*')
_PROMPT_COLUMNS = {"prompt", "prompt_template", "messages"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Delimited:
    """What a delimited file holds. `decimal_comma`: a number in it may be written `0,7`."""

    columns: tuple[str, ...]
    records: ArrowRecords
    decimal_comma: bool


def read_delimited(name: str, data: bytes, *, tabs: bool = False) -> Delimited:
    """The header and rows of a CSV or TSV file.

    Raises TableError: bytes that are not text, quotes that do not match, rows of another length.
    """
    csv.field_size_limit(max(csv.field_size_limit(), MAX_CELL_CHARS))
    text = io.TextIOWrapper(io.BytesIO(data), encoding=_encoding(data), newline="")
    try:
        delimiter = _delimiter(text, tabs)
        reader = csv.reader(text, delimiter=delimiter, strict=True)
        header = next(reader, _NOTHING)
        batches = tuple(_batches(name, reader, len(header)))
    except csv.Error as error:
        raise TableError(name, (Problem(row=None, column=None, message=f"in the header: {error}"),)) from None
    except UnicodeError as error:
        raise _not_text(name, data, error) from None
    return Delimited(columns=tuple(header), records=ArrowRecords(batches), decimal_comma=delimiter == ";")


def _encoding(data: bytes) -> str:
    for bom, encoding in _BOMS:
        if data.startswith(bom):
            return encoding
    first, second = data[:1], data[1:2]
    if first == b"\0" != second:
        return "utf-16-be"
    return "utf-16-le" if second == b"\0" != first else "utf-8"


def _delimiter(text: io.TextIOWrapper, tabs: bool) -> str:
    """The delimiter; `text` is left before the header (Excel's own `sep=;` line is passed over)."""
    first = text.readline()
    if named := _SEP_LINE.fullmatch(first):
        return named[1]
    text.seek(0)
    head = text.read(65536)
    text.seek(0)
    return "\t" if tabs else max(",;\t", key=lambda delimiter: _fitness(head, delimiter))


def _fitness(head: str, delimiter: str) -> tuple[bool, int]:
    """How well a delimiter cuts the header: a column every prompt table has, then many columns."""
    try:
        names = next(csv.reader(io.StringIO(head, newline=""), delimiter=delimiter), _NOTHING)
    except csv.Error:
        return (False, 0)
    return (not _PROMPT_COLUMNS.isdisjoint(name.strip() for name in names), len(names))


def _batches(name: str, reader: Iterator[list[str]], width: int) -> Iterator[Batch]:
    problems: list[Problem] = []
    rows = _rows(reader, width, problems)
    num_rows = 0
    while chunk := list(islice(rows, BATCH_ROWS)):
        batch = text_batch(zip(*chunk, strict=True))
        if columns_with_nul(batch):
            row = next(index for index, cells in enumerate(chunk) if "\0" in "".join(cells))
            problems.append(Problem(row=num_rows + row + 1, column=None, message="holds a NUL character"))
        num_rows += len(chunk)
        yield batch
    if problems:
        raise TableError(name, tuple(problems))


def _rows(reader: Iterator[list[str]], width: int, problems: list[Problem]) -> Iterator[list[str]]:
    """The rows as wide as the header; what is wrong with others goes to `problems`. Blank lines are none."""
    number = 0
    try:
        for cells in reader:
            if len(cells) == width:
                number += 1
                yield cells
            elif cells:
                number += 1
                problems.append(Problem(row=number, column=None, message=_ragged(len(cells), width)))
                if len(problems) >= MAX_PROBLEMS:
                    return
    except csv.Error as error:
        problems.append(Problem(row=number + 1, column=None, message=_misquoted(error)))


def _ragged(got: int, width: int) -> str:
    hint = "put quotes around a cell that holds a comma" if got > width else "are cells missing at its end?"
    return f"got {got} cells, expected {width} as in the header; {hint}"


def _misquoted(error: csv.Error) -> str:
    if "unexpected end" in str(error) or "limit" in str(error):
        return "a quoted cell begins here and is never closed"
    return 'a quote ends inside a cell; a cell with quotes is written "say ""hello"" now"'


def _not_text(name: str, data: bytes, error: UnicodeError) -> TableError:
    """Where the bytes stop being text, by line: the rows before it cannot be counted."""
    encoding = _encoding(data)
    message = f"not {encoding} text ({error}); save the table as CSV UTF-8"
    try:
        data.decode(encoding)
    except UnicodeDecodeError as exact:
        line = data[: exact.start].count(b"\n") + 1
        byte = data[exact.start]
        message = f"line {line}: byte 0x{byte:02x} is not UTF-8; save the table as CSV UTF-8"
    return TableError(name, (Problem(row=None, column=None, message=message),))
