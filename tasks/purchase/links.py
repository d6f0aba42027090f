"""Paid clips whose links expire: which to fetch first. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from reelsweep.tasks.artifacts.expiry import expires_at
from reelsweep.tasks.ledger.records import AttemptRecord

_NEVER = datetime.max.replace(tzinfo=UTC)


def link_expires_at(attempt: AttemptRecord) -> datetime | None:
    """When the first of an attempt's links dies; None where none says."""
    urls = (result.video_url for result in attempt.results if result.video_url)
    return min((at for url in urls if (at := expires_at(url)) is not None), default=None)


def by_expiry(attempts: Sequence[AttemptRecord]) -> list[AttemptRecord]:
    """The soonest to expire first; the others after them, in the order they came."""
    return sorted(attempts, key=lambda attempt: link_expires_at(attempt) or _NEVER)
