"""Ledger lines of requests that were made more than once."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from reelsweep.prompts.fingerprint import request_fingerprint
from reelsweep.tasks.ledger.records import AttemptRecord, Line, PlanRow, ResultRecord

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
HASH = "0" * 128


def result_of(clip: str, phash: str = HASH, **fields: Any) -> ResultRecord:
    """A stored clip: its letters are the bytes, the first one the frames."""
    result = ResultRecord(
        choice_idx=0,
        status="success",
        file_name=f"videos/{clip}.mp4",
        sha256=clip,
        facts={"frames_sha256": clip[0], "phash": phash},
    )
    return replace(result, **fields)


def line_of(number: int, sample_idx: int = 0, result: ResultRecord | None = None, **fields: Any) -> Line:
    """Request `number`'s sample: `seed`, `status`, `mark` (its fingerprint), `model`, … as fields."""
    seed = fields.pop("seed", number)
    model = fields.pop("model", "m")
    payload = {"model": model, "messages": [{"role": "user", "content": f"p{number}"}], "seed": seed}
    plan = PlanRow(
        row_key=f"{number}-{sample_idx}",
        ordinal=number,
        prompt_id=f"p{number}",
        sample_idx=sample_idx,
        request_fingerprint=request_fingerprint(payload, sample_idx),
        output="video",
        model=model,
        prompt=f"p{number}",
        messages=None,
        seed=seed,
        n=fields.pop("n", 1),
        size_asked=None,
        seconds_asked=None,
        params={},
        meta={},
        payload=json.dumps(payload),
    )
    results = fields.pop("results", (result or result_of(f"a{number}"),))
    line = Line(
        plan=plan,
        gateway="https://video.example.com",
        run_id="run",
        in_plan=True,
        shared=False,
        status="success",
        attempt=attempt_of(plan, results, fields.pop("mark", "fp"), fields.pop("billed", "yes")),
        num_attempts=1,
        num_purchases=1,
        cost_musd=None,
        reserved_musd=None,
        created_at=NOON + timedelta(days=sample_idx),
        started_at=NOON,
        plan_hash=None,
        code_version=None,
    )
    return replace(line, **fields)


def attempt_of(
    plan: PlanRow, results: tuple[ResultRecord, ...], mark: str | None, billed: Any
) -> AttemptRecord:
    """The attempt that speaks for a line."""
    unknown: dict[str, Any] = dict.fromkeys(AttemptRecord.__dataclass_fields__)
    known: dict[str, Any] = {
        "attempt_id": "a",
        "gateway": "https://video.example.com",
        "request_fingerprint": plan.request_fingerprint,
        "run_id": "run",
        "system_fingerprint": mark,
        "served_model": plan.model,
        "billed": billed,
        "sent_at": NOON,
        "completed_at": NOON,
        "results": results,
    }
    return AttemptRecord(**unknown | known)


@pytest.fixture(scope="session")
def line() -> Callable[..., Line]:
    """`line(number, sample_idx, result, …)`: a line of the ledger."""
    return line_of


@pytest.fixture(scope="session")
def result() -> Callable[..., ResultRecord]:
    """`result("ab")`: a stored clip with bytes `ab` and frames `a`."""
    return result_of
