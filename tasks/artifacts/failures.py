"""Why bytes did not come: one error for everything between a URL and a file, and how it is told.

Messages name the host only: a path or a query may be a secret.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Literal

import httpx
from reelsweep.prompts.errors import ReelsweepError
from reelsweep.tasks.artifacts.door import DoorError
from reelsweep.tasks.artifacts.origin import origin_of

Kind = Literal["expired", "not_found", "short", "blocked", "too_large", "network", "status"]
BUSY = frozenset({408, 425, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524})


class DownloadError(ReelsweepError):
    """The bytes did not come. The message names the host only, no path and no query.

    `kind`: expired (401, 403, 410), not_found (404), short (fewer bytes than announced), blocked (the door
    said no), too_large, network, status (any other HTTP status). `retryable`: asking the same address again
    later may help; where it is false, only a fresh address will.
    """

    def __init__(
        self,
        message: str,
        kind: Kind,
        retryable: bool = False,
        http_status: int | None = None,
        remedy: str = "",
    ) -> None:
        Exception.__init__(self, message, kind, retryable, http_status, remedy)
        self.message = message
        self.remedy = remedy
        self.kind: Kind = kind
        self.retryable = retryable
        self.http_status = http_status


@contextmanager
def download_errors(host: str, timeout_s: float, received: Callable[[], int]) -> Generator[None]:
    """What the network, the door and the clock raise inside becomes a DownloadError about `host`."""
    try:
        yield
    except TimeoutError:
        raise DownloadError(f"{host}: it took longer than {timeout_s:g} s.", "network", True) from None
    except httpx.TransportError as error:
        kind: Kind = "short" if received() else "network"
        raise DownloadError(f"{host}: {_cut(error, received())}", kind, True) from None
    except DoorError as error:
        raise DownloadError(f"{host}: {error.message}", "blocked", remedy=error.remedy) from None


def status_error(host: str, status: int) -> DownloadError:
    """What an HTTP status other than 200 means for a download."""
    message = f"{host} answered HTTP {status}."
    match status:
        case 401 | 403 | 410:
            return DownloadError(message, "expired", False, status)
        case 404:
            return DownloadError(message, "not_found", True, status)
        case _:
            return DownloadError(message, "status", status in BUSY, status)


def too_large(host: str, max_bytes: int) -> DownloadError:
    """The body is bigger than allowed."""
    return DownloadError(f"{host}: the file has over {max_bytes} bytes.", "too_large")


def host_of(url: str) -> str:
    """How messages call the place a URL leads to."""
    try:
        return origin_of(url).host
    except ValueError:
        return "the address"


def _cut(error: httpx.TransportError, num_bytes: int) -> str:
    """What happened, in words of ours: the library's may quote what was on the wire."""
    after = f" after {num_bytes} bytes" if num_bytes else ""
    match error:
        case httpx.ConnectTimeout() | httpx.ConnectError():
            return "no connection could be made."
        case httpx.TimeoutException():
            return f"nothing came for too long{after}."
        case _:
            return f"the connection was cut{after}."
