"""Content checks: whether a clip is what was asked for, judged from its facts (pure).

After `probe`, before the manifest. A check passes, fails, or was not made: where nothing was asked, where the
fact is not known (clips of an older Reelsweep), where it is switched off. `near_duplicate` alone looks at
other clips; `duplicates` finds those.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from reelsweep.tasks.artifacts.asked import Asked

Facts = Mapping[str, Any]
"""By manifest column."""


@dataclass(frozen=True, slots=True)
class Check:
    """One check: what its column says when true, and its threshold."""

    name: str
    passes: str
    limit: float
    limit_means: str
    judge: Callable[[Asked, Facts, float], str | None] | None = None
    """Why it fails, in words; empty when it passes, None when it cannot be made."""


def _judge_duration(asked: Asked, facts: Facts, limit: float) -> str | None:
    got = facts.get("duration_s")
    if asked.seconds is None or got is None:
        return None
    return "" if abs(got - asked.seconds) <= limit else f"{got:g} s, asked for {asked.seconds:g} s"


def _judge_size(asked: Asked, facts: Facts, limit: float) -> str | None:
    width, height = facts.get("width"), facts.get("height")
    if not width or not height:
        return None
    if asked.width and asked.height:
        fits = _near(width, asked.width, limit) and _near(height, asked.height, limit)
        return "" if fits else f"{width}x{height}, asked for {asked.width}x{asked.height}"
    if asked.ratio:
        fits = _near(width / height, asked.ratio, limit)
        return "" if fits else f"{width}x{height}, asked for sides of {asked.ratio:.3g} to 1"
    return None


def _judge_fps(asked: Asked, facts: Facts, limit: float) -> str | None:
    got = facts.get("fps")
    if asked.fps is None or got is None:
        return None
    return "" if _near(got, asked.fps, limit) else f"{got:g} frames a second, asked for {asked.fps:g}"


def _judge_black(_asked: Asked, facts: Facts, limit: float) -> str | None:
    share = facts.get("black_share")
    if share is None:
        return None
    return "" if share < limit else f"{share:.0%} of its frames are black"


def _judge_frozen(_asked: Asked, facts: Facts, limit: float) -> str | None:
    share = facts.get("frozen_share")
    if share is None:
        return None
    return "" if share < limit else f"nothing moves for {share:.0%} of the clip"


def _judge_silent(asked: Asked, facts: Facts, limit: float) -> str | None:
    if not asked.audio or facts.get("has_audio") is None:
        return None
    if not facts["has_audio"]:
        return "there is no sound track"
    peak = facts.get("audio_peak_dbfs")
    if peak is None:
        return None
    return "" if peak > limit else f"it gets no louder than {peak:g} dBFS"


CHECK = "check_"
"""Prefix of the manifest's column of a check: true where it passes."""
CHECKS: tuple[Check, ...] = (
    Check("duration", "as long as asked", 0.5, "seconds of difference", _judge_duration),
    Check("size", "as large as asked, or of the shape asked", 0.02, "share of a side", _judge_size),
    Check("fps", "as many frames a second as asked", 0.02, "share of the rate", _judge_fps),
    Check("black", "not black", 0.9, "share of black frames", _judge_black),
    Check("frozen", "not frozen", 0.5, "longest freeze, as a share of the clip", _judge_frozen),
    Check("silent", "sound is there and not silent, where it was asked", -60.0, "dBFS", _judge_silent),
    Check("near_duplicate", "does not look like an accepted row before it", 0.05, "distance"),
)
"""In the order of their columns; `decodes` comes before them and is always on, for success means no less."""


def _near(got: float, asked: float, limit: float) -> bool:
    return abs(got - asked) <= limit * asked
