"""Values as JSON that is the same for the same values: sorted keys, UTF-8, instants in ISO 8601. Pure."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from datetime import datetime
from typing import Any


def document(values: Mapping[str, Any]) -> bytes:
    """One compact JSON object."""
    return _encode(values, separators=(",", ":"))


def page(values: Mapping[str, Any]) -> bytes:
    """One JSON object for people too, with a line feed at its end."""
    return _encode(values, indent=1) + b"\n"


def _encode(values: Mapping[str, Any], **form: Any) -> bytes:
    plain = {name: _plain(value) for name, value in values.items()}
    text = json.dumps(plain, sort_keys=True, ensure_ascii=False, allow_nan=False, **form)
    return text.encode("utf-8", "replace")


def _plain(value: Any) -> Any:
    """What JSON cannot say: an instant as text, no number as null."""
    match value:
        case datetime():
            return value.isoformat()
        case float() if not math.isfinite(value):
            return None
        case _:
            return value
