"""The rows of a plan, read back from the manifest's lines.

For a ledger that was lost, beside `restore`. Pure.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import count
from typing import Any

from reelsweep.prompts.columns import COLUMNS
from reelsweep.prompts.fingerprint import is_asked_by
from reelsweep.prompts.request import Json, payload_json
from reelsweep.tasks.ledger.kept import own_key
from reelsweep.tasks.ledger.records import PlanRow
from reelsweep.tasks.manifest.columns import META

Row = Mapping[str, Any]
_FIELDS = frozenset(column.name for column in COLUMNS if column.use == "sent")


def plan_row(
    group: Sequence[Row],
    row_key: Callable[[PlanRow, int], str],
    places: Mapping[str, Row],
    taken: Collection[tuple[str, str]],
) -> PlanRow:
    """What a line asked for. Its place comes from the plan; a plan of another moment may lack it."""
    row, gateway = group[0], group[0]["gateway"]
    params = json.loads(row["params"])
    plan = PlanRow(
        row_key="",
        ordinal=len(taken),
        prompt_id=row["prompt_id"],
        sample_idx=row["sample_idx"],
        request_fingerprint=row["request_fingerprint"],
        output=row["output"],
        model=row["model"],
        prompt=row["prompt"],
        messages=row["messages"],
        seed=row["seed"],
        n=len(group),
        size_asked=row["size_asked"],
        seconds_asked=row["seconds_asked"],
        params=params,
        meta={name.removeprefix(META): _text(row[name]) for name in row if name.startswith(META)},
        payload=_payload(row, params, len(group)),
    )
    found = next(key for number in count(1) if (gateway, key := row_key(plan, number)) not in taken)
    place = places.get(own_key(found, gateway)) or places.get(found, {})
    return replace(
        plan,
        row_key=found,
        ordinal=place.get("ordinal", plan.ordinal),
        n=place.get("n", plan.n),
        follows=place.get("follows"),
    )


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _payload(row: Row, params: Mapping[str, Json], n: int) -> str:
    """The request where the manifest tells all of it, which its fingerprint proves; else enough to price it.

    Lists, objects and what a gateway's profile added stand in no column. The next plan knows them.
    """
    for asked in _requests(row, params):
        text = payload_json(asked)
        if is_asked_by(row["request_fingerprint"], text, row["sample_idx"]):
            return text
    told = {"size": row["size_asked"], "seconds": row["seconds_asked"], "n": n if n > 1 else None}
    return payload_json({**_opening(row), **params, **_known(told)})


def _requests(row: Row, params: Mapping[str, Json]) -> Iterator[dict[str, Json]]:
    """With all parameters as fields, and without those that are an axis of the sweep."""
    sent = {name: value for name, value in params.items() if name in _FIELDS}
    for fields in (params, sent) if len(sent) < len(params) else (params,):
        yield {**_opening(row), **fields, **_known({"seed": row["seed"]})}


def _opening(row: Row) -> dict[str, Json]:
    return {"model": row["model"], **_known({"messages": json.loads(row["messages"] or "null")})}


def _known(values: Mapping[str, Json]) -> dict[str, Json]:
    return {name: value for name, value in values.items() if value is not None}
