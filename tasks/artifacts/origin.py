"""Where a URL leads: scheme, host and port, as they will be connected to.

Parsed by httpx, which also sends: two parsers that disagree about a host are how keys leak.
"""

from __future__ import annotations

from dataclasses import dataclass

import httpx
from reelsweep.tasks.artifacts.addresses import is_loopback

DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Origin:
    """Scheme, host (lower case, IDNA) and port of an http(s) URL."""

    scheme: str
    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if DEFAULT_PORTS.get(self.scheme) == self.port else f":{self.port}"
        return f"{self.scheme}://{host}{port}"

    @property
    def place(self) -> tuple[str, int]:
        """Host and port: what a connection is made to."""
        return self.host, self.port


def origin_of(url: str | httpx.URL) -> Origin:
    """The origin of an http(s) URL; ValueError for anything else, and for a URL with a user name in it."""
    try:
        parsed = httpx.URL(url)
        host = parsed.raw_host.decode("ascii").lower()
        port = DEFAULT_PORTS.get(parsed.scheme, 0) if parsed.port is None else parsed.port
    except (httpx.InvalidURL, UnicodeError, TypeError) as error:
        raise ValueError("not a URL") from error
    if parsed.scheme not in DEFAULT_PORTS:
        raise ValueError("only http and https are fetched")
    if parsed.userinfo:
        raise ValueError("a URL with a user name or password in it is not fetched")
    if not host or not 0 < port < 65536:
        raise ValueError("a URL without a host or with an impossible port")
    return Origin(parsed.scheme, host, port)


def key_may_go_to(url: str, base_url: str) -> bool:
    """Whether the API key of `base_url` may be sent to `url`.

    Only to the same origin, and over http only on this machine.
    """
    try:
        there, home = origin_of(url), origin_of(base_url)
    except ValueError:
        return False
    return there == home and is_safe_for_keys(there)


def is_safe_for_keys(origin: Origin) -> bool:
    """Whether nobody on the way can read a header sent to `origin`."""
    return origin.scheme == "https" or is_loopback(origin.host)


@dataclass(frozen=True, slots=True)
class AllowedHost:
    """One `--allow-host`: a host, on one port or on all of them."""

    host: str
    port: int | None = None

    @classmethod
    def parse(cls, text: str) -> AllowedHost:
        """`HOST`, `HOST:PORT`, `[V6]:PORT`; ValueError says what was expected."""
        try:
            bare = text.count(":") > 1 and not text.startswith("[")
            parsed = httpx.URL(f"//[{text}]" if bare else f"//{text}")
            host = parsed.raw_host.decode("ascii").lower()
        except (httpx.InvalidURL, UnicodeError) as error:
            raise ValueError(f"got {text!r}, expected HOST or HOST:PORT") from error
        if not host or parsed.userinfo or parsed.raw_path not in (b"", b"/") or parsed.fragment:
            raise ValueError(f"got {text!r}, expected HOST or HOST:PORT")
        return cls(host, parsed.port)

    def covers(self, host: str, port: int) -> bool:
        """Whether a connection to `host` and `port` is allowed by this entry."""
        return self.host == host and self.port in (None, port)
