"""The bounded window: N workers take specs from the plan, one event loop, at most N alive.

However long the plan is, no more than N coroutines exist. A row that follows another enters only when
its parent has succeeded; waiting takes no worker.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field

from reelsweep.prompts.request import GenerationSpec
from reelsweep.tasks.ledger.records import Standing
from reelsweep.tasks.purchase.ends import RowEnd

Make = Callable[[GenerationSpec], Awaitable[RowEnd]]
Skip = Callable[[GenerationSpec], Awaitable[None]]


async def _nothing_more() -> bool:
    return False


@dataclass(slots=True, kw_only=True)
class Window:
    """Specs on their way: from the plan, or held back until their parent's end."""

    specs: Iterator[GenerationSpec]
    make: Make
    skip: Skip
    stopped: Callable[[], bool]
    parent: Callable[[str], Awaitable[Standing | None]]
    """Where a generation that others follow stands now."""
    more: Callable[[], Awaitable[bool]] = _nothing_more
    """Asked when nothing is under way and `specs` gives none: whether it would now."""
    num_waiting: int = 0
    """Rows that nobody made, since their parent may yet succeed in another run."""
    _held: dict[str, list[GenerationSpec]] = field(default_factory=dict[str, list[GenerationSpec]])
    _ready: list[GenerationSpec] = field(default_factory=list[GenerationSpec])
    _busy: int = 0
    _changed: asyncio.Condition = field(default_factory=asyncio.Condition)
    _group: asyncio.TaskGroup | None = None
    _alive: int = 0
    _wanted: int = 0

    async def run(self, num_workers: int) -> None:
        """Make every spec; returns when none is left, or when the run is stopped and the open ones ended.

        Cancelling cuts every worker off.
        """
        async with asyncio.TaskGroup() as self._group:
            self.lend(num_workers)

    def lend(self, change: int) -> None:
        """So many workers more, or fewer: one stands in for each row that waits for another run's result."""
        self._wanted += change
        while self._group is not None and self._alive < self._wanted:
            self._alive += 1
            self._group.create_task(self._work())

    async def _work(self) -> None:
        while self._alive <= self._wanted and (spec := await self._next()) is not None:
            await self._make(spec)
        self._alive -= 1

    async def _make(self, spec: GenerationSpec) -> None:
        end: RowEnd | None = None
        try:
            end = await self.make(spec)
        finally:
            async with self._changed:
                self._busy -= 1
                if end is not None and end.status == "success":
                    self._ready += self._held.pop(spec.request_fingerprint, [])
                self._changed.notify_all()

    async def _next(self) -> GenerationSpec | None:
        """The next spec whose parent is done; None when nothing will come any more."""
        while True:
            async with self._changed:
                if self.stopped():
                    return None
                spec = await self._take()
                if spec is not None:
                    self._busy += 1
                    return spec
                if not self._busy:
                    if not await self.more():
                        break
                    self._changed.notify_all()
                    continue
                await self._changed.wait()
        await self._leave_orphans()
        return None

    async def _take(self) -> GenerationSpec | None:
        if self._ready:
            return self._ready.pop()
        for spec in self.specs:
            if spec.follows is None:
                return spec
            standing = await self.parent(spec.follows)
            if standing is not None and standing.status == "success":
                return spec
            self._held.setdefault(spec.follows, []).append(spec)
        return None

    async def _leave_orphans(self) -> None:
        """Rows whose parent can have no result end as `skipped_parent`, and those that follow them."""
        held, self._held = self._held, {}
        barren = [fingerprint for fingerprint in held if _is_barren(await self.parent(fingerprint))]
        while barren:
            for spec in held.pop(barren.pop(), []):
                await self.skip(spec)
                barren.append(spec.request_fingerprint)
        self.num_waiting += sum(len(specs) for specs in held.values())


def _is_barren(standing: Standing | None) -> bool:
    """Whether a generation has ended for good, and without a result."""
    if standing is None or standing.status == "success":
        return False
    return standing.next_step == "none" or standing.status == "skipped_parent"
