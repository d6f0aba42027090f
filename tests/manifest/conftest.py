"""Ledger lines made by hand, as a ledger would give them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from reelsweep.tasks.ledger.records import AttemptRecord, Line, PlanRow, ResultRecord

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
GATEWAY = "https://video.example.com/v1"


def digest(*parts: object) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def make_plan(ordinal: int = 0, **fields: Any) -> PlanRow:
    seed = fields.get("seed", ordinal)
    row = PlanRow(
        row_key=digest("row", ordinal),
        ordinal=ordinal,
        prompt_id=f"p{ordinal}",
        sample_idx=0,
        request_fingerprint=digest("request", ordinal),
        output="video",
        model="sora-2",
        prompt=f"A paper boat on a river, take {ordinal}",
        messages='[{"role":"user","content":"A paper boat on a river"}]',
        seed=seed,
        n=1,
        size_asked="320x180",
        seconds_asked=2.0,
        params={"temperature": 0.5},
        meta={"label": "boat"},
        payload="{}",
    )
    return replace(row, **fields)


def make_result(ordinal: int = 0, choice_idx: int = 0, **fields: Any) -> ResultRecord:
    sha256 = digest("bytes", ordinal, choice_idx)
    result = ResultRecord(
        choice_idx=choice_idx,
        status="success",
        video_url="https://files.example.com/clip.mp4",
        file_name=f"videos/{sha256[:2]}/{sha256}.mp4",
        sha256=sha256,
        size_bytes=100_000 + ordinal,
        mime_type="video/mp4",
        facts={
            "width": 320,
            "height": 180,
            "duration_s": 2.0,
            "fps": 24.0,
            "num_frames": 48,
            "codec": "h264",
            "has_audio": False,
            "frames_sha256": digest("frames", ordinal, choice_idx),
            "phash": "8f0f0f0f0f0f0f0f",
            "notes": ["not a column"],
        },
        download_s=0.25,
    )
    return replace(result, **fields)


def make_attempt(ordinal: int = 0, **fields: Any) -> AttemptRecord:
    sent_at = NOON + timedelta(seconds=ordinal)
    attempt = AttemptRecord(
        attempt_id=f"{ordinal:032x}",
        gateway=GATEWAY,
        request_fingerprint=digest("request", ordinal),
        run_id="run-1",
        purchase_idx=0,
        attempt_idx=0,
        idempotency_key=digest("key", ordinal),
        state="settled",
        kind="succeeded",
        retry=None,
        http_status=200,
        error_type=None,
        error_code=None,
        error_message=None,
        refused_at=None,
        request_id="req-1",
        completion_id="cmpl-1",
        gateway_task_id="task-1",
        status_url=None,
        video_host="files.example.com",
        transcript=None,
        billed="yes",
        reserved_musd=0,
        cost_musd=800_000,
        cost_source="price",
        served_model="sora-2-2026",
        system_fingerprint="fp_1",
        finish_reason="stop",
        usage_prompt_tokens=12,
        usage_completion_tokens=1,
        body_sha256=digest("body", ordinal),
        sent_at=sent_at,
        first_event_at=sent_at + timedelta(seconds=1),
        completed_at=sent_at + timedelta(seconds=61.5),
        prefect_flow_run_id=None,
        prefect_task_run_id=None,
        results=(make_result(ordinal),),
    )
    return replace(attempt, **fields)


def make_line(ordinal: int = 0, *, plan: dict[str, Any] | None = None, **fields: Any) -> Line:
    attempt = fields.pop("attempt", make_attempt(ordinal))
    line = Line(
        plan=make_plan(ordinal, **(plan or {})),
        gateway=GATEWAY,
        run_id="run-1",
        in_plan=True,
        shared=False,
        status="success",
        attempt=attempt,
        num_attempts=1,
        num_purchases=1,
        cost_musd=800_000,
        reserved_musd=0,
        created_at=NOON,
        started_at=NOON + timedelta(seconds=ordinal),
        plan_hash=digest("plan"),
        code_version="0.1.0",
    )
    return replace(line, **fields)


def make_failure(ordinal: int, status: str, message: str, **attempt: Any) -> Line:
    fields: dict[str, Any] = {"kind": "failed", "error_type": "bad_request", "error_code": "400"}
    fields |= {"error_message": message, "results": (), "cost_musd": 0, "billed": "no", "finish_reason": None}
    failed = make_attempt(ordinal, **(fields | attempt))
    return make_line(ordinal, status=status, attempt=failed, cost_musd=0)


class Make:
    """The makers above, for tests."""

    plan = staticmethod(make_plan)
    result = staticmethod(make_result)
    attempt = staticmethod(make_attempt)
    line = staticmethod(make_line)
    failure = staticmethod(make_failure)

    @staticmethod
    def lines(count: int, each: Callable[[int], Line] = make_line) -> list[Line]:
        return [each(ordinal) for ordinal in range(count)]

    @staticmethod
    def attempts(lines: list[Line]) -> list[AttemptRecord]:
        return [line.attempt for line in lines if line.attempt is not None]


@pytest.fixture(scope="session")
def make() -> type[Make]:
    return Make
