"""The one door: every address that came from a table, a stream or a redirect is fetched through here.

A name is resolved once; one answer that is not of the public internet refuses the name; the connection
goes to exactly the address that was judged, with the name in SNI and Host. Exempt are the gateway's own
host and port and what `--allow-host` names. No proxies, no cookies, no environment.

DoorError                      the door says no; asking again does not help
├── AddressError               the URL, or where its name leads, is not to be fetched
├── RedirectError              too many redirects, or one that leads nowhere
└── AnswerError                the answer is encoded though `identity` was asked for
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import cast

import httpcore
import httpx
from reelsweep.prompts.errors import ReelsweepError
from reelsweep.tasks.artifacts.addresses import is_public
from reelsweep.tasks.artifacts.origin import AllowedHost, Origin, is_safe_for_keys, origin_of
from reelsweep.tasks.artifacts.transport import DoorTransport

MAX_REDIRECTS = 5
REDIRECTS = frozenset({301, 302, 303, 307, 308})
PLAIN_ENCODINGS = frozenset({"", "identity", "aws-chunked"})
"""`aws-chunked` is a mark some object stores forget in the header of bytes that are plain."""

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""Host and port to addresses, in the order to try."""
Connect = Callable[[str, int, float | None], Awaitable[httpcore.AsyncNetworkStream]]
"""Address, port and time-out in seconds to a connected stream."""


class DoorError(ReelsweepError):
    """The door says no; asking again does not help. The message holds no path and no query."""


class AddressError(DoorError):
    """The URL, or an address its name leads to, is not to be fetched."""


class RedirectError(DoorError):
    """Too many redirects, or one that leads nowhere."""


class AnswerError(DoorError):
    """The answer is compressed although `identity` was asked for."""


async def resolve_name(host: str, port: int) -> Sequence[str]:
    """All addresses of `host`, as the system's resolver orders them."""
    loop = asyncio.get_running_loop()
    answers = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(answer[4][0]) for answer in answers))


async def connect_tcp(address: str, port: int, timeout_s: float | None) -> httpcore.AsyncNetworkStream:
    """A TCP connection to an address (never a name)."""
    backend = cast(httpcore.AsyncNetworkBackend, httpcore.AnyIOBackend())
    return await backend.connect_tcp(address, port, timeout=timeout_s)


