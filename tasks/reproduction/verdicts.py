"""What the pairs add up to: counts with 95 % intervals, per model, gateway and `system_fingerprint`. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from math import sqrt

from reelsweep.prompts.request import Json
from reelsweep.tasks.artifacts.likeness import Likeness
from reelsweep.tasks.reproduction.pairs import Pair, Verdict

LIKENESSES: tuple[Likeness, ...] = ("bit-identical", "frame-identical", "near", "different")
_Z = 1.959963984540054
"""The normal distribution's 97.5 % point: two-sided 95 %."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tallied:
    """The pairs of one model, one gateway, one `system_fingerprint` (or one change of it)."""

    gateway: str
    model: str
    system_fingerprint: str | None
    again_system_fingerprint: str | None
    """The repetition's: another one where the gateway has changed between the two."""
    seeded: bool
    """Whether the requests gave a seed: what comes without one is new by design."""
    counts: Counter[Verdict]

    @property
    def compared(self) -> int:
        """Pairs with two results."""
        return sum(self.counts[name] for name in LIKENESSES)

    def interval(self, name: Likeness) -> tuple[float, float]:
        """Where the true share of this likeness lies, with 95 % confidence."""
        return wilson(self.counts[name], self.compared)

    def as_json(self) -> dict[str, Json]:
        """The object that `reproduce --json` prints of it."""
        shares: dict[str, Json] = {}
        for name in LIKENESSES:
            low, high = self.interval(name)
            shares[name] = {"pairs": self.counts[name], "low": round(low, 4), "high": round(high, 4)}
        return {
            "gateway": self.gateway,
            "model": self.model,
            "system_fingerprint": self.system_fingerprint,
            "again_system_fingerprint": self.again_system_fingerprint,
            "seeded": self.seeded,
            "compared": self.compared,
            **shares,
            "failed": self.counts["failed"],
            "open": self.counts["open"],
        }


def tally(pairs: Iterable[Pair]) -> list[Tallied]:
    """The pairs counted, by gateway, model and fingerprints in the order of their names."""
    counts: dict[tuple[str, str, str | None, str | None, bool], Counter[Verdict]] = defaultdict(Counter)
    for pair in pairs:
        before, after = pair.fingerprints
        if pair.verdict in ("failed", "open"):
            after = before  # an answer without a result says nothing of a change
        plan = pair.first.plan
        counts[pair.first.gateway, plan.model, before, after, plan.seed is not None][pair.verdict] += 1
    return [
        Tallied(
            gateway=gateway,
            model=model,
            system_fingerprint=before,
            again_system_fingerprint=after,
            seeded=seeded,
            counts=counted,
        )
        for (gateway, model, before, after, seeded), counted in sorted(
            counts.items(), key=lambda item: tuple(str(part or "") for part in item[0])
        )
    ]


def wilson(successes: int, of: int) -> tuple[float, float]:
    """Wilson's 95 % interval for a share (E. B. Wilson, 1927, without continuity correction).

    From 0 to 1 where nothing was counted.
    """
    if not of:
        return 0.0, 1.0
    share, square = successes / of, _Z**2
    middle = share + square / (2 * of)
    spread = _Z * sqrt(share * (1 - share) / of + square / (4 * of**2))
    low, high = ((middle - spread) / (1 + square / of), (middle + spread) / (1 + square / of))
    return (0.0 if not successes else max(0.0, low)), (1.0 if successes == of else min(1.0, high))
