"""Drift: a result from another configuration of the gateway than the first one of this OUT.

Beside the run. It is said at once and emitted as an event; then the run goes on (`warn`), sends nothing new
until a person says so (`pause`), or sends nothing more (`stop`). What is paid for is always finished.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from reelsweep.flows.execution.asking import ask_person, warn
from reelsweep.flows.options import OnDrift
from reelsweep.tasks.gateway.strata import Change
from reelsweep.tasks.purchase.context import RunContext
from reelsweep.tasks.purchase.stops import Stop

MOST_TOLD = 20
"""Strata of one model that are told of one by one: a mark that is new each time names no configuration."""

REMEDY = "--on-drift warn goes on and keeps both apart (column `stratum`); another --out begins anew."


@dataclass(slots=True, kw_only=True)
class Drift:
    """What becomes of the changes of one run."""

    context: RunContext
    policy: OnDrift
    emit: Callable[[Change], None]
    _asking: asyncio.Task[None] | None = field(default=None)

    def on_change(self, change: Change) -> None:
        """Say it, emit it, and go on, pause or stop."""
        if change.is_new and change.num_seen <= MOST_TOLD:
            more = " Later ones are counted, not told." if change.num_seen == MOST_TOLD else ""
            warn(f"{describe(change)}{more}")
            self.emit(change)
        match self.policy:
            case "warn":
                pass
            case "stop":
                self.context.stop(stop_of(change))
            case "pause" if self.context.paused is None and self.context.stopped is None:
                self.context.paused = "paused: is the change of the gateway all right?"
                self._asking = asyncio.create_task(self._ask(change))
            case "pause":
                pass

    async def close(self) -> None:
        """Ask no more."""
        if self._asking is not None:
            self._asking.cancel()
            with suppress(asyncio.CancelledError):
                await self._asking

    async def _ask(self, change: Change) -> None:
        """Nothing new is sent meanwhile; a question that cannot be put is answered with no."""
        try:
            agreed = await ask_person("Go on with the changed gateway?")
        except Exception as error:  # a terminal that is gone: left paused, the run would never end
            warn(f"nobody could be asked ({type(error).__name__}).")
            agreed = False
        if not agreed:
            self.context.stop(stop_of(change))
        self.context.paused = None


def describe(change: Change) -> str:
    """The change in one line."""
    return f"{change.model} is now answered by {change.now}; this OUT began with {change.first}."


def stop_of(change: Change) -> Stop:
    """Why the run sends nothing more."""
    return Stop(reason="drift", message=f"{describe(change)} Nothing more is sent.", remedy=REMEDY)
