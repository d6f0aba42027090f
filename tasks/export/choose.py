"""Which rows of a manifest an export takes: successes that nothing rejected, and a filter in SQL.

The filter is one expression of DuckDB's, asked of a copy of the manifest in memory. It can read that copy
(also in a subquery, as `manifest`) and nothing else: the database opens no file, no network, no variable of
this process, loads no extension, and keeps these settings whatever the expression says.
"""

# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false, reportUnknownParameterType=false
from __future__ import annotations

import re
from collections.abc import Generator
from contextlib import contextmanager
from difflib import get_close_matches
from typing import TYPE_CHECKING

import pyarrow as pa
from reelsweep.prompts.errors import SettingsError

if TYPE_CHECKING:
    import duckdb
    from duckdb import DuckDBPyConnection, DuckDBPyRelation

CONTAINED = {
    "enable_external_access": "false",
    "autoload_known_extensions": "false",
    "autoinstall_known_extensions": "false",
    "python_enable_replacements": "false",
    "threads": "1",
}
"""Settings of the database. One thread and a fixed seed, so that `random()` says the same every time."""
TAKEN = "status = 'success' AND output = 'video' AND file_name IS NOT NULL"
ACCEPTED = "accepted IS NOT FALSE"
ROW = "reelsweep_row"

_UNKNOWN = re.compile(r"Referenced column \"([^\"]+)\" not found")


def choose(manifest: pa.Table, expression: str | None, *, include_rejected: bool) -> list[int]:
    """The rows an export takes, by their place in the manifest.

    Raises SettingsError for a filter that is no single expression, names what is not there, fails on a row,
    or is neither true nor false.
    """
    taken = (
        TAKEN if include_rejected or "accepted" not in manifest.column_names else f"{TAKEN} AND {ACCEPTED}"
    )
    with _database(manifest) as database:
        chosen = database.table("manifest").filter(taken)
        if expression is None:
            return _places(chosen)
        _check_case(manifest.column_names, expression)
        return _asked(database.table("manifest"), chosen, expression, manifest.column_names)


def _check_case(names: list[str], expression: str) -> None:
    """Names that differ in case are one to SQL, which would silently take the first of them."""
    said = set(re.findall(r"\w+", expression.casefold()))
    twins = [name for name in names if sum(name.casefold() == other.casefold() for other in names) > 1]
    for name in twins:
        if said.issuperset(re.findall(r"\w+", name.casefold())):
            raise SettingsError(
                f"--filter: {name!r} has a twin in the manifest that differs in case only.",
                "SQL does not tell them apart; leave it out of the filter, or rename one in the table.",
            )


def _asked(manifest: DuckDBPyRelation, chosen: DuckDBPyRelation, text: str, names: list[str]) -> list[int]:
    """Of the chosen rows those for which the expression is true."""
    import duckdb

    try:
        expression = duckdb.SQLExpression(text)
        kinds = [str(kind) for kind in manifest.project(expression).types]
        if kinds != ["BOOLEAN"]:
            got = kinds[0] if len(kinds) == 1 else f"{len(kinds)} columns"
            raise SettingsError(
                f"--filter: {text!r} is {got}, not true or false.", "Compare it: seed < 10, width = 1280."
            )
        return _places(chosen.filter(expression))
    except duckdb.Error as error:
        raise SettingsError(f"--filter: {text!r}: {_reason(error)}.", _remedy(error, names)) from None


def _places(rows: DuckDBPyRelation) -> list[int]:
    return sorted(row for (row,) in rows.project(ROW).fetchall())


@contextmanager
def _database(manifest: pa.Table) -> Generator[DuckDBPyConnection]:
    """A database that holds the manifest and reaches nothing else."""
    with connect() as database:
        rows = pa.array(range(len(manifest)), pa.int64())
        database.register("arrow", _plain(manifest).append_column(ROW, rows))
        database.execute("CREATE TABLE manifest AS SELECT * FROM arrow")
        database.unregister("arrow")
        database.execute("SET lock_configuration = true")
        database.execute("SELECT setseed(0.5)").fetchall()
        yield database


def connect() -> DuckDBPyConnection:
    """An empty, contained database. Raises SettingsError where DuckDB is not installed."""
    try:
        import duckdb
    except ImportError as error:
        raise SettingsError("export needs DuckDB.", "Install it: pip install 'reelsweep[export]'.") from error
    return duckdb.connect(":memory:", config=dict(CONTAINED))


def _plain(manifest: pa.Table) -> pa.Table:
    """Instants without a zone, in UTC: DuckDB compares zoned ones by an extension that may not be there."""
    fields = [
        pa.field(field.name, pa.timestamp("us") if pa.types.is_timestamp(field.type) else field.type)
        for field in manifest.schema
    ]
    return manifest.cast(pa.schema(fields))


def _reason(error: duckdb.Error) -> str:
    """What DuckDB says, in one line: its kind of error, its sentence, no picture of the place."""
    return " ".join(str(error).partition("\n")[0].split()).rstrip(".!")


def _remedy(error: duckdb.Error, names: list[str]) -> str:
    """Near names for one that is not there; else what a filter looks like."""
    unknown = _UNKNOWN.search(str(error))
    if unknown is None:
        return "Give one SQL expression, such as: seed < 10 AND model = 'sora-2'."
    near = get_close_matches(unknown[1], names, 3)
    text = f"'{unknown[1]}' as text takes single quotes."
    return f"Did you mean {' or '.join(near)}?" if near else f"The README lists the columns; {text}"
