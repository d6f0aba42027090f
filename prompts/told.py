"""What the manifest tells of a generation beside its request: names, parameters, carried columns.

Used by `plan`, and by the ledger to see what changed. Pure.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import blake2b

import orjson
from reelsweep.prompts.columns import BODY_PREFIX
from reelsweep.prompts.expand import Cell
from reelsweep.prompts.request import Scalar

TOLD_BYTES = 16

_OWN_COLUMNS = ("model", "seed", "prompt", "prompt_template", "messages")
"""Axes that have a column of their own in the manifest beside `params`."""


def params_of(cell: Cell) -> dict[str, Scalar]:
    """The scalar parameters as they are sent, and the axes' values."""
    params = {name: value for name, value in cell.row.fields.items() if not isinstance(value, list | dict)}
    for name, value in cell.axes.items():
        if name not in _OWN_COLUMNS:
            params.setdefault(name.removeprefix(BODY_PREFIX), value)
    if cell.seed is not None and cell.seed in cell.row.seed_idx:
        params.setdefault("seed_idx", cell.row.seed_idx[cell.seed])
    return params


def told_digest(
    request_fingerprint: str,
    prompt_id: str,
    output: str,
    params: Mapping[str, Scalar],
    meta: Mapping[str, str | None],
    follows: str | None,
) -> bytes:
    """TOLD_BYTES bytes over everything a manifest line tells before it is made, but for its place.

    The text, the seed, the sample and the rest of the request are in its fingerprint. The order of columns
    tells nothing, and neither does one that is empty here: moving or adding it is no edit.
    """
    carried = {name: text for name, text in meta.items() if text is not None}
    told = [request_fingerprint, prompt_id, output, params, carried, follows]
    return blake2b(_sorted_json(told), digest_size=TOLD_BYTES).digest()


def _sorted_json(value: object) -> bytes:
    """orjson refuses integers beyond 64 bits and lone surrogates, which a cell may hold."""
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    except TypeError:
        return json.dumps(value, separators=(",", ":"), sort_keys=True).encode()
