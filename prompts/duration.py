"""Times as people write them: `90`, `90s`, `15m`, `24h`. Pure."""

from __future__ import annotations

import re

_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|min|h|d)?")
_UNITS_S = {"ms": 0.001, "s": 1.0, None: 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86_400.0}


def parse_duration(text: str | float) -> float:
    """Seconds, over 0. Raises ValueError with what was allowed."""
    found = _DURATION.fullmatch(str(text).strip())
    if not found or float(found[1]) <= 0:
        raise ValueError(f"got {text!r}, expected a time such as 90, 90s, 15m or 1h")
    return float(found[1]) * _UNITS_S[found[2]]
