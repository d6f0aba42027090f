"""A small answer fetched whole into memory, through the door: status pages and prompt images."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from reelsweep.tasks.artifacts.client import DownloadClient
from reelsweep.tasks.artifacts.failures import download_errors, host_of, too_large


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """An answer with any status. Header names are lower case."""

    http_status: int
    headers: Mapping[str, str]
    body: bytes


async def fetch(
    url: str,
    *,
    client: DownloadClient,
    max_bytes: int,
    timeout_s: float = 60.0,
    headers: Mapping[str, str] | None = None,
) -> Fetched:
    """The answer of `url` after redirects, asked for once.

    `headers` may hold an `Authorization`, which goes to the gateway's own origin only. Raises DownloadError
    (network, blocked, too_large); a status that is no success is an answer like any other.
    """
    body = bytearray()
    async with client.slots:
        with download_errors(host_of(url), timeout_s, lambda: len(body)):
            async with asyncio.timeout(timeout_s):
                response = await client.get(url, headers=headers or {}, idle_s=timeout_s)
                try:
                    async for chunk in response.aiter_raw():
                        body += chunk
                        if len(body) > max_bytes:
                            raise too_large(host_of(url), max_bytes)
                finally:
                    await response.aclose()
    return Fetched(http_status=response.status_code, headers=dict(response.headers), body=bytes(body))
