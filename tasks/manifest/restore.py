"""The published files read back: what was planned, what was sent, what came, as far as they tell.

For a ledger that was lost. Files are trusted only as far as their bytes go: a clip that is not there
whole is not a success. Reads Parquet and hashes clips; decides nothing about money.
"""

# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false, reportUnknownMemberType=false
# pyarrow ships no types; nothing of it is unknown outside this folder's Arrow modules.
from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from reelsweep.prompts.errors import OutError
from reelsweep.tasks.ledger.records import FINAL, AttemptRecord, ManifestStatus, PlanRow, ResultRecord
from reelsweep.tasks.ledger.standing import RETRYABLE
from reelsweep.tasks.manifest.amend import Amending, in_order
from reelsweep.tasks.manifest.columns import MANIFEST
from reelsweep.tasks.manifest.read import are_of_one_moment
from reelsweep.tasks.manifest.replan import plan_row
from reelsweep.tasks.manifest.rows import FACTS
from reelsweep.tasks.storage.out import Out

_RESULT = (
    *("choice_idx", "file_name", "sha256", "size_bytes", "mime_type", "text", "tool_calls"),
    *("finish_reason", "download_s"),
)
_SPEAKER = (
    *("served_model", "system_fingerprint", "finish_reason", "cost_source", "refused_at"),
    *("usage_prompt_tokens", "usage_completion_tokens"),
)
_NOT_KEPT = ("state", "reserved_usd", "cost_usd")
MANIFEST_FILE, ATTEMPTS_FILE = "manifest.parquet", "attempts.parquet"
Row = Mapping[str, Any]
_NO_LINE: Row = {
    **dict.fromkeys(column.name for column in MANIFEST),
    "choice_idx": 0,
    "output": "video",
    "status": "planned",
}
_BOUGHT = {"status": "success", "billed": "yes", "num_attempts": 1, "num_purchases": 1}
Generation = tuple[str, str]
"""(gateway, request_fingerprint)"""


@dataclass(frozen=True, slots=True, kw_only=True)
class OldPlan:
    """Rows of one plan; rows that left it are those of an earlier one."""

    gateway: str
    plan_hash: str
    in_plan: bool
    rows: Sequence[PlanRow]


