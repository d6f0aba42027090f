"""What a run has in flight: sent, and not ended.

Beside `buy`, for whoever watches. A row that waits for a slot, for a cool-down or for a person holds a worker
and has sent nothing: it is not in flight.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field

from reelsweep.tasks.gateway.client import Exchange


@dataclass(slots=True)
class Flights:
    """POSTs whose answer is read, and jobs they left that are asked for; from any loop and thread."""

    _open: dict[int, Exchange] = field(default_factory=dict[int, Exchange])

    def __len__(self) -> int:
        """How many have left and not ended."""
        return sum(exchange.sent for exchange in list(self._open.values()))

    @contextmanager
    def under_way(self, exchange: Exchange) -> Generator[None]:
        """Count one in the block, from when it leaves."""
        self._open[id(exchange)] = exchange
        try:
            yield
        finally:
            del self._open[id(exchange)]
