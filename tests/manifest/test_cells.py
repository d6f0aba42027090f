"""Types of the columns a table brings along."""

from __future__ import annotations

from itertools import permutations

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st
from reelsweep.tasks.manifest.cells import cell, join, kind_of, widen
from reelsweep.tasks.manifest.columns import Column, Kind
from reelsweep.tasks.manifest.schema import arrow_schema

scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8)
kinds = st.none() | st.sampled_from([Kind.BOOLEAN, Kind.INTEGER, Kind.NUMBER, Kind.STRING])


def test_the_narrowest_kind_that_holds_all_wins() -> None:
    """Integers stay integers, a fraction makes them numbers, a word or a mixture makes them text."""
    assert widen(None, [None, None]) is None
    assert widen(None, [1, None, 0]) is Kind.INTEGER
    assert widen(None, [1, 0.5]) is Kind.NUMBER
    assert widen(None, [True, None]) is Kind.BOOLEAN
    assert widen(None, [True, 1]) is Kind.STRING
    assert widen(None, [1, "auto"]) is Kind.STRING
    assert widen(None, [2**63 - 1]) is Kind.INTEGER
    assert widen(None, [2**63]) is Kind.STRING


def test_a_cell_among_texts_is_spelled_as_json() -> None:
    """A number or a boolean that became text reads as it stood in the table."""
    assert [cell(value, Kind.STRING) for value in (0, 0.5, True, "x", None)] == [
        "0",
        "0.5",
        "true",
        "x",
        None,
    ]
    assert cell(0, Kind.NUMBER) == 0


@given(left=kinds, right=kinds, third=kinds)
def test_join_does_not_depend_on_the_order(left: Kind | None, right: Kind | None, third: Kind | None) -> None:
    """A column's type is the same in whatever order its rows come."""
    assert len({join(join(a, b), c) for a, b, c in permutations((left, right, third))}) == 1
    assert join(left, left) is left


@given(first=st.lists(scalars), second=st.lists(scalars))
def test_widening_in_parts_is_widening_at_once(first: list[object], second: list[object]) -> None:
    """A column's type does not depend on where a batch ends."""
    assert widen(widen(None, first), second) is widen(None, first + second)  # type: ignore[arg-type]


@given(values=st.lists(scalars, min_size=1))
def test_every_value_fits_its_column(values: list[object]) -> None:
    """Whatever a table holds, its column takes it, and only null becomes null."""
    kind = widen(None, values)  # type: ignore[arg-type]
    field = arrow_schema([Column("param_x", kind or Kind.STRING, "")]).field(0)
    texts = [cell(value, kind) for value in values]  # type: ignore[arg-type]
    held = pa.array(texts, field.type).to_pylist()
    assert [value is None for value in held] == [value is None for value in values]


@given(value=scalars.filter(lambda value: value is not None))
def test_a_value_alone_keeps_its_kind(value: object) -> None:
    """A column of one value has that value's kind."""
    assert widen(None, [value]) is kind_of(value)  # type: ignore[arg-type]
