"""What may happen to the POSTs of a row, for tests that lose the ledger: what was asked and answered."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from shutil import copyfile
from typing import Any

from reelsweep.prompts.fingerprint import request_fingerprint
from reelsweep.prompts.request import GenerationSpec
from reelsweep.tasks.gateway.outcome import Choice, Outcome
from reelsweep.tasks.ledger.records import Answer, ResultRecord, RunRecord

GATEWAY = "https://gateway.example.com"
CLIP = b"\0\0\0\x18ftypmp42 a clip"
SHA256 = hashlib.sha256(CLIP).hexdigest()
CLIP_NAME = f"videos/{SHA256[:2]}/{SHA256}.mp4"
FACTS = {"out_id": "out", "ledger_id": "", "table": "t", "gateway_kind": "real", "format_version": "1"}
RUN = RunRecord(
    run_id="run",
    out_id="out",
    gateway=GATEWAY,
    plan_hash="",
    settings={},
    code_version="",
    host="",
    pid=1,
)
_ENDS: Mapping[str, tuple[Any, Any, Any]] = {
    "made": ("succeeded", "yes", "in_progress"),
    "submitted": ("submitted", "yes", "in_progress"),
    "cut": ("incomplete", "maybe", "unknown"),
    "refused": ("refused", "maybe", "refused"),
    "throttled": ("failed", "no", "failed"),
    "broken": ("failed", "maybe", "unknown"),
    "wrong": ("failed", "no", "failed"),
    "empty": ("no_video", "yes", "failed"),
    "stopped": ("stopped", "no", "planned"),
}


@dataclass
class Clock:
    """It moves at every look."""

    now: datetime = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        self.now += timedelta(seconds=1)
        return self.now


def spec(number: int) -> GenerationSpec:
    """The request of row `number`."""
    messages: list[Any] = [{"role": "user", "content": f"prompt {number}"}]
    payload: dict[str, Any] = {"model": "film", "messages": messages, "stop": ["x"] * (number % 2 + 1)}
    return GenerationSpec(
        ordinal=number,
        prompt_id=f"p{number}",
        row_idx=number,
        sample_idx=0,
        output="video",
        model="film",
        payload=payload,
        request_fingerprint=request_fingerprint(payload, 0),
        prompt=f"prompt {number}",
    )


def answer(end: str, key_ttl_s: float | None = None) -> Answer:
    """What came of a POST, by a word for it."""
    kind, billed, status = _ENDS[end]
    choices = (Choice(choice_idx=0, video_url="https://x.example.com/a.mp4"),) if kind == "succeeded" else ()
    retry: Any = {"throttled": "backoff", "broken": "resubmit_once"}.get(end, "none")
    outcome = Outcome(
        status=kind,
        retry=retry,
        billed=billed,
        choices=choices,
        task_id="job" if kind == "submitted" else None,
        error_type="rate_limit" if retry == "backoff" else None,
    )
    cost = 100 if billed == "yes" else None
    return Answer(
        outcome=outcome,
        manifest_status=status,
        billed=billed,
        cost_musd=cost,
        cost_source="price",
        key_ttl_s=key_ttl_s,
    )


def result(status: Any) -> ResultRecord:
    """The only choice of a POST, with its clip where it is a success."""
    clip = {"file_name": CLIP_NAME, "sha256": SHA256, "size_bytes": len(CLIP)} if status == "success" else {}
    return ResultRecord(choice_idx=0, status=status, **clip)


def store(folder: Path) -> None:
    """Put the clip into an output folder."""
    clip = folder / CLIP_NAME
    clip.parent.mkdir(parents=True)
    clip.write_bytes(CLIP)


def take_files(out: Path, manifest: Path | None, attempts: Path | None) -> None:
    """Make `out` of the manifest of one folder and the attempts of another; None where they are gone."""
    store(out)
    for name in ("manifest", "plan", "metadata"):
        if manifest is not None:
            copyfile(manifest / f"{name}.parquet", out / f"{name}.parquet")
    if attempts is not None:
        copyfile(attempts / "attempts.parquet", out / "attempts.parquet")
