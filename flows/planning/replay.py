"""Rows of unknown fate whose key the gateway still knows: they are asked again by themselves.

Between the ledger and whoever counts or takes rows: `plan` and the run's window.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from reelsweep.tasks.ledger.ledger import Ledger
from reelsweep.tasks.ledger.records import Standing

NEVER = datetime.max.replace(tzinfo=UTC)


async def replayable(
    ledger: Ledger,
    out_id: str,
    gateway: str,
    standings: Mapping[str, Standing],
    key_ttl_s: float | None,
    now: datetime,
) -> frozenset[str]:
    """Fingerprints held as unknown whose key was first sent within `key_ttl_s`; the claim decides."""
    held = {name for name, standing in standings.items() if standing.status == "unknown"}
    if key_ttl_s is None or not held:
        return frozenset()
    first: dict[tuple[str, str], datetime] = {}
    for attempt in await ledger.unfinished(out_id, gateway):
        key = (attempt.request_fingerprint, attempt.idempotency_key)
        if attempt.state == "unknown" and attempt.kind in (None, "incomplete"):
            first[key] = min(first.get(key, NEVER), attempt.sent_at)
    since = now - timedelta(seconds=key_ttl_s)
    young = {fingerprint for (fingerprint, _), sent_at in first.items() if sent_at > since}
    return frozenset(held & young)
