"""Which requests of an OUT are made again, and as which sample of theirs.

After the ledger's lines, before anything is planned. Pure.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from math import ceil

from reelsweep.prompts.fingerprint import (
    canonical_payload,
    fingerprint_digest,
    is_asked_by,
    request_fingerprint,
)
from reelsweep.tasks.ledger.records import FINAL, Line, PlanRow

_LOT = b"reelsweep reproduce 1\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One canonical request at one gateway, with the lines of all samples that were ever planned of it."""

    first: Line
    """Its first success: what the others are compared with."""
    others: tuple[Line, ...]
    """Its other samples, by `sample_idx`."""

    @property
    def stratum(self) -> tuple[str, str, str, str]:
        """Gateway, model asked for, model served and `system_fingerprint` of the first success."""
        attempt = self.first.attempt
        served = (attempt.served_model or "") if attempt else ""
        return (
            self.first.gateway,
            self.first.plan.model,
            served,
            (attempt.system_fingerprint or "") if attempt else "",
        )

    def repetitions(self, since: datetime | None = None) -> tuple[Line, ...]:
        """The other samples that count: those planned since then, where that is asked for."""
        return tuple(line for line in self.others if since is None or line.created_at >= since)


def requests_of(lines: Iterable[Line]) -> list[Request]:
    """The requests of an OUT that have succeeded at least once, in the order of its lines.

    One that is not wholly known is left out: what is known of it may be all of another.
    """
    samples: dict[tuple[str, bytes], dict[int, Line]] = defaultdict(dict)
    for line in lines:
        asked = canonical_payload(json.loads(line.plan.payload))
        if fingerprint_digest(asked, line.plan.sample_idx).hex() == line.plan.request_fingerprint:
            key = line.gateway, hashlib.sha256(asked).digest()
            samples[key].setdefault(line.plan.sample_idx, line)
    requests: list[Request] = []
    for of_one in samples.values():
        ordered = [of_one[sample_idx] for sample_idx in sorted(of_one)]
        first = next((line for line in ordered if line.status == "success"), None)
        if first is not None:
            requests.append(Request(first=first, others=tuple(o for o in ordered if o is not first)))
    return requests


def count_partial(lines: Iterable[Line], gateway: str) -> int:
    """Successes of the latest plan at this gateway whose requests are not wholly known."""
    made = (line for line in lines if line.in_plan and line.gateway == gateway and line.status == "success")
    plans = (line.plan for line in made)
    return sum(not is_asked_by(plan.request_fingerprint, plan.payload, plan.sample_idx) for plan in plans)


def population(requests: Iterable[Request], gateway: str) -> list[Request]:
    """Those a sample is drawn from: the latest plan asks this gateway for them, with a seed.

    Where no request has a seed, all of them: what comes without one is new every time by design.
    """
    asked = [one for one in requests if one.first.in_plan and one.first.gateway == gateway]
    seeded = [one for one in asked if one.first.plan.seed is not None]
    return seeded or asked


def draw(requests: Sequence[Request], number: int) -> list[Request]:
    """A sample of so many requests, stratified in proportion, the same whenever it is drawn.

    In each stratum requests stand in the order of sha256(a fixed word, fingerprint); the one of rank r among
    s is drawn at r/s. So every stratum is in any sample that has room for it, and a larger sample holds
    every smaller one.
    """
    strata: dict[tuple[str, ...], list[tuple[bytes, Request]]] = defaultdict(list)
    for one in requests:
        strata[one.stratum].append((_lot(one), one))
    ranked = [
        (rank / len(members), lot, one)
        for members in strata.values()
        for rank, (lot, one) in enumerate(sorted(members, key=lambda member: member[0]))
    ]
    return [one for _, _, one in sorted(ranked, key=lambda place: place[:2])[:number]]


def sample_size(number: int | float, of: int) -> int:
    """How many of `of` requests are meant: a whole number itself, a share rounded up."""
    return min(of, number if isinstance(number, int) else ceil(round(of * number, 6)))


def to_make(request: Request, since: datetime | None = None) -> PlanRow | None:
    """The row that makes a request again: the next sample, or one that was begun; None where one is there.

    A repetition that was billed and has ended without success is not bought anew: failing is its answer.
    """
    known = request.repetitions(since)
    if any(_has_ended(line) for line in known):
        return None
    if known:
        return known[-1].plan
    plan = request.first.plan
    sample_idx = 1 + max(line.plan.sample_idx for line in (request.first, *request.others))
    fingerprint = request_fingerprint(json.loads(plan.payload), sample_idx)
    return replace(plan, sample_idx=sample_idx, request_fingerprint=fingerprint)


def _has_ended(line: Line) -> bool:
    is_free = line.status == "failed" and line.attempt is not None and line.attempt.billed == "no"
    return line.status in FINAL and not is_free


def _lot(request: Request) -> bytes:
    return hashlib.sha256(_LOT + request.first.plan.request_fingerprint.encode()).digest()
