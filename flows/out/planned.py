"""A GenerationSpec as the ledger's plan row, and back: what the manifest says was asked. Pure."""

from __future__ import annotations

import hashlib
import json
from array import array
from collections import Counter
from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass, field

from reelsweep.prompts.given import GivenPlan
from reelsweep.prompts.messages import image_hashes
from reelsweep.prompts.plan import Plan
from reelsweep.prompts.request import GenerationSpec, payload_json, value_json
from reelsweep.tasks.ledger.kept import Kept
from reelsweep.tasks.ledger.records import PlanRow


@dataclass(frozen=True, slots=True)
class PlannedLines:
    """The lines a plan asks for: first as a hash of what each tells, then those that are to be recorded."""

    plan: Plan | GivenPlan
    opened: Container[int] | None
    """Places that are asked for; None: all."""
    _repeated: frozenset[int] = field(init=False)
    """Places whose request comes more than once: how many came before tells equal lines apart."""

    def __post_init__(self) -> None:
        names = self.plan.repeated
        places = enumerate(self.plan.fingerprints() if names else ())
        object.__setattr__(self, "_repeated", frozenset(place for place, name in places if name in names))

    def told(self, place: int) -> str | None:
        """The hash of the line at a place, see `read_kept`."""
        is_asked = place < len(self.plan) and (self.opened is None or place in self.opened)
        return self.plan.told(place) if is_asked and place not in self._repeated else None

    def rows(self, kept: Kept) -> Iterator[PlanRow]:
        """The lines that are not kept, in order."""
        opened, every = self.opened, range(len(self.plan))
        places = array("Q", (place for place in every if place not in kept and self._is_counted(place)))
        rows = plan_rows(self.plan.specs_at(places), has_shared=bool(self._repeated))
        return rows if opened is None else (row for row in rows if row.ordinal in opened)

    def _is_counted(self, place: int) -> bool:
        return self.opened is None or place in self.opened or place in self._repeated


def plan_rows(specs: Iterable[GenerationSpec], *, has_shared: bool) -> Iterator[PlanRow]:
    """The lines of the manifest, before anything is known but the questions.

    `has_shared`: rows may ask for the same; equal ones are told apart by how many came before.
    """
    earlier: Counter[str] = Counter()
    for spec in specs:
        key = row_key(spec)
        if has_shared:
            earlier[key] += 1
            key = key if earlier[key] == 1 else _repeated(key, earlier[key])
        yield plan_row(spec, key)


def plan_row(spec: GenerationSpec, key: str) -> PlanRow:
    """One line of the manifest under its key."""
    messages = spec.payload.get("messages")
    size = spec.payload.get("size")
    return PlanRow(
        row_key=key,
        ordinal=spec.ordinal,
        prompt_id=spec.prompt_id,
        sample_idx=spec.sample_idx,
        request_fingerprint=spec.request_fingerprint,
        output=spec.output,
        model=spec.model,
        prompt=spec.prompt,
        messages=None if messages is None else value_json(messages),
        seed=spec.seed,
        n=spec.n,
        size_asked=size if isinstance(size, str) else None,
        seconds_asked=_seconds(spec.payload.get("seconds")),
        params=spec.params,
        meta=spec.meta,
        payload=payload_json(spec.payload),
        follows=spec.follows,
    )


def spec_of(row: PlanRow) -> GenerationSpec:
    """The question of a line that was read back, as what buys it needs it."""
    payload = json.loads(row.payload or "{}")
    return GenerationSpec(
        ordinal=row.ordinal,
        prompt_id=row.prompt_id,
        row_idx=row.ordinal,
        sample_idx=row.sample_idx,
        output=row.output,
        model=row.model,
        payload=payload,
        request_fingerprint=row.request_fingerprint,
        prompt=row.prompt,
        seed=row.seed,
        params=row.params,
        meta=row.meta,
        images=image_hashes(payload.get("messages", [])),
        follows=row.follows,
    )


def row_key(spec: GenerationSpec) -> str:
    """The same cell of the same table has the same key in every plan, wherever it stands."""
    return _key(spec)


def key_of(row: PlanRow, time: int) -> str:
    """The key of a line that was read back, the `time`th of those that ask for the same."""
    return _key(row) if time == 1 else _repeated(_key(row), time)


def _key(row: GenerationSpec | PlanRow) -> str:
    parts = [row.prompt_id, row.request_fingerprint, str(row.seed), str(row.sample_idx)]
    parts += [f"{name}={value_json(row.params[name])}" for name in sorted(row.params)]
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()


def _repeated(key: str, time: int) -> str:
    return hashlib.sha256(f"{key}\0{time}".encode()).hexdigest()


def _seconds(value: object) -> float | None:
    try:
        return float(value) if isinstance(value, int | float | str) else None
    except ValueError:
        return None
