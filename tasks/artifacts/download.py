"""Bytes of a URL into a part file: continued after a cut, hashed on the way, whole or an error.

After `fold` has found a URL, before `probe`. A download may be repeated; a generation never is.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import httpx
from reelsweep.tasks.artifacts.client import DownloadClient
from reelsweep.tasks.artifacts.failures import (
    DownloadError,
    download_errors,
    host_of,
    status_error,
    too_large,
)
from reelsweep.tasks.artifacts.part import PartFile, Source
from reelsweep.tasks.artifacts.ranges import content_length, content_range, retry_after_s, strong_etag
from reelsweep.tasks.artifacts.signature import signature

FLUSH_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much and how long."""

    max_bytes: int = 4 << 30
    timeout_s: float = 1800.0
    """For the whole download with its repetitions and pauses, waits for a slot apart."""
    idle_s: float = 60.0
    """Silence after which a connection counts as cut."""
    pauses_s: tuple[float, ...] = (0.5, 2.0, 5.0, 10.0)
    """Waits between tries, so one try more than there are waits."""
    retry_after_max_s: float = 60.0
    """The longest `Retry-After` that is waited for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Download:
    """A whole file, on disk to stay."""

    sha256: str
    size_bytes: int
    mime_type: str | None
    """By the file's signature; None when it is no video container that we know."""
    content_type: str | None
    """As the server said, or None."""
    etag: str | None
    """The server's strong validator, or None."""
    resumed_from: int
    """Bytes that an earlier call had left and this one built on; 0 when all came now."""
    elapsed_s: float


@dataclass(slots=True, kw_only=True)
class _Job:
    """One call of `download`."""

    url: str
    host: str
    """For messages."""
    part: PartFile
    client: DownloadClient
    limits: Limits
    headers: Mapping[str, str]
    left_s: float
    wait_s: float = 0.0
    """What the server asked for with `Retry-After`."""


async def download(
    url: str,
    part: Path,
    *,
    client: DownloadClient,
    limits: Limits | None = None,
    headers: Mapping[str, str] | None = None,
) -> Download:
    """The bytes of `url` in the file `part`, whole.

    A part left by an earlier call for the same URL is continued (`Range` with `If-Range`) when the server
    gave a strong validator, or taken as it is when all its bytes are there. `headers` may hold an
    `Authorization`, which goes to the gateway's own origin only. Raises DownloadError, and TroubleError
    when the disk fails.
    """
    limits = limits or Limits()
    started = time.monotonic()
    file = PartFile(part, url)
    job = _Job(
        url=url,
        host=host_of(url),
        part=file,
        client=client,
        limits=limits,
        headers=headers or {},
        left_s=limits.timeout_s,
    )
    try:
        if file.has_past:
            await client.on_disk(file.load)
        if not file.is_complete:
            await _fetch(job)
        head = await client.on_disk(file.finish)
    finally:
        file.abandon()
    container = signature(head)
    return Download(
        sha256=file.sha256,
        size_bytes=file.size_bytes,
        mime_type=container.mime_type if container else None,
        content_type=file.source.content_type,
        etag=file.source.etag,
        resumed_from=file.kept_bytes,
        elapsed_s=time.monotonic() - started,
    )


async def _fetch(job: _Job) -> None:
    """Try, pause and try again until the part is complete."""
    for pause_s in (*job.limits.pauses_s, None):
        try:
            async with job.client.slots:
                return await _try_once(job)
        except DownloadError as error:
            if pause_s is None or not error.retryable:
                raise
            pause_s = max(pause_s, min(job.wait_s, job.limits.retry_after_max_s))
            job.left_s -= pause_s
            if job.left_s <= 0:
                raise
        await asyncio.sleep(pause_s)
    raise AssertionError("the last try returns or raises")


async def _try_once(job: _Job) -> None:
    started = time.monotonic()
    try:
        with download_errors(job.host, job.limits.timeout_s, lambda: job.part.size_bytes):
            async with asyncio.timeout(job.left_s):
                await _ask(job)
    finally:
        job.left_s -= time.monotonic() - started


async def _ask(job: _Job) -> None:
    """One request and its answer, from where the part ends."""
    wanted = _range_of(job.part)
    headers = {**job.headers, **wanted}
    response = await job.client.get(job.url, headers=headers, idle_s=job.limits.idle_s)
    try:
        await _prepare(job, response, asked_range=bool(wanted))
        await _receive(job, response)
    finally:
        await response.aclose()


def _range_of(part: PartFile) -> dict[str, str]:
    etag = part.source.etag
    if not part.size_bytes or etag is None:
        return {}
    return {"Range": f"bytes={part.size_bytes}-", "If-Range": etag}


async def _prepare(job: _Job, response: httpx.Response, *, asked_range: bool) -> None:
    """Make the part ready for this answer's body, or raise what the status means."""
    headers, part = response.headers, job.part
    if response.status_code == 206 and asked_range and _continues(part, headers):
        return
    if response.status_code in (206, 416) and asked_range:
        await job.client.on_disk(part.restart)
        raise DownloadError(f"{job.host} offers another part than was asked for.", "short", True)
    if response.status_code != 200:
        job.wait_s = retry_after_s(headers, datetime.now(UTC)) or 0.0
        raise status_error(job.host, response.status_code)
    size_bytes = content_length(headers)
    if size_bytes is not None and size_bytes > job.limits.max_bytes:
        raise too_large(job.host, job.limits.max_bytes)
    source = Source(
        etag=strong_etag(headers), size_bytes=size_bytes, content_type=headers.get("content-type")
    )
    if part.is_fresh:
        part.restart(source)
    else:
        await job.client.on_disk(partial(part.restart, source))


def _continues(part: PartFile, headers: httpx.Headers) -> bool:
    """Whether a 206 is the rest of the very bytes that are here."""
    offered, source = content_range(headers), part.source
    if offered is None or offered.first != part.size_bytes:
        return False
    whole = offered.size_bytes if offered.size_bytes is not None else source.size_bytes
    if "etag" in headers and strong_etag(headers) != source.etag:
        return False
    return whole == offered.last + 1 and source.size_bytes in (None, whole)


async def _receive(job: _Job, response: httpx.Response) -> None:
    part = job.part
    async for chunk in response.aiter_raw():
        part.add(chunk)
        if part.size_bytes > job.limits.max_bytes:
            await job.client.on_disk(part.restart)
            raise too_large(job.host, job.limits.max_bytes)
        if part.waiting_bytes >= FLUSH_BYTES:
            await job.client.on_disk(part.flush)
    announced = part.source.size_bytes
    if not part.size_bytes or announced not in (None, part.size_bytes):
        got, size = part.size_bytes, "some" if announced is None else announced
        raise DownloadError(f"{job.host} sent {got} of {size} bytes.", "short", True)
