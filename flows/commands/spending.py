"""What commands that buy without a table share: options, a stage, a flow that outlives its server."""

from __future__ import annotations

from collections.abc import Awaitable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated, TypeVar

from cyclopts import Parameter
from reelsweep.flows.options import DEFAULT_KEY_ENV, Budget, RunOptions
from reelsweep.flows.orchestration.loss import caused_by_loss
from reelsweep.flows.prepare import Prepared
from reelsweep.flows.reporting.display import Display
from reelsweep.flows.reporting.logs import logging_to
from reelsweep.flows.reporting.terminal import LogFormat, open_display
from reelsweep.flows.server import prefect_server
from reelsweep.prompts.errors import TroubleError
from reelsweep.prompts.pricing import Price

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class SpendingFlags:
    """Where to buy, and for how much."""

    gateway: str | None = None
    """sandbox:, a base URL such as https://host/v1, a profile, or gateway-credentials/NAME."""
    api_key_env: str = DEFAULT_KEY_ENV
    """The environment variable that holds the key."""
    ledger: str | None = None
    """sqlite:///PATH or postgresql://…; OUT/ledger.db when not given."""
    allow_host: Annotated[tuple[str, ...], Parameter(negative=())] = ()
    """A host (HOST or HOST:PORT) that may be fetched from though its address is not public; repeatable."""
    price: str | None = None
    """US dollars a generation (0.80) or a second of video (0.10/s)."""
    budget: str | None = None
    """US dollars for all this ledger ever settles and reserves (500), or per calendar day in UTC (50/day)."""

    def options(self, **more: object) -> RunOptions:
        """The checked options; SettingsError for a value that does not fit."""
        fields = {
            "gateway": self.gateway or "",
            "api_key_env": self.api_key_env,
            "ledger": self.ledger,
            "allow_hosts": self.allow_host,
            "price": None if self.price is None else Price.parse(self.price),
            "budget": None if self.budget is None else Budget.parse(self.budget),
        }
        return RunOptions(**{**fields, **more})  # type: ignore[arg-type]


@contextmanager
def stage(prepared: Prepared, log_format: LogFormat) -> Generator[Display]:
    """A display, a log that tells no key, and a Prefect server that answers, for the block."""
    with open_display(log_format) as display, logging_to(display) as redactor, prefect_server() as server:
        display.note(str(server))
        if prepared.key:
            redactor.add(prepared.key)
        server.wait_ready()
        yield display


async def outlive_server(flow: Awaitable[T], decided: Sequence[T]) -> T:
    """A flow's result, also when the Prefect server was lost after it was decided. Raises TroubleError."""
    try:
        return await flow
    except Exception as error:
        if not caused_by_loss(error):
            raise
        if decided:
            return decided[-1]
        raise TroubleError(
            "the Prefect server did not answer.", "Run the same command again: it goes on."
        ) from error
