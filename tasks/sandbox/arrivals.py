"""A checked request on its way to a job, and what both kinds of jobs derive from it."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass

from reelsweep.tasks.sandbox import SANDBOX_VERSION
from reelsweep.tasks.sandbox.dialects import Beat, Chunk, RefusedAt
from reelsweep.tasks.sandbox.faults import Fault
from reelsweep.tasks.sandbox.jobs import Order
from reelsweep.tasks.sandbox.parameters import ChatRequest
from reelsweep.tasks.sandbox.script import Script, draw_share
from reelsweep.tasks.sandbox.streams import error_of

Tell = Callable[[], tuple[Beat, ...]]

REFUSED_AT: dict[str, RefusedAt] = {
    "refused_input": "input",
    "refused_output": "output",
    "refused_likeness": "likeness",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """A request that is going to be answered."""

    request: ChatRequest
    body_sha256: str
    request_sha256: str
    idempotency_key: str | None
    request_id: str
    origin: str
    """`http://host:port` as the client wrote it."""
    faults: tuple[Fault, ...]
    epoch: int
    """Drifts of the model so far."""


def is_text_model(model: str) -> bool:
    """Whether a model answers with words."""
    return "text" in model or "gpt" in model


def write_order(arrival: Arrival, price_musd: int) -> Order:
    return Order(
        model=arrival.request.model,
        seed=arrival.request.seed,
        n=arrival.request.choices,
        price_musd=price_musd,
        body_sha256=arrival.body_sha256,
        request_sha256=arrival.request_sha256,
        idempotency_key=arrival.idempotency_key,
    )


def choose_seed(request: ChatRequest, script: Script) -> int:
    """The seed that is really used: a new one where none is given or heeded."""
    if request.seed is None or script.seed != "honoured":
        return secrets.randbits(31)
    return request.seed


def write_fingerprint(script: Script, epoch: int) -> str | None:
    match script.fingerprint:
        case "absent":
            return None
        case "fixed":
            return f"fp_sandbox_{SANDBOX_VERSION}"
        case "drifting":
            return f"fp_sandbox_{SANDBOX_VERSION}_{epoch}"


def draw_duration_s(arrival: Arrival, script: Script) -> float:
    lot = draw_share("jitter", script.fault_seed, arrival.body_sha256)
    return script.duration_s * (1 + script.jitter * (2 * lot - 1))


def add_usage(request: ChatRequest, tell: Tell, closing: Chunk) -> Tell:
    """The telling, with the usage once more at its end where that was asked for."""
    if request.stream_options is None or not request.stream_options.include_usage:
        return tell
    return lambda: (*tell(), Beat(1, "end", closing))


def explain_end(fault: Fault | None) -> str | None:
    """Why a job with this fault ends without a result; None when it has one."""
    if fault is None or fault.kind.ended == "completed":
        return None
    if fault.kind.ended == "refused":
        return f"The request was blocked: content policy violation ({fault.fault})."
    return str(error_of(fault)["error"]["message"])
