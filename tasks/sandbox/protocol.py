"""uvicorn's HTTP/1.1 protocol with the connection in reach, so that an answer can be cut or reset."""

from __future__ import annotations

import asyncio
import socket
import struct
from contextlib import suppress
from typing import cast

from starlette.types import Scope
from uvicorn.protocols.http.h11_impl import H11Protocol

_PATIENCE_S = 10.0
_LONG_S = 1.0


class Wire:
    """One client's connection, as an answer may handle it."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @property
    def is_gone(self) -> bool:
        """Whether the client has left, or was left."""
        return self._gone.done()

    def lose(self) -> None:
        """Note that the connection is no more."""
        if not self._gone.done():
            self._gone.set_result(None)

    async def sleep(self, seconds: float) -> bool:
        """Wait; returns whether the client is still there. A client that leaves ends a long wait."""
        if seconds > _LONG_S:
            await asyncio.wait((self._gone,), timeout=seconds)
        elif seconds > 0:
            await asyncio.sleep(seconds)
        return not self.is_gone

    async def close(self) -> None:
        """Close after what was written has left, in the middle of the body as it is."""
        self._transport.close()
        await asyncio.wait((self._gone,), timeout=_PATIENCE_S)

    async def reset(self) -> None:
        """Drop the connection: the client gets a reset."""
        connection = cast("socket.socket", self._transport.get_extra_info("socket"))
        with suppress(OSError):
            # the client may have been quicker and the socket be closed
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()
        await asyncio.wait((self._gone,), timeout=_PATIENCE_S)


class SandboxProtocol(H11Protocol):
    """H11Protocol that puts the connection into each request's state."""

    _wire: Wire

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._wire = Wire(transport)
        self.app_state = {**self.app_state, "wire": self._wire}

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._wire.lose()


def wire_of(scope: Scope) -> Wire:
    """The connection a request came by."""
    return cast("Wire", scope["state"]["wire"])
