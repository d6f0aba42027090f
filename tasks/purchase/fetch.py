"""From a video's address to a stored, decoded file: download ▶ probe ▶ record the hash ▶ rename.

The video is paid for, so every failure here is a result that says what is missing, and the part on disk
stays for the next try. Success means: the bytes are here and whole, and they decode to their end.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

from reelsweep.tasks.artifacts.download import Download, Limits, download
from reelsweep.tasks.artifacts.facts import Facts, InvalidVideo
from reelsweep.tasks.artifacts.failures import DownloadError
from reelsweep.tasks.artifacts.signature import SUFFIXES
from reelsweep.tasks.gateway.outcome import Choice, Outcome
from reelsweep.tasks.ledger.records import ResultRecord
from reelsweep.tasks.purchase.context import RunContext
from reelsweep.tasks.purchase.insist import insist
from reelsweep.tasks.purchase.wire import authorization

Refresh = Callable[[int], Awaitable[str | None]]
"""Asks the gateway for a fresh address of one choice's video, whose link has expired."""


async def fetch_choices(
    context: RunContext,
    attempt_id: str,
    outcome: Outcome,
    refresh: Refresh,
    known: Mapping[int, ResultRecord],
) -> tuple[ResultRecord, ...]:
    """Fetch and store the video of every choice; one result for each.

    `known` is what an earlier run recorded, by choice: a file that it renamed but did not settle is
    taken from disk, without network.
    """
    fetching = [
        _stored_choice(context, attempt_id, choice, refresh, known.get(choice.choice_idx))
        for choice in outcome.choices
    ]
    return tuple(await asyncio.gather(*fetching))


async def _stored_choice(
    context: RunContext, attempt_id: str, choice: Choice, refresh: Refresh, known: ResultRecord | None
) -> ResultRecord:
    """The choice's file if it has its name already, else fetched."""
    file_name, store = None, context.store
    if known is not None and known.sha256:
        file_name = await store.off_loop(partial(store.find, known.sha256))
    if known is None or file_name is None:
        return await _fetch_choice(context, attempt_id, choice, refresh)
    try:
        facts = await context.prober.probe(await store.off_loop(partial(store.fetch, file_name)))
    except InvalidVideo:
        return await _fetch_choice(context, attempt_id, choice, refresh)
    await store.off_loop(partial(store.hand_over, file_name))
    return replace(
        known,
        status="success",
        file_name=file_name,
        mime_type=facts.mime_type,
        facts=facts.columns(),
        error_type=None,
        error_message=None,
    )


async def _fetch_choice(
    context: RunContext, attempt_id: str, choice: Choice, refresh: Refresh
) -> ResultRecord:
    if choice.video_url is None:
        return _failed(choice, "no_video", "this choice has no video")
    part = context.store.part(attempt_id, choice.choice_idx)
    try:
        got = await _download(context, choice.video_url, part, partial(refresh, choice.choice_idx))
    except DownloadError as error:
        return _unfetched(choice, f"download_{error.kind}", str(error))
    try:
        facts = await context.prober.probe(part)
    except InvalidVideo as error:
        if got.resumed_from:  # a part that outlived a power cut may have holes
            await context.store.off_loop(partial(context.store.discard, part))
            return await _fetch_choice(context, attempt_id, choice, refresh)
        return await _invalid(context, choice, part, got, error.reason)
    return await _store(context, attempt_id, choice, part, got, facts)


async def _download(
    context: RunContext, url: str, part: Path, refresh: Callable[[], Awaitable[str | None]]
) -> Download:
    """The bytes, once more through a fresh address where the gateway gives one."""
    limits = Limits(timeout_s=context.policy.download_timeout_s)
    client = context.clients().downloads
    headers = authorization(context)
    try:
        return await download(url, part, client=client, limits=limits, headers=headers)
    except DownloadError as error:
        fresh = await refresh() if error.kind in ("expired", "not_found") else None
        if fresh is None or fresh == url:
            raise
        return await download(fresh, part, client=client, limits=limits, headers=headers)


async def _store(
    context: RunContext, attempt_id: str, choice: Choice, part: Path, got: Download, facts: Facts
) -> ResultRecord:
    suffix = SUFFIXES[facts.mime_type]
    stored = partial(
        context.ledger.stored,
        attempt_id,
        choice.choice_idx,
        sha256=got.sha256,
        size_bytes=got.size_bytes,
        file_name=context.store.file_name(got.sha256, suffix),
    )
    await insist(context, stored)
    file_name = await context.store.off_loop(partial(context.store.place, part, got.sha256, suffix))
    return ResultRecord(
        choice_idx=choice.choice_idx,
        status="success",
        file_name=file_name,
        sha256=got.sha256,
        size_bytes=got.size_bytes,
        mime_type=facts.mime_type,
        text=choice.text,
        finish_reason=choice.finish_reason,
        facts=facts.columns(),
        download_s=got.elapsed_s,
    )


async def _invalid(
    context: RunContext, choice: Choice, part: Path, got: Download, reason: str
) -> ResultRecord:
    """What came is no video: kept under `rejected/`, so that what was paid for can be looked at."""
    file_name = await context.store.off_loop(partial(context.store.reject, part, got.sha256))
    return ResultRecord(
        choice_idx=choice.choice_idx,
        status="invalid_output",
        sha256=got.sha256,
        size_bytes=got.size_bytes,
        mime_type=got.mime_type,
        text=choice.text,
        finish_reason=choice.finish_reason,
        error_type="invalid_output",
        error_message=f"{reason}; kept as {file_name}",
        download_s=got.elapsed_s,
    )


def _unfetched(choice: Choice, error_type: str, message: str) -> ResultRecord:
    return ResultRecord(
        choice_idx=choice.choice_idx,
        status="failed_to_download",
        video_url=choice.video_url,
        text=choice.text,
        finish_reason=choice.finish_reason,
        error_type=error_type,
        error_message=message,
    )


def _failed(choice: Choice, error_type: str, message: str) -> ResultRecord:
    return ResultRecord(
        choice_idx=choice.choice_idx,
        status="failed",
        text=choice.text,
        finish_reason=choice.finish_reason,
        error_type=error_type,
        error_message=message,
    )
