"""The client of the gateway: one POST, its body fed to a Reader, and what may have left the machine.

I/O only: it translates and calls; what a body means is decided in `fold`. Generations go over fresh
connections (no keep-alive: a POST on a reused dead connection is ambiguous; one shared keep-alive
pool was measured at three times the CPU), and nothing is read from the environment.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import httpx
from reelsweep.tasks.gateway.outcome import Outcome
from reelsweep.tasks.gateway.times import Times

TRANSCRIPT_HEAD_BYTES = 256 * 1024
TRANSCRIPT_TAIL_BYTES = 256 * 1024

_HAS_LEFT = ("send_request_body.complete", "send_request_body.failed")
_KEEP_ALIVE: list[tuple[int, int, int]] = [
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    *(
        (socket.IPPROTO_TCP, getattr(socket, name), value)
        for name, value in (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 15), ("TCP_KEEPCNT", 4))
        if hasattr(socket, name)
    ),
]


class BodyReader(Protocol):
    """What the client feeds: `fold.Reader`."""

    task_id: str | None
    status_url: str | None
    num_events: int

    def feed(self, chunk: bytes) -> None: ...

    def end(self, cut: str | None = None) -> Outcome: ...


@dataclass(slots=True)
class Tape:
    """The raw body, bounded: its head and its tail."""

    head: bytearray = field(default_factory=bytearray)
    tail: bytearray = field(default_factory=bytearray)
    dropped: int = 0

    def add(self, chunk: bytes) -> None:
        """Keep what fits."""
        room = TRANSCRIPT_HEAD_BYTES - len(self.head)
        if room > 0:
            self.head += chunk[:room]
            chunk = chunk[room:]
        if chunk:
            self.tail += chunk
            if len(self.tail) > 2 * TRANSCRIPT_TAIL_BYTES:
                self.dropped += len(self.tail) - TRANSCRIPT_TAIL_BYTES
                del self.tail[:-TRANSCRIPT_TAIL_BYTES]

    def bytes(self) -> bytes:
        """Head, a line about what is missing, tail."""
        gap = f"\n: {self.dropped} bytes left out\n".encode() if self.dropped else b""
        return bytes(self.head) + gap + bytes(self.tail)


@dataclass(slots=True, kw_only=True)
class Exchange:
    """One POST as it goes: what is known of it whatever happens next."""

    sent: bool = False
    """True once a byte of the request may have left."""
    withheld: bool = False
    """True where the connection stood and the owner no longer allowed it."""
    answered: bool = False
    """True once a status line came."""
    tape: Tape = field(default_factory=Tape)
    reader: BodyReader | None = None


def generation_client(times: Times, tls: ssl.SSLContext | None = None) -> httpx.AsyncClient:
    """The client for POSTs: one per event loop; no redirect is followed, no pool holds anyone up."""
    transport = httpx.AsyncHTTPTransport(
        verify=tls or httpx.create_ssl_context(trust_env=False),
        trust_env=False,
        limits=httpx.Limits(max_connections=None, max_keepalive_connections=0),
        socket_options=_KEEP_ALIVE,
    )
    timeout = httpx.Timeout(connect=times.connect_s, write=times.write_s, read=times.idle_s, pool=None)
    return httpx.AsyncClient(transport=transport, timeout=timeout, trust_env=False, follow_redirects=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One POST: exactly these bytes to exactly this address."""

    url: str
    headers: Mapping[str, str]
    body: bytes


class _WithheldError(Exception):
    """Raised between the connection and the first byte."""


