"""Strata: which configuration of a gateway made a result, and when it is another one.

After an answer, beside the breaker. Pure counting; the caller holds the lock and acts. A stratum is the
served model and the `system_fingerprint` of a result. A gateway that leaves one of them out says nothing
about it: from null to a value and back is no change, from one value to another is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

UNKNOWN = "?"


@dataclass(frozen=True, slots=True)
class Stratum:
    """What a gateway says of itself with a result; None where it says nothing."""

    served_model: str | None
    system_fingerprint: str | None

    def __str__(self) -> str:
        return f"{self.served_model or UNKNOWN}@{self.system_fingerprint or UNKNOWN}"

    @property
    def is_known(self) -> bool:
        """Whether it says anything."""
        return bool(self.served_model or self.system_fingerprint)

    def contradicts(self, other: Stratum) -> bool:
        """Whether both name the model, or both the fingerprint, and not the same one."""
        pairs = (
            (self.served_model, other.served_model),
            (self.system_fingerprint, other.system_fingerprint),
        )
        return any(mine and theirs and mine != theirs for mine, theirs in pairs)


@dataclass(frozen=True, slots=True, kw_only=True)
class StratumCount:
    """Results of one model asked for, in one OUT, that came from one stratum."""

    model: str
    stratum: Stratum
    rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A result from another stratum than the first one of this OUT for the same model asked for."""

    model: str
    first: Stratum
    now: Stratum
    is_new: bool
    """Never seen in this OUT before, so worth a word; else only worth a stop."""
    num_seen: int
    """Strata of this model so far."""


@dataclass(slots=True)
class _Seen:
    first: Stratum
    counts: Counter[Stratum] = field(default_factory=Counter[Stratum])
    told: set[Stratum] = field(default_factory=set[Stratum])
    """What this run has been told about already."""


class Strata:
    """The strata of one OUT by model asked for: those of earlier runs, and those of this one."""

    def __init__(self, earlier: Iterable[StratumCount] = ()) -> None:
        """`earlier` in the order in which they were first seen."""
        self._models: dict[str, _Seen] = {}
        for one in earlier:
            self._take(one.model, one.stratum, one.rows)
        for seen in self._models.values():
            seen.told.clear()

    def record(self, model: str, stratum: Stratum) -> Change | None:
        """Count one result; the change when it is one and this run has not been told of it."""
        return self._take(model, stratum, 1)

    @property
    def num_strata(self) -> int:
        """The most strata that one model asked for has."""
        return max((len(_distinct(seen.counts)) for seen in self._models.values()), default=0)

    def _take(self, model: str, stratum: Stratum, rows: int) -> Change | None:
        if not stratum.is_known:
            return None
        seen = self._models.setdefault(model, _Seen(stratum))
        is_new = _is_new(stratum, seen.counts)
        seen.counts[stratum] += rows
        if not stratum.contradicts(seen.first):
            seen.first = Stratum(
                seen.first.served_model or stratum.served_model,
                seen.first.system_fingerprint or stratum.system_fingerprint,
            )
            return None
        if stratum in seen.told:
            return None
        seen.told.add(stratum)
        num_seen = len(_distinct(seen.counts))
        return Change(model=model, first=seen.first, now=stratum, is_new=is_new, num_seen=num_seen)


def by_model(counts: Iterable[StratumCount]) -> dict[str, dict[str, int]]:
    """Results by model asked for and stratum, those without a known stratum left out."""
    found: dict[str, dict[str, int]] = {}
    for one in counts:
        if one.stratum.is_known:
            found.setdefault(one.model, {})[str(one.stratum)] = one.rows
    return found


def _is_new(stratum: Stratum, seen: Mapping[Stratum, int]) -> bool:
    """Whether it contradicts all that was seen; who said less before has said nothing of this."""
    return all(stratum.contradicts(other) for other in _distinct(seen))


def _distinct(seen: Iterable[Stratum]) -> list[Stratum]:
    """The strata without those that only say less than another."""
    every = list(seen)
    return [one for one in every if not any(_says_less(one, other) for other in every)]


def _says_less(one: Stratum, other: Stratum) -> bool:
    return (
        one != other
        and one.served_model in (None, other.served_model)
        and one.system_fingerprint in (None, other.system_fingerprint)
    )
