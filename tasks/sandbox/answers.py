"""Sending: a transmission's steps at their instants, or a reply with everything that may happen to it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from itertools import groupby

from reelsweep.tasks.sandbox.protocol import Wire, wire_of
from reelsweep.tasks.sandbox.replies import Reply
from reelsweep.tasks.sandbox.wire import Step, Transmission
from starlette.responses import Response
from starlette.types import Receive, Scope, Send


def _encode(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]


class SentSteps(Response):
    """A response whose body goes out step by step, and ends as the transmission says."""

    def __init__(self, transmission: Transmission, headers: Mapping[str, str], *, status: int = 200) -> None:
        self._transmission, self._headers, self._status = transmission, headers, status
        self.background = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        wire = wire_of(scope)
        start = {"type": "http.response.start", "status": self._status, "headers": _encode(self._headers)}
        await send(start)
        if not await self._send_steps(wire, send):
            return
        if self._transmission.close == "end":
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        else:
            await wire.close()

    async def _send_steps(self, wire: Wire, send: Send) -> bool:
        clock = asyncio.get_running_loop().time
        began = clock()
        for at_s, data in _bursts(self._transmission.steps):
            if not await wire.sleep(began + at_s - clock()):
                return False
            await send({"type": "http.response.body", "body": data, "more_body": True})
        return True


def _bursts(steps: tuple[Step, ...]) -> Iterator[tuple[float, bytes]]:
    """Steps of one instant leave together."""
    for at_s, group in groupby(steps, lambda step: step.at_s):
        yield at_s, b"".join(step.data for step in group)


class Reset(Response):
    """No response at all: the connection is reset."""

    def __init__(self) -> None:
        self.background = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        await wire_of(scope).reset()


def respond(reply: Reply, request_id: str) -> Response:
    """A reply as a response."""
    headers = {**reply.headers, "x-request-id": request_id}
    return Response(reply.body, status_code=reply.status, media_type=reply.media_type, headers=headers)
