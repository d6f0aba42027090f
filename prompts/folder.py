"""A folder of tables, or those a pattern matches, as one table: ordered by name, told apart by `meta_table`.

Beside `table`, which reads each of them. A folder that grows a file a night is a table that grows.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b, sha256
from pathlib import Path, PurePosixPath, PureWindowsPath

from reelsweep.prompts.cells import as_point_number, as_text
from reelsweep.prompts.columns import BY_NAME, PROMPTS
from reelsweep.prompts.errors import MAX_PROBLEMS, Problem, TableError, UsageError
from reelsweep.prompts.jsontext import parse_json
from reelsweep.prompts.records import Part, Record, Table
from reelsweep.prompts.request import Json, value_json

ENDINGS = (".csv", ".tsv", ".tab", ".jsonl", ".ndjson", ".parquet", ".pq")
"""What counts as a table in a folder, also with `.gz` behind it."""
SOURCE = "meta_table"
"""The column that says which file a row is from."""

Read = Callable[[Path], Table]
Change = Callable[[Json], Json]


def is_several(text: str) -> bool:
    """Whether a path means several tables: an existing folder, or a pattern that is no file's name."""
    return Path(text).is_dir() or (glob.has_magic(text) and not Path(text).exists())


def read_several(text: str, read: Read) -> Table:
    """The tables of a folder or of a pattern such as `tables/*.csv` as one, `read` one by one.

    Raises UsageError where there is none, TableError for those that cannot be read.
    """
    paths = _paths(text)
    tables, problems = _read_all(paths, read)
    if problems:
        raise TableError(text, tuple(problems[:MAX_PROBLEMS]))
    return _joined(text, tables)


def _paths(text: str) -> list[Path]:
    if Path(text).is_dir():
        found = [path for path in Path(text).iterdir() if not path.name.startswith(".")]
    else:
        found = [Path(path) for path in glob.glob(text, recursive=True)]  # noqa: PTH207 - it may be absolute
    paths = sorted((path for path in found if _is_table(path)), key=Path.as_posix)
    if not paths:
        raise UsageError(
            f"no table in {text!r}.", f"Put one there: a file that ends in {', '.join(ENDINGS)}, or .gz."
        )
    return paths


def _is_table(path: Path) -> bool:
    return path.name.lower().removesuffix(".gz").endswith(ENDINGS) and path.is_file()


def _read_all(paths: Sequence[Path], read: Read) -> tuple[list[Table], list[Problem]]:
    tables: list[Table] = []
    problems: list[Problem] = []
    for path in paths:
        try:
            tables.append(read(path))
        except TableError as error:
            problems += [
                Problem(row=each.row, column=each.column, message=each.message, table=error.table)
                for each in error.problems
            ]
    return tables, problems


def _clashes(tables: Sequence[Table]) -> list[Problem]:
    """Rows of two files that have one prompt_id and ask for different things: which is meant?"""
    first: dict[str, tuple[int, bytes, int]] = {}
    problems: list[Problem] = []
    for number, table in enumerate(tables):
        if "prompt_id" not in table.columns:
            continue
        at = table.columns.index("prompt_id")
        asked = [table.columns.index(name) for name in PROMPTS if name in table.columns]
        for row_idx, record in enumerate(table.records):
            if not (prompt_id := record[at]):
                continue
            content = _digest({table.columns[index]: record[index] for index in asked if record[index]})
            other, before, row = first.setdefault(as_text(prompt_id), (number, content, row_idx))
            if other != number and before != content and len(problems) < MAX_PROBLEMS:
                message = f"{prompt_id!r} is another prompt in {tables[other].name}, row {row + 1}"
                problems.append(
                    Problem(row=row_idx + 1, column="prompt_id", message=message, table=table.name)
                )
    return problems


def _digest(cells: Json) -> bytes:
    return blake2b(value_json(cells).encode("utf-8", "surrogatepass"), digest_size=8).digest()


def _joined(text: str, tables: Sequence[Table]) -> Table:
    folders = [str(table.folder) for table in tables if table.folder is not None]
    root = Path(os.path.commonpath(folders)) if folders else None
    columns = tuple(dict.fromkeys(column for table in tables for column in table.columns))
    says_source = not {SOURCE, SOURCE.removeprefix("meta_")} & set(columns)
    digest = sha256("".join(f"{table.name}\0{table.sha256}\n" for table in tables).encode())
    return Table(
        name=text,
        stem=_stem(text),
        folder=root,
        sha256=digest.hexdigest(),
        columns=(*columns, SOURCE) if says_source else columns,
        records=JoinedRecords(
            tuple(_member(table, columns, root, says_source=says_source) for table in tables)
        ),
        problems=tuple(_clashes(tables)),
        parts=tuple(Part(name=table.name, num_rows=len(table.records)) for table in tables),
    )


def _stem(text: str) -> str:
    """What the runs of these tables are called: the folder they have in common, before any pattern."""
    fixed = Path(text)
    while glob.has_magic(str(fixed)):
        fixed = fixed.parent
    return fixed.absolute().resolve().name or "tables"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Member:
    """One table among others: where its cells go, and what is done to them on the way."""

    table: Table
    places: tuple[int | None, ...]
    """For every joined column, this table's column."""
    changes: tuple[tuple[int, Change], ...]
    """Joined columns whose cells are read in the light of this file: its commas, its folder."""
    source: tuple[str, ...]
    """The last cell of each row, or nothing."""

    def __iter__(self) -> Iterator[Record]:
        for record in self.table.records:
            cells = [None if place is None else record[place] for place in self.places]
            for place, change in self.changes:
                cells[place] = change(cells[place])
            yield (*cells, *self.source)


@dataclass(frozen=True, slots=True, eq=False)
class JoinedRecords:
    """The rows of several tables, one table after the other."""

    members: tuple[Member, ...]

    def __len__(self) -> int:
        return sum(len(member.table.records) for member in self.members)

    def __iter__(self) -> Iterator[Record]:
        for member in self.members:
            yield from member


def _member(table: Table, columns: Sequence[str], root: Path | None, *, says_source: bool) -> Member:
    own = {name: index for index, name in enumerate(table.columns)}
    below = PurePosixPath()
    if root is not None and table.folder is not None:
        below = PurePosixPath(table.folder.relative_to(root).as_posix())
    changes: list[tuple[int, Change]] = []
    for place, name in enumerate(columns):
        if name == "image" and name in own and below.parts:
            changes.append((place, lambda cell: _moved(cell, below)))
        known = BY_NAME.get(name)
        if table.decimal_comma and name in own and known is not None and known.type == "number":
            changes.append((place, as_point_number))
    file = str(below / Path(table.name).name)
    return Member(
        table=table,
        places=tuple(own.get(name) for name in columns),
        changes=tuple(changes),
        source=(file,) if says_source else (),
    )


def _moved(cell: Json, below: PurePosixPath) -> Json:
    """References to images as seen from the folder above: each file's lie beside it.

    What is no file below a folder stays as it is, for the reader of images to refuse.
    """
    match cell:
        case str() if cell.lstrip().startswith("["):
            try:
                return _moved(parse_json(cell), below)
            except ValueError:
                return cell
        case list():
            return [_moved(each, below) for each in cell]
        case str() if cell and "://" not in cell and not PureWindowsPath(cell).anchor:
            return cell if PurePosixPath(cell).is_absolute() else str(below / cell)
        case _:
            return cell
