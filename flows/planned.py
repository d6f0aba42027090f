"""A GenerationSpec as the ledger's plan row: what the manifest says was asked. Pure."""

from __future__ import annotations

import hashlib

from reelsweep.prompts.request import GenerationSpec, payload_json, value_json
from reelsweep.tasks.ledger.records import PlanRow


def plan_row(spec: GenerationSpec) -> PlanRow:
    """One line of the manifest, before anything is known but the question."""
    messages = spec.payload.get("messages")
    size = spec.payload.get("size")
    return PlanRow(
        row_key=row_key(spec),
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


def row_key(spec: GenerationSpec) -> str:
    """The same cell of the same table has the same key in every plan, wherever it stands."""
    parts = [spec.prompt_id, spec.request_fingerprint, str(spec.seed), str(spec.sample_idx)]
    parts += [f"{name}={value_json(spec.params[name])}" for name in sorted(spec.params)]
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()


def _seconds(value: object) -> float | None:
    try:
        return float(value) if isinstance(value, int | float | str) else None
    except ValueError:
        return None
