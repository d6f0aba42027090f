"""A table that forgets what was not asked for longest, so that memory stays flat however long a run is."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

Key = TypeVar("Key")
Value = TypeVar("Value")


def _one(_: object) -> int:
    return 1


class Recent(Generic[Key, Value]):
    """The latest entries up to a total weight, by default a number of entries."""

    def __init__(self, capacity: int, weigh: Callable[[Value], int] = _one) -> None:
        self._entries = OrderedDict[Key, Value]()
        self._capacity, self._weigh, self._weight = capacity, weigh, 0

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: Key) -> Value | None:
        """The entry, which counts as asked for; None when it is not there (any more)."""
        if key in self._entries:
            self._entries.move_to_end(key)
        return self._entries.get(key)

    def put(self, key: Key, value: Value) -> None:
        """Remember an entry, forgetting the oldest ones where there is no room; the newest always stays."""
        if key in self._entries:
            self._weight -= self._weigh(self._entries.pop(key))
        self._entries[key] = value
        self._weight += self._weigh(value)
        while self._weight > self._capacity and len(self._entries) > 1:
            self._weight -= self._weigh(self._entries.popitem(last=False)[1])