@dataclass(frozen=True, slots=True, kw_only=True)
class OldGeneration:
    """Everything the files tell about one generation."""

    gateway: str
    request_fingerprint: str
    attempts: tuple[AttemptRecord, ...]
    is_settled: bool
    """Nothing would be sent for it by itself: it is final, or held as maybe billed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OldOut:
    """What the files of an OUT tell."""

    plans: Sequence[OldPlan]
    """The latest plan last."""
    generations: Sequence[OldGeneration]
    """Those that a line asks for."""
    unasked: Sequence[OldGeneration]
    """Those that were sent and that no line of the manifest asks for: a plan may have come behind it."""
    num_broken: int
    """Successes whose clip is not there whole."""


def read_old_out(storage: Out, row_key: Callable[[PlanRow, int], str], amending: Amending) -> OldOut:
    """Everything that `out` tells. `row_key` names the first, second, … row that asks so, as the plan does.

    Manifest and attempts need not be of one moment, and one of them may be gone: no POST that either tells of
    is left out. Raises OutError when both are missing, or when a file cannot be read.
    """
    out = storage.desk
    _demand_any(out)
    places = {row["row_key"]: row for row in _rows(out / "plan.parquet")}
    taken: set[tuple[str, str]] = set()
    plans: dict[tuple[bool, str, str], list[PlanRow]] = defaultdict(list)
    told: dict[Generation, list[Row]] = {}
    for group in _lines(_rows(out / MANIFEST_FILE)):
        plan, first = plan_row(group, row_key, places, taken), group[0]
        taken.add((first["gateway"], plan.row_key))
        plans[first["in_plan"], first["gateway"], first["plan_hash"] or ""].append(plan)
        told.setdefault((first["gateway"], first["request_fingerprint"]), group)
    attempts: dict[Generation, list[Row]] = defaultdict(list)
    for row in _rows(out / ATTEMPTS_FILE):
        attempts[row["gateway"], row["request_fingerprint"]].append(row)
    stored = _stored(out, told)
    clips, is_one_moment = _Clips(storage), are_of_one_moment(out)

    def generation(name: Generation) -> OldGeneration:
        group, sent = told.get(name) or stored.get(name), attempts.get(name, [])
        amended = amending.amend(group, sent) if group else in_order(sent)
        return _generation(name, _Told(group or [_NO_LINE], clips, is_one_moment), amended)

    return OldOut(
        plans=[
            OldPlan(gateway=gateway, plan_hash=plan_hash, in_plan=in_plan, rows=rows)
            for (in_plan, gateway, plan_hash), rows in sorted(plans.items(), key=lambda item: item[0][0])
        ],
        generations=[generation(name) for name in told],
        unasked=[generation(name) for name in dict.fromkeys([*attempts, *stored]) if name not in told],
        num_broken=clips.num_broken,
    )


def _demand_any(out: Path) -> None:
    if not any((out / name).exists() for name in (MANIFEST_FILE, ATTEMPTS_FILE)):
        raise OutError(
            f"{out} has neither {MANIFEST_FILE} nor {ATTEMPTS_FILE}: there is nothing to fill a ledger from.",
            "Restore the ledger from a backup, or choose another --out.",
        )


def _stored(out: Path, told: Container[Generation]) -> dict[Generation, list[Row]]:
    """The clips of metadata.parquet that the manifest does not tell of, as lines of it."""
    groups: dict[Generation, dict[int, Row]] = defaultdict(dict)
    for row in _rows(out / "metadata.parquet"):
        if (name := (row["gateway"], row["request_fingerprint"])) not in told:
            groups[name].setdefault(row["choice_idx"], {**_NO_LINE, **row, **_BOUGHT})
    return {name: list(choices.values()) for name, choices in groups.items()}


class _Clips:
    """The stored clips, each looked at once."""

    def __init__(self, storage: Out) -> None:
        self._storage = storage
        self._whole: dict[str, bool] = {}
        self.num_broken = 0

    def is_whole(self, row: Row) -> bool:
        name = row["file_name"]
        if name not in self._whole:
            self._whole[name] = self._storage.is_whole(name, row["sha256"], row["size_bytes"])
            self.num_broken += not self._whole[name]
        return self._whole[name]


def _rows(path: Path) -> Iterator[Row]:
    """The rows of a file; none where it is gone."""
    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=1_000):
                yield from batch.to_pylist()
    except FileNotFoundError:
        return
    except (OSError, ValueError) as error:
        raise OutError(
            f"{path} cannot be read ({error}).",
            "Restore it from a backup. Without one, move it away: what the other files tell is kept.",
        ) from None


def _lines(rows: Iterator[Row]) -> Iterator[list[Row]]:
    """The rows of one line each: its choices stand together, from 0."""
    group: list[Row] = []
    for row in rows:
        if row["choice_idx"] == 0 and group:
            yield group
            group = []
        group.append(row)
    if group:
        yield group


@dataclass(frozen=True, slots=True)
class _Told:
    """What the manifest tells of one generation."""

    group: Sequence[Row]
    """The choices of its first line."""
    clips: _Clips
    is_one_moment: bool
    """Whether the attempts are of the same moment."""

    @property
    def is_made(self) -> bool:
        """Whether another POST that ended with a result can only be a second success."""
        return self.group[0]["status"] == "success"

    @property
    def says_all(self) -> bool:
        """Whether another POST that ended with a result has none to give: its line would speak of it."""
        return self.is_one_moment or self.group[0]["status"] in ("success", "invalid_output")


def _generation(name: Generation, told: _Told, ordered: Sequence[Row]) -> OldGeneration:
    """One generation's attempts; what the manifest tells of results goes to the one that speaks for it."""
    speaker = _speaker(told.group[0], ordered)
    old = [_attempt(row, told, is_speaker=row is speaker) for row in ordered]
    return OldGeneration(
        gateway=name[0],
        request_fingerprint=name[1],
        attempts=tuple(record for record, _ in old),
        is_settled=any(_settles(record, status) for record, status in old),
    )


