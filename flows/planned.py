"""A GenerationSpec as the ledger's plan row: what the manifest says was asked. Pure."""

from __future__ import annotations

import hashlib

import orjson

from reelsweep.prompts.request import GenerationSpec
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
        messages=None if messages is None else _json(messages),
        seed=spec.seed,
        n=spec.n,
        size_asked=size if isinstance(size, str) else None,
        seconds_asked=_seconds(spec.payload.get("seconds")),
        params=spec.params,
        meta=spec.meta,
        payload=_json(spec.payload),
        follows=spec.follows,
    )


def row_key(spec: GenerationSpec) -> str:
    """The same cell of the same table has the same key in every plan, wherever it stands."""
    parts = [spec.prompt_id, spec.request_fingerprint, str(spec.seed), str(spec.sample_idx), _json(spec.params)]
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()


def _seconds(value: object) -> float | None:
    try:
        return float(value) if isinstance(value, int | float | str) else None
    except ValueError:
        return None


def _json(value: object) -> str:
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS, default=dict).decode()
