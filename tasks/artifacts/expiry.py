"""When a link to a video stops working, by what it says in its own query. Pure.

So that what expires first is fetched first. Sources: AWS Signature Version 4 and 2 (`X-Amz-Date` with
`X-Amz-Expires`, `Expires`), Google Cloud Storage V4 (`X-Goog-…`), Azure Blob SAS (`se`), CloudFront
(`Expires`), Akamai and plain tokens (`exp`).
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl, urlsplit

_INSTANTS = ("expires", "se", "exp", "expires_at", "expiry")
_DATE = re.compile(r"x-[a-z]+-date")
_COMPACT = "%Y%m%dT%H%M%SZ"
_EARLIEST_S, _LATEST_S = 10**9, 10**10
"""Unix seconds from 2001 to 2286: a smaller number is no instant, a larger one is milliseconds."""


def expires_at(url: str) -> datetime | None:
    """The instant after which the link is dead; None where it does not say. The soonest of several."""
    try:
        pairs = parse_qsl(urlsplit(url).query, max_num_fields=200)
    except ValueError:
        return None
    query = {name.lower(): value for name, value in pairs}
    found = [_instant(query[name]) for name in _INSTANTS if name in query]
    found += [_signed(query, name) for name in query if _DATE.fullmatch(name)]
    found += [_instant(match[1]) for value in query.values() if (match := _AKAMAI.search(value))]
    return min((at for at in found if at is not None), default=None)


_AKAMAI = re.compile(r"(?:^|~)exp=(\d+)(?:~|$)")


def _signed(query: dict[str, str], name: str) -> datetime | None:
    """A date and how many seconds it holds."""
    lasts = query.get(name.removesuffix("date") + "expires", "")
    if not re.fullmatch(r"\d{1,7}", lasts):
        return None
    try:
        signed_at = datetime.strptime(query[name], _COMPACT).replace(tzinfo=UTC)
        return signed_at + timedelta(seconds=int(lasts))
    except (ValueError, OverflowError):
        return None


def _instant(text: str) -> datetime | None:
    if re.fullmatch(r"[0-9]{1,16}", text):
        seconds = int(text)
        seconds = seconds // 1000 if seconds >= _LATEST_S else seconds
        return datetime.fromtimestamp(seconds, UTC) if _EARLIEST_S <= seconds < _LATEST_S else None
    try:
        at = datetime.fromisoformat(text)
        return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