def _settles(record: AttemptRecord, status: ManifestStatus) -> bool:
    if record.state in ("answered", "unknown"):
        return record.billed != "no"
    return status in FINAL and not (record.billed == "no" and record.retry in RETRYABLE)


def _speaker(line: Row, sent: Sequence[Row]) -> Row | None:
    """The attempt that the line names by when it was sent or ended; the last with a result, else the last."""
    named = [row for row in sent if row["sent_at"] == line["started_at"]]
    same = [row for row in sent if row["completed_at"] and row["completed_at"] == line["completed_at"]]
    good = [row for row in sent if row["kind"] == "succeeded"]
    candidates = named or same or good or sent
    return candidates[-1] if candidates else None


def _attempt(row: Row, told: _Told, *, is_speaker: bool) -> tuple[AttemptRecord, ManifestStatus]:
    group = told.group if is_speaker else ()
    results = tuple(_result(choice, told.clips) for choice in group if _was_answered(row, choice))
    is_over = not is_speaker and told.says_all and (row["kind"], row["state"]) == ("succeeded", "settled")
    state, status = ("settled", "failed") if is_over else _state(row, results, told.is_made)
    fields: dict[str, Any] = {name: row[name] for name in row if name not in _NOT_KEPT}
    fields |= {name: group[0][name] if group else None for name in _SPEAKER}
    record = AttemptRecord(
        **fields,
        state=state,
        reserved_musd=_musd(row["reserved_usd"]),
        cost_musd=_musd(row["cost_usd"]),
        body_sha256=None,
        results=results,
    )
    if state == "unknown":
        record = replace(record, billed=record.billed or "maybe", cost_source=_source(record))
    return record, status


def _source(record: AttemptRecord) -> str | None:
    """Who priced a POST of unknown fate: where it never named a job, only a bill can have."""
    is_priced = record.billed == "yes" and record.cost_musd is not None
    is_named = record.gateway_task_id is not None or record.status_url is not None
    return "bill" if is_priced and not is_named else record.cost_source


def _was_answered(row: Row, told: Row) -> bool:
    return row["kind"] in ("succeeded", "submitted") and (told["status"] not in ("planned", "unknown"))


def _result(row: Row, clips: _Clips) -> ResultRecord:
    status: ManifestStatus = row["status"]
    values: dict[str, Any] = {name: row[name] for name in _RESULT}
    if status == "success" and row["output"] == "video" and not (row["file_name"] and clips.is_whole(row)):
        status = "failed_to_download"
        values |= {"file_name": None, "sha256": None, "size_bytes": None}
    facts = {name: row[name] for name in FACTS if row.get(name) is not None}
    return ResultRecord(
        **values,
        status=status,
        error_type=row["error_type"],
        error_message=row["error_message"],
        facts=facts,
    )


def _state(row: Row, results: Sequence[ResultRecord], is_decided: bool) -> tuple[Any, ManifestStatus]:
    """Where an attempt stands, by how it was answered (the table of outcomes) and what is there of it."""
    kind, unbilled = row["kind"], row["billed"] == "no"
    if row.get("state") == "surplus":
        return "surplus", "success"
    if kind is None or kind == "incomplete":
        return "unknown", "unknown"
    if kind in ("succeeded", "submitted"):
        return _state_of_results(kind, results, is_decided)
    if row.get("state") == "unknown":
        return "unknown", "unknown"
    if kind == "refused":
        return "settled", "refused"
    if kind == "stopped":
        return "settled", "planned"
    if kind == "no_video" or row["retry"] in (None, "none") or unbilled or row["state"] == "settled":
        return "settled", "failed"
    return "unknown", "unknown"


def _state_of_results(
    kind: str, results: Sequence[ResultRecord], is_decided: bool
) -> tuple[Any, ManifestStatus]:
    statuses = [result.status for result in results]
    for status in ("failed_to_download", "in_progress"):
        if status in statuses:
            return "answered", status
    for status in ("success", "invalid_output", "failed"):
        if status in statuses:
            return "settled", status
    if is_decided:
        return "surplus", "success"
    return "answered", "in_progress" if kind == "submitted" else "failed_to_download"


def _musd(usd: float | None) -> int | None:
    return None if usd is None else round(usd * 1_000_000)
