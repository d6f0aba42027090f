"""What a request asks of its clip, under the names that gateways use (pure).

Between the canonical request and the content checks.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a request says of the clip; None where it does not say."""

    width: int | None = None
    height: int | None = None
    ratio: float | None = None
    """Width over height, where only that is asked."""
    seconds: float | None = None
    fps: float | None = None
    audio: bool = False


SECONDS_FIELDS = ("seconds", "duration", "duration_seconds")
FPS_FIELDS = ("fps", "frame_rate", "framerate", "frames_per_second")
SIZE_FIELDS = ("size", "resolution")
RATIO_FIELDS = ("aspect_ratio", "ratio", *SIZE_FIELDS)
AUDIO_FIELDS = ("audio", "generate_audio", "enable_audio", "with_audio", "sound")
"""Request fields that ask for it; they reach a request as columns, as `body.NAME`, or by a profile."""

_SIZE = re.compile(r"(\d+)\s*[xX*×]\s*(\d+)")
_RATIO = re.compile(r"(\d+(?:\.\d+)?):(\d+(?:\.\d+)?)")
_NUMBER = re.compile(r"\d+(?:\.\d+)?(?=\s*s?$)")
_NO = frozenset({"", "0", "false", "no", "none", "off", "disabled"})


def asked_of(payload: Mapping[str, Any]) -> Asked:
    """What a canonical request asks of its clip."""
    size = _matched(_SIZE, payload, SIZE_FIELDS)
    ratio = None if size else _matched(_RATIO, payload, RATIO_FIELDS)
    width, height = (int(size[1]), int(size[2])) if size else (payload.get("width"), payload.get("height"))
    has_sides = isinstance(width, int) and isinstance(height, int)
    return Asked(
        width=width if has_sides else None,
        height=height if has_sides else None,
        ratio=float(ratio[1]) / float(ratio[2]) if ratio and float(ratio[2]) else None,
        seconds=_number(payload, SECONDS_FIELDS),
        fps=_number(payload, FPS_FIELDS),
        audio=any(_asks(payload.get(name)) for name in AUDIO_FIELDS),
    )


def _asks(value: object) -> bool:
    return str(value).strip().lower() not in _NO if isinstance(value, str) else bool(value)


def _matched(
    pattern: re.Pattern[str], payload: Mapping[str, Any], names: tuple[str, ...]
) -> re.Match[str] | None:
    values = (payload.get(name) for name in names)
    found = (pattern.fullmatch(value.strip()) for value in values if isinstance(value, str))
    return next((match for match in found if match), None)


def _number(payload: Mapping[str, Any], names: tuple[str, ...]) -> float | None:
    for name in names:
        value = payload.get(name)
        if isinstance(value, int | float) and not isinstance(value, bool):
            return float(value)
        if isinstance(value, str) and (match := _NUMBER.match(value.strip())):
            return float(match[0])
    return None
