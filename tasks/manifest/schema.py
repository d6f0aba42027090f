"""Arrow schemas of the declared columns, with what pandas needs to read them back as declared.

Between `columns.py` and the Parquet files.
"""

# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false, reportUnknownParameterType=false
# pyarrow ships no types; nothing of it is unknown outside this folder's Arrow modules.
from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

import pyarrow as pa
from reelsweep.tasks.manifest.columns import Column, Kind

_ARROW: Mapping[Kind, pa.DataType] = {
    Kind.STRING: pa.string(),
    Kind.INTEGER: pa.int64(),
    Kind.NUMBER: pa.float64(),
    Kind.BOOLEAN: pa.bool_(),
    Kind.INSTANT: pa.timestamp("us", tz="UTC"),
}
_PANDAS: Mapping[Kind, tuple[str, str]] = {
    Kind.STRING: ("unicode", "string"),
    Kind.INTEGER: ("int64", "Int64"),
    Kind.NUMBER: ("float64", "float64"),
    Kind.BOOLEAN: ("bool", "boolean"),
    Kind.INSTANT: ("datetimetz", "datetime64[us, UTC]"),
}
"""Kind to (pandas_type, numpy_type), the words of pandas' developer documentation on Parquet metadata."""


def arrow_schema(columns: Iterable[Column]) -> pa.Schema:
    """The schema of `columns`; pandas reads it as `Int64`, `boolean`, `string`, float64 and UTC instants."""
    declared = tuple(columns)
    fields = [pa.field(column.name, _ARROW[column.kind], nullable=column.nullable) for column in declared]
    return pa.schema(fields, metadata={"pandas": json.dumps(_pandas_metadata(declared))})


def _pandas_metadata(columns: Iterable[Column]) -> dict[str, Any]:
    return {
        "index_columns": [],
        "column_indexes": [],
        "columns": [_pandas_column(column) for column in columns],
        "pandas_version": "2.2.0",
    }


def _pandas_column(column: Column) -> dict[str, Any]:
    pandas_type, numpy_type = _PANDAS[column.kind]
    return {
        "name": column.name,
        "field_name": column.name,
        "pandas_type": pandas_type,
        "numpy_type": numpy_type,
        "metadata": {"timezone": "UTC"} if column.kind is Kind.INSTANT else None,
    }
