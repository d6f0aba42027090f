"""What three generations say about `seed`: A and A' with one seed, B with another. Pure.

After the runs that made them, before the verdict is kept with the gateway.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from reelsweep.tasks.artifacts.likeness import NEAR, Look, distance

SeedVerdict = Literal["honoured", "ignored", "echoed only", "cannot tell"]
SHARE = 0.25
"""Honoured means: the repetition is closer than this share of the distance to the other seed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """One of the three: what came, or why nothing did."""

    name: str
    """`A`, `A'` or `B`, for people."""
    status: str
    """As in the manifest."""
    message: str = ""
    """Why there is nothing, where there is nothing."""
    look: Look | None = None
    said: str | None = None
    """Text and tool calls, for a text model."""
    job: str | None = None
    """The gateway's id of the job or the answer."""
    echoes_seed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """The verdict on a gateway's model, and what it rests on."""

    verdict: SeedVerdict
    reason: str
    same: float | None = None
    """d(A, A'): how far apart two results of one seed are."""
    other: float | None = None
    """d(A, B): how far apart results of two seeds are."""


def judge(one: Made, same: Made, other: Made) -> Finding:
    """The verdict.

    honoured     d(A, A') < ¼ d(A, B), and A is A' to the frame or A and B are no near clips
    cannot tell  one of the three is missing; A' is A's own job again; or all three are alike
    echoed only  not honoured, and every answer repeats the seed it was sent
    ignored      not honoured, and no such thing
    """
    for made in (one, same, other):
        if made.status != "success":
            why = f": {made.message}" if made.message else ""
            return Finding(verdict="cannot tell", reason=f"{made.name} ended as {made.status}{why}")
    d_same, d_other = _apart(one, same), _apart(one, other)
    if one.job is not None and one.job == same.job != other.job:
        reason = "the gateway gave the first job back instead of a second: a cache, not a seed"
        return Finding(verdict="cannot tell", reason=reason, same=d_same, other=d_other)
    figures = f"d(A, A') = {d_same:.3f}, d(A, B) = {d_other:.3f}"
    if max(d_same, d_other) <= NEAR and not (d_same == 0 < d_other):
        reason = f"all three are alike, whatever the seed: {figures}"
        return Finding(verdict="cannot tell", reason=reason, same=d_same, other=d_other)
    if d_same < SHARE * d_other:
        return Finding(verdict="honoured", reason=figures, same=d_same, other=d_other)
    if all(made.echoes_seed for made in (one, same, other)):
        reason = f"every answer repeats its seed, and the results do not follow it: {figures}"
        return Finding(verdict="echoed only", reason=reason, same=d_same, other=d_other)
    return Finding(verdict="ignored", reason=figures, same=d_same, other=d_other)


def _apart(one: Made, other: Made) -> float:
    """Between clips their distance; between texts 0 where they are equal, else 1."""
    if one.look is not None and other.look is not None:
        return distance(one.look, other.look)
    return 0.0 if one.said == other.said else 1.0
