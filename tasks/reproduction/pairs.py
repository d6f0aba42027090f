"""A request's first result held against its repetitions: one Pair per repetition and choice.

After `sample` and the runs that made them. Pure: what is compared is what the ledger keeps.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from reelsweep.tasks.artifacts.likeness import Likeness, Look, distance, likeness
from reelsweep.tasks.ledger.records import FINAL, Line, ResultRecord
from reelsweep.tasks.manifest.rows import choice_status
from reelsweep.tasks.reproduction.columns import AGAIN
from reelsweep.tasks.reproduction.sample import Request

Verdict = Likeness | Literal["failed", "open"]
_UNLIKE = 1.0
"""Between two texts that are not the same: how far apart texts are is not for us to say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """One choice of a request's first result, and the same choice of a repetition."""

    first: Line
    again: Line
    choice_idx: int
    verdict: Verdict
    distance: float | None

    @property
    def fingerprints(self) -> tuple[str | None, str | None]:
        """`system_fingerprint` of the first result and of the repetition."""
        return _fingerprint(self.first), _fingerprint(self.again)

    def row(self) -> dict[str, Any]:
        """One row of `reproduction.parquet`."""
        plan = self.first.plan
        again = _side(self.again, self.choice_idx)
        return {
            "gateway": self.first.gateway,
            "model": plan.model,
            "output": plan.output,
            "prompt_id": plan.prompt_id,
            "seed": plan.seed,
            "choice_idx": self.choice_idx,
            "verdict": self.verdict,
            "distance": self.distance,
            **_side(self.first, self.choice_idx),
            **{f"{AGAIN}{name}": value for name, value in again.items()},
        }


def pairs_of(requests: Iterable[Request]) -> Iterator[Pair]:
    """Every pair that an OUT holds, in the order of its lines.

    A sample that was never sent is none yet where its table asks for it (no repetition waits for it), and
    none any more where a later one was sent in its place.
    """
    for request in requests:
        latest = max((o.plan.sample_idx for o in request.others if o.attempt is not None), default=-1)
        for again in request.others:
            if again.attempt is None and (again.in_plan or again.plan.sample_idx < latest):
                continue
            for choice_idx in range(request.first.plan.n):
                one, other = _choice(request.first, choice_idx), _choice(again, choice_idx)
                if one is not None and one.status == "success":
                    yield _compared(request.first, again, one, other)


def _compared(first: Line, again: Line, one: ResultRecord, other: ResultRecord | None) -> Pair:
    verdict, apart = _verdict(one, other, again)
    return Pair(first=first, again=again, choice_idx=one.choice_idx, verdict=verdict, distance=apart)


def _verdict(one: ResultRecord, other: ResultRecord | None, again: Line) -> tuple[Verdict, float | None]:
    status = choice_status(again, other)
    if status != "success" or other is None:
        return ("failed" if status in FINAL else "open"), None
    looks = look_of(one), look_of(other)
    if looks[0] is not None and looks[1] is not None:
        return likeness(looks[0], looks[1]), distance(looks[0], looks[1])
    if (one.text, one.tool_calls) == (other.text, other.tool_calls):
        return "bit-identical", 0.0
    return "different", _UNLIKE


def look_of(result: ResultRecord) -> Look | None:
    """What is known of a result's clip; None where it is a text."""
    frames, phash = result.facts.get("frames_sha256"), result.facts.get("phash")
    if not (result.sha256 and isinstance(frames, str) and isinstance(phash, str)):
        return None
    return Look(sha256=result.sha256, frames_sha256=frames, phash=phash)


def _choice(line: Line, choice_idx: int) -> ResultRecord | None:
    results = line.attempt.results if line.attempt else ()
    return next((result for result in results if result.choice_idx == choice_idx), None)


def _fingerprint(line: Line) -> str | None:
    return line.attempt.system_fingerprint if line.attempt else None


def _side(line: Line, choice_idx: int) -> dict[str, Any]:
    result = _choice(line, choice_idx)
    look = None if result is None else look_of(result)
    return {
        "request_fingerprint": line.plan.request_fingerprint,
        "sample_idx": line.plan.sample_idx,
        "status": choice_status(line, result),
        "served_model": line.attempt.served_model if line.attempt else None,
        "system_fingerprint": _fingerprint(line),
        "completed_at": line.attempt.completed_at if line.attempt else None,
        "file_name": None if result is None else result.file_name,
        "sha256": None if look is None else look.sha256,
        "frames_sha256": None if look is None else look.frames_sha256,
        "phash": None if look is None else look.phash,
    }
