"""The schema over time."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from reelsweep.prompts.errors import OutError
from reelsweep.tasks.ledger.link import open_link
from reelsweep.tasks.ledger.migrate import migrate, read_steps
from reelsweep.tasks.ledger.place import FilePlace, parse_place, prepare_file
from reelsweep.tasks.ledger.schema import metadata
from sqlalchemy import Connection, inspect


def _on(database: Any, call: Any) -> Any:
    """The value of a call inside one write transaction."""
    place = parse_place(database.url)
    if isinstance(place, FilePlace):
        prepare_file(place.path)
    link = open_link(place, "write")
    try:
        link.begin()
        value = link.apply(call)
        link.commit()
    finally:
        link.close()
    return value


def test_the_steps_make_the_tables_that_the_code_uses(database: Any) -> None:
    """Migrations from nothing end in exactly the columns, keys and indexes of `schema`."""
    database.open()
    _on(database, _compare)


def _compare(conn: Connection) -> None:
    found = inspect(conn)
    assert set(found.get_table_names()) == set(metadata.tables)
    for name, table in metadata.tables.items():
        columns = {column["name"]: column for column in found.get_columns(name)}
        assert set(columns) == set(table.c.keys()), name
        for column in table.c:
            if not column.primary_key:
                assert columns[column.name]["nullable"] == column.nullable, column
            assert columns[column.name]["type"]._type_affinity is column.type._type_affinity, column
        assert found.get_pk_constraint(name)["constrained_columns"] == [c.name for c in table.primary_key]
        indexes = {
            (index["name"], tuple(index["column_names"]), bool(index["unique"]))
            for index in found.get_indexes(name)
        }
        assert indexes == {(i.name, tuple(c.name for c in i.columns), bool(i.unique)) for i in table.indexes}
        keys = {(k["constrained_columns"][0], k["referred_table"]) for k in found.get_foreign_keys(name)}
        assert keys == {(k.parent.name, k.column.table.name) for k in table.foreign_keys}


def test_an_older_ledger_is_brought_forward_and_keeps_its_id(database: Any) -> None:
    """A new step runs once, on what is there."""
    ledger_id = database.open().ledger_id
    step = ("ALTER TABLE runs ADD COLUMN note TEXT", "UPDATE runs SET note = 'moved'")
    steps = (*read_steps(), step)
    for _ in range(2):
        assert _on(database, lambda conn: migrate(conn, steps, "another id")) == ledger_id
    assert database.sql("SELECT note FROM runs") == []
    (version,) = database.sql("SELECT value FROM ledger WHERE name = 'schema_version'")
    assert version.value == str(len(steps))


def test_a_failing_step_leaves_the_ledger_as_it_was(database: Any) -> None:
    """Migration is one transaction: an older version can still use what a newer one failed to change."""
    database.open().close()
    steps = (*read_steps(), ("ALTER TABLE runs ADD COLUMN note TEXT", "UPDATE nothing SET note = 1"))
    with pytest.raises(Exception, match="nothing"):
        _on(database, lambda conn: migrate(conn, steps, "id"))
    columns = _on(database, lambda conn: {column["name"] for column in inspect(conn).get_columns("runs")})
    assert "note" not in columns
    assert database.open().ledger_id


def test_a_newer_ledger_is_refused(database: Any) -> None:
    """An older Reelsweep must not guess what a newer one wrote."""
    database.open().close()
    database.sql("UPDATE ledger SET value = '99' WHERE name = 'schema_version'")
    with pytest.raises(OutError, match="schema version 99"):
        database.open()


def test_a_database_with_other_tables_is_refused(database: Any) -> None:
    """A mistyped --ledger does not mix our tables with somebody else's."""
    database.sql("CREATE TABLE customers (name TEXT)")
    with pytest.raises(OutError, match="customers"):
        database.open()
    assert database.sql("SELECT * FROM customers") == []


def test_many_may_open_a_new_ledger_at_once(database: Any) -> None:
    """Processes that start together make one ledger, not two."""
    with ThreadPoolExecutor(6) as threads:
        ids = {ledger.ledger_id for ledger in threads.map(lambda _: database.open(), range(6))}
    assert len(ids) == 1
    assert database.sql("SELECT slot FROM budgets") == [(-1,)]
