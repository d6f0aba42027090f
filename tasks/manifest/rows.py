"""Ledger lines as rows of the manifest, the plan and the attempts.

After the ledger, before the Parquet files. Pure.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from operator import attrgetter
from typing import Any, Literal

from reelsweep.prompts.request import Scalar
from reelsweep.tasks.artifacts.asked import asked_of
from reelsweep.tasks.artifacts.checklist import DEFAULT_CHECKS, Checks, judge
from reelsweep.tasks.artifacts.checks import CHECK
from reelsweep.tasks.gateway.strata import Stratum
from reelsweep.tasks.ledger.records import AttemptRecord, Line, ManifestStatus, ResultRecord
from reelsweep.tasks.manifest.columns import ATTEMPTS, META, PARAM

Row = dict[str, Any]
"""Column name to value; a column that is not there is null."""
SeedHonoured = Mapping[tuple[str, str], Literal["yes", "no"]]
"""What an experiment found about `seed`, by (gateway, model)."""

MISSING_CHOICE = "no_video"
"""`error_type` of a choice that was asked for and not given."""


class Take:
    """The named attributes of a record, as cells of the same names."""

    def __init__(self, *names: str) -> None:
        self._names = names
        self._get = attrgetter(*names)

    def __call__(self, record: object) -> Row:
        return dict(zip(self._names, self._get(record), strict=True))


_LINE = Take(
    *("run_id", "in_plan", "shared", "gateway", "num_attempts", "num_purchases"),
    *("created_at", "started_at", "plan_hash", "code_version"),
)
_PLAN = Take(
    *("prompt_id", "sample_idx", "request_fingerprint", "output", "model", "prompt", "messages"),
    *("seed", "size_asked", "seconds_asked"),
)
_SPEAKER = Take(
    *("served_model", "system_fingerprint", "gateway_task_id", "billed", "cost_source", "finish_reason"),
    *("usage_prompt_tokens", "usage_completion_tokens", "first_event_at", "completed_at"),
)
_RESULT = Take("text", "tool_calls", "file_name", "sha256", "size_bytes", "mime_type", "download_s")
FACTS = (
    *("width", "height", "duration_s", "fps", "num_frames", "codec", "has_audio", "frames_sha256", "phash"),
    *("black_share", "frozen_share", "audio_peak_dbfs"),
)
"""What decoding a clip has shown, by the ledger's and the manifest's names."""
_ATTEMPT = Take(*(column.name for column in ATTEMPTS if not column.name.endswith("_usd")))
_PLANNED_LINE = Take("in_plan", "shared", "gateway", "plan_hash")
_PLANNED = Take(
    *("row_key", "ordinal", "prompt_id", "sample_idx", "request_fingerprint", "output", "model"),
    *("seed", "n", "size_asked", "seconds_asked", "follows"),
)
_JSON = json.JSONEncoder(sort_keys=True, ensure_ascii=False, separators=(",", ":"))
_OPEN: frozenset[ManifestStatus] = frozenset({"planned", "in_progress"})


def manifest_rows(
    line: Line, seed_honoured: SeedHonoured | None = None, checks: Checks = DEFAULT_CHECKS
) -> Iterator[Row]:
    """One row per choice asked for or given, in order; `verdicts` completes them.

    Money stands on the first choice and is 0 on the others, so that it adds up over the manifest.
    """
    common = _generation_cells(line, seed_honoured or {})
    results = {result.choice_idx: result for result in (line.attempt.results if line.attempt else ())}
    for choice_idx in sorted({*range(line.plan.n), *results}):
        row = common.copy()
        row["choice_idx"] = choice_idx
        row |= _money_cells(line, first=choice_idx == 0)
        row |= _choice_cells(line, results.get(choice_idx), checks)
        yield row


def attempt_row(record: AttemptRecord) -> Row:
    """One row of `attempts.parquet`."""
    money = {"reserved_usd": usd(record.reserved_musd), "cost_usd": usd(record.cost_musd)}
    return {**_ATTEMPT(record), **money}


def plan_row(line: Line) -> Row:
    """One row of `plan.parquet`."""
    return {**_PLANNED(line.plan), **_PLANNED_LINE(line)}


def choice_status(line: Line, result: ResultRecord | None) -> ManifestStatus:
    """Where one choice stands: its own result decides, else its generation.

    A finished generation without this choice has failed to give it: no success is lent.
    """
    if result is None:
        return "failed" if line.status == "success" else line.status
    if result.status in _OPEN and line.status != "success":
        return line.status
    return result.status


def usd(musd: int | None) -> float | None:
    """Dollars of micro-dollars.

    A float64 keeps every micro-dollar of a row, and sums over millions of rows far below a cent, in every
    reader; decimals would be slow Python objects in pandas.
    """
    return None if musd is None else musd / 1_000_000


def _generation_cells(line: Line, seed_honoured: SeedHonoured) -> Row:
    plan, attempt = line.plan, line.attempt
    cells = _LINE(line)
    cells |= _PLAN(plan)
    cells["params"] = params_json(plan.params)
    cells |= {PARAM + name: value for name, value in plan.params.items()}
    cells |= {META + name: value for name, value in plan.meta.items()}
    if plan.seed is not None:
        cells["seed_honoured"] = seed_honoured.get((line.gateway, plan.model), "unknown")
    if attempt is not None:
        cells |= _SPEAKER(attempt)
        stratum = Stratum(attempt.served_model, attempt.system_fingerprint)
        cells["stratum"] = str(stratum) if stratum.is_known else None
        if attempt.completed_at is not None:
            cells["generation_s"] = (attempt.completed_at - attempt.sent_at).total_seconds()
    return cells


def _money_cells(line: Line, *, first: bool) -> Row:
    cost, reserved = usd(line.cost_musd), usd(line.reserved_musd)
    return {
        "cost_usd": cost if first or cost is None else 0.0,
        "reserved_usd": reserved if first or reserved is None else 0.0,
    }


def _choice_cells(line: Line, result: ResultRecord | None, checks: Checks) -> Row:
    status = choice_status(line, result)
    cells: Row = {"status": status}
    if status != "success":
        cells |= _reason_cells(line, result)
    if result is not None:
        cells |= _RESULT(result)
        if status != "success":  # its hash is known before it is there
            cells["file_name"] = None
        cells |= zip(FACTS, map(result.facts.get, FACTS), strict=True)
        if result.finish_reason is not None:
            cells["finish_reason"] = result.finish_reason
        cells |= _check_cells(line, result, status, checks)
    return cells


def _check_cells(line: Line, result: ResultRecord, status: ManifestStatus, checks: Checks) -> Row:
    """What the checks say of the clip alone."""
    if status == "invalid_output":
        return {"check_decodes": False}
    if status != "success" or result.file_name is None:
        return {}
    told = judge(asked_of(json.loads(line.plan.payload)), result.facts, checks)
    reasons = [f"{name}: {reason}" for name, reason in told.items() if reason]
    return {
        "check_decodes": True,
        **{CHECK + name: None if reason is None else not reason for name, reason in told.items()},
        "reject_reason": "; ".join(reasons) or None,
    }


def _reason_cells(line: Line, result: ResultRecord | None) -> Row:
    attempt = line.attempt
    if attempt is None:
        return {}
    if result is None and line.status == "success":
        message = f"the gateway gave {len(attempt.results)} of {line.plan.n} choices"
        return {"error_type": MISSING_CHOICE, "error_message": message}
    return {
        "refused_at": attempt.refused_at,
        "error_type": (result and result.error_type) or attempt.error_type,
        "error_code": attempt.error_code,
        "error_message": (result and result.error_message) or attempt.error_message,
    }


def params_json(params: Mapping[str, Scalar]) -> str:
    """The parameters as JSON with sorted keys, integers exact."""
    return _JSON.encode(dict(params))