async def post(
    client: httpx.AsyncClient,
    request: Request,
    exchange: Exchange,
    make_reader: Callable[[httpx.Response], BodyReader],
    on_seen: Callable[[BodyReader], Awaitable[None]],
    *,
    may_leave: Callable[[], bool],
    times: Times,
) -> Outcome:
    """Send and read to the end of the body; every failure of the network is an Outcome.

    `may_leave` is asked when the connection stands, right before the first byte of the request.

    `on_seen` is awaited when the first event came and whenever the reader learns a task id or a status
    URL. `exchange` is filled as things happen, so that a cancelled caller knows what may have left.
    """
    try:
        async with asyncio.timeout(times.stream_s):
            response = await _send(client, request, exchange, may_leave, times.write_s)
            return await _read(response, exchange, make_reader, on_seen)
    except _WithheldError:
        exchange.withheld = True
        return unsent("connect", "the right to send was lost before the request began")
    except TimeoutError:
        return cut_outcome(exchange, "timeout")
    except httpx.ReadTimeout:
        return cut_outcome(exchange, "idle")
    except httpx.ConnectTimeout:
        return unsent("connect", "the gateway did not accept a connection in time")
    except httpx.ConnectError as error:
        return unsent(*connect_failure(error))
    except (httpx.UnsupportedProtocol, httpx.LocalProtocolError, httpx.InvalidURL) as error:
        return unsent("bad_request", str(error), retry_none=True)
    except httpx.RequestError:
        # also DecodingError, which is no TransportError: a body that claims gzip and is none
        return cut_outcome(exchange, "reset")


async def _send(
    client: httpx.AsyncClient,
    request: Request,
    exchange: Exchange,
    may_leave: Callable[[], bool],
    write_s: float,
) -> httpx.Response:
    """The answer's head. httpx times each write; here all of them together take `write_s` at most."""
    writing = asyncio.timeout(None)

    async def trace(name: str, _info: Mapping[str, Any]) -> None:
        if name.endswith("send_request_headers.started"):
            if not may_leave():
                raise _WithheldError
            exchange.sent = True
            writing.reschedule(asyncio.get_running_loop().time() + write_s)
        elif name.endswith(_HAS_LEFT) and not writing.expired():
            writing.reschedule(None)

    content = client.build_request(
        "POST", request.url, headers=dict(request.headers), content=request.body, extensions={"trace": trace}
    )
    try:
        async with writing:
            return await client.send(content, stream=True)
    except TimeoutError as error:
        raise httpx.WriteTimeout("the request took too long to leave") from error


async def _read(
    response: httpx.Response,
    exchange: Exchange,
    make_reader: Callable[[httpx.Response], BodyReader],
    on_seen: Callable[[BodyReader], Awaitable[None]],
) -> Outcome:
    try:
        exchange.answered = True
        reader = exchange.reader = make_reader(response)
        seen = (None, None, False)
        async for chunk in response.aiter_bytes():
            exchange.tape.add(chunk)
            reader.feed(chunk)
            now_seen = (reader.task_id, reader.status_url, reader.num_events > 0)
            if now_seen != seen:
                seen = now_seen
                await on_seen(reader)
        return reader.end()
    finally:
        await response.aclose()


def connect_failure(error: BaseException) -> tuple[str, str]:
    """(error_type, message) of a connection that never stood: dns, tls or connect."""
    causes = list(_causes(error))
    if any(isinstance(cause, socket.gaierror) for cause in causes):
        return "dns", "the gateway's name does not resolve"
    if any(isinstance(cause, ssl.SSLError) for cause in causes):
        detail = next(str(cause) for cause in causes if isinstance(cause, ssl.SSLError))
        return "tls", f"no secure connection to the gateway: {detail}"
    return "connect", "the gateway refused the connection"


def unsent(error_type: str, message: str, *, retry_none: bool = False) -> Outcome:
    """The outcome of a POST of which no byte can have left."""
    return Outcome(
        status="failed",
        retry="none" if retry_none else "backoff",
        billed="no",
        error_type=error_type,
        error_code=error_type,
        error_message=message,
    )


def cut_outcome(exchange: Exchange, how: str) -> Outcome:
    """The outcome of an exchange that did not end by itself: reset, idle, timeout or client."""
    if exchange.reader is not None:
        return exchange.reader.end(how)
    if not exchange.sent:
        return unsent("connect", "the connection was lost before the request began")
    error_type = {"idle": "silence", "timeout": "timeout"}.get(how, "cut")
    return Outcome(
        status="incomplete",
        retry="resubmit_once",
        billed="maybe",
        error_type=error_type,
        error_code=error_type,
        error_message="no answer came; the request may have been accepted",
    )


def _causes(error: BaseException | None) -> list[BaseException]:
    causes: list[BaseException] = []
    while error is not None and error not in causes:
        causes.append(error)
        error = error.__cause__ or error.__context__
    return causes
