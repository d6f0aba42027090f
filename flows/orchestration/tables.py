"""A flow that takes a table: a DataFrame goes in whole and is never sent to the Prefect server.

Deployment and flow-run parameters are stored in clear and capped in size; what the server gets of a
DataFrame is its shape.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import pandas as pd
from prefect import Flow

P = ParamSpec("P")
R = TypeVar("R")


class TableFlow(Flow[P, R]):
    """A Prefect flow whose DataFrame parameters are recorded by their shape."""

    def serialize_parameters(self, parameters: dict[str, Any]) -> dict[str, Any]:
        """The parameters as the server stores them."""
        return super().serialize_parameters({name: _recorded(value) for name, value in parameters.items()})


def table_flow(**options: Any) -> Callable[[Callable[P, R]], TableFlow[P, R]]:
    """Like `prefect.flow(**options)`, for functions that take a table."""

    def decorate(function: Callable[P, R]) -> TableFlow[P, R]:
        return TableFlow(fn=function, **options)

    return decorate


def _recorded(value: Any) -> Any:
    if isinstance(value, pd.DataFrame):
        return f"<DataFrame, {len(value)} rows x {len(value.columns)} columns>"
    return value
