"""Types of the columns a table brings along: `param_<name>` and `meta_<name>`.

Between rows and the Parquet file. Pure: a column's type is the narrowest that holds every value of it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

from reelsweep.prompts.request import Scalar
from reelsweep.tasks.manifest.columns import Kind

INT64 = range(-(2**63), 2**63)
Kinds = Mapping[str, Kind | None]
"""Column to kind; None while no value was seen (written as string)."""


def kind_of(value: Scalar) -> Kind | None:
    """The narrowest kind that holds `value`; an integer beyond 64 bits is text."""
    match value:
        case None:
            return None
        case bool():
            return Kind.BOOLEAN
        case int():
            return Kind.INTEGER if value in INT64 else Kind.STRING
        case float():
            return Kind.NUMBER
        case str():
            return Kind.STRING


def join(left: Kind | None, right: Kind | None) -> Kind | None:
    """The narrowest kind that holds both: integer and number make number, other conflicts text."""
    if left is right or right is None:
        return left
    if left is None:
        return right
    return Kind.NUMBER if {left, right} == {Kind.INTEGER, Kind.NUMBER} else Kind.STRING


def widen(known: Kind | None, values: Iterable[Scalar]) -> Kind | None:
    """`known` widened until it holds `values` too."""
    # A column repeats itself: its distinct values are few, and True, 1 and 1.0 are told apart by type.
    for value in dict.fromkeys((type(value), value) for value in values):
        if known is Kind.STRING:
            break
        known = join(known, kind_of(value[1]))
    return known


def cell(value: Scalar, kind: Kind | None) -> Scalar:
    """`value` as it stands in a column of `kind`; numbers and booleans as text are spelled as in JSON."""
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value) if kind is Kind.STRING or kind is None else value