class Door:
    """Decides what may be fetched, and fetches it. Belongs to the process; not tied to an event loop."""

    def __init__(
        self,
        *,
        own_origins: Iterable[Origin] = (),
        allow_hosts: Iterable[str] = (),
        resolve: Resolve = resolve_name,
        connect: Connect = connect_tcp,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        """`allow_hosts` are `HOST` or `HOST:PORT`, ValueError where one is not."""
        self._own = frozenset(own_origins)
        self._own_places = frozenset(origin.place for origin in self._own)
        self._allowed = tuple(AllowedHost.parse(text) for text in allow_hosts)
        self._resolve = resolve
        self._connect = connect
        self._ssl_context = ssl_context

    def transport(self, size: int) -> DoorTransport:
        """An httpx transport through this door: at most `size` connections, kept alive for a while."""
        if self._ssl_context is None:
            self._ssl_context = httpx.create_ssl_context(trust_env=False)
        return DoorTransport(self.reach, self.check, ssl_context=self._ssl_context, size=size)

    def is_exempt(self, host: str, port: int) -> bool:
        """Whether this host and port may be anywhere, loopback and private networks included."""
        return (host, port) in self._own_places or any(a.covers(host, port) for a in self._allowed)

    def key_may_go_to(self, url: str | httpx.URL) -> bool:
        """Whether an `Authorization` header may go to `url`: an own origin, and nobody can listen."""
        origin = origin_of(url)
        return origin in self._own and is_safe_for_keys(origin)

    def check(self, request: httpx.Request) -> None:
        """Raise AddressError for a request that must not leave, whoever built it."""
        origin = checked_origin(request.url)
        if "authorization" in request.headers and not self.key_may_go_to(request.url):
            raise AddressError(f"a key was about to be sent to {origin}, which is not the gateway's.")

    async def reach(self, host: str, port: int, timeout_s: float | None) -> httpcore.AsyncNetworkStream:
        """A connection to one of the judged addresses of `host`; AddressError if any is not public."""
        give_up_at = None if timeout_s is None else time.monotonic() + timeout_s
        addresses = await self._addresses(host, port, timeout_s)
        for left, address in zip(range(len(addresses) - 1, -1, -1), addresses, strict=True):
            share_s = None if give_up_at is None else max(0.1, (give_up_at - time.monotonic()) / (left + 1))
            try:
                return await self._connect(address, port, share_s)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                if not left:
                    raise
        raise httpcore.ConnectError(f"{host} has no address")

    async def _addresses(self, host: str, port: int, timeout_s: float | None) -> Sequence[str]:
        try:
            async with asyncio.timeout(timeout_s):
                addresses = await self._resolve(host, port)
        except TimeoutError as error:
            raise httpcore.ConnectTimeout(f"{host} did not resolve in time") from error
        except (OSError, UnicodeError) as error:
            raise httpcore.ConnectError(f"{host} does not resolve") from error
        bad = [address for address in addresses if not is_public(address)]
        if bad and not self.is_exempt(host, port):
            remedy = f"If that is meant, allow it with --allow-host {host}:{port}."
            raise AddressError(f"{host} leads to {bad[0]}, which is not on the public internet.", remedy)
        return addresses

    async def get(
        self,
        transport: httpx.AsyncBaseTransport,
        url: str,
        *,
        headers: Mapping[str, str],
        idle_s: float,
        connect_s: float = 10.0,
    ) -> httpx.Response:
        """The answer at the end of at most five redirects, body unread; the caller closes it.

        An `Authorization` header goes to own origins only and is dropped on the way elsewhere. Raises
        DoorError, or httpx.TransportError where the network failed.
        """
        timeout = {"connect": connect_s, "read": idle_s, "write": idle_s, "pool": None}
        for _ in range(MAX_REDIRECTS + 1):
            request = self._request(url, headers)
            request.extensions = {"timeout": timeout}
            response = await transport.handle_async_request(request)
            response.request = request
            if response.status_code not in REDIRECTS:
                return await _plain(response)
            await response.aclose()
            url = _next_url(request.url, response)
        raise RedirectError(f"more than {MAX_REDIRECTS} redirects, the last one to {origin_of(url)}.")

    def _request(self, url: str, headers: Mapping[str, str]) -> httpx.Request:
        origin = checked_origin(url)
        sent = httpx.Headers(headers)
        sent["Accept-Encoding"] = "identity"
        sent.setdefault("Accept", "*/*")
        sent.setdefault("User-Agent", "reelsweep")
        if origin not in self._own or not is_safe_for_keys(origin):
            sent.pop("Authorization", None)
        return httpx.Request("GET", url, headers=sent)


def checked_origin(url: str | httpx.URL) -> Origin:
    """The origin of a URL that may be fetched, else AddressError."""
    try:
        return origin_of(url)
    except ValueError as error:
        raise AddressError(f"an address was refused: {error}.") from None


async def _plain(response: httpx.Response) -> httpx.Response:
    encoding = response.headers.get("content-encoding", "").strip().lower()
    if encoding in PLAIN_ENCODINGS:
        return response
    await response.aclose()
    origin = origin_of(response.request.url)
    raise AnswerError(f"{origin} sent an answer encoded as {encoding[:20]!r}, expected it as it is.")


def _next_url(here: httpx.URL, response: httpx.Response) -> str:
    location = response.headers.get("location", "")
    try:
        there = here.join(location)
    except (httpx.InvalidURL, UnicodeError):
        location = ""
        there = here
    if not location:
        raise RedirectError(f"{origin_of(here)} redirects (HTTP {response.status_code}) to nowhere.")
    return str(there)
