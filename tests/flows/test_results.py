"""A run's end as it travels by Prefect's storage: what comes out is what went in."""

from __future__ import annotations

import pytest
from prefect.results import ResultRecord, ResultRecordMetadata
from pydantic import JsonValue
from reelsweep.flows.reproduction.reproducing import Reproduction
from reelsweep.flows.results import RESULTS
from reelsweep.flows.summary import RunStopped, RunSummary
from reelsweep.prompts.errors import Problem, ReelsweepError, TableError, TroubleError, UsageError

SUMMARY = RunSummary(
    run_id="r",
    out="/out",
    manifest="/out/manifest.parquet",
    gateway="sandbox@1",
    counts={"success": 2, "planned": 1},
    planned=3,
    posts=2,
    cost_usd=None,
    elapsed_s=1.5,
    exit_code=3,
    stopped="enough",
)


def travel(value: object) -> object:
    """Store a value as Prefect does and read it as the caller of a deployment does."""
    stored = ResultRecord(
        result=value, metadata=ResultRecordMetadata(serializer=RESULTS, storage_key="key")
    ).serialize_result()
    return ResultRecord[object].deserialize(stored, backup_serializer=RESULTS).result


def test_a_summary_arrives_as_a_summary() -> None:
    """Not as a dict: callers use its fields and `frame()`."""
    assert travel(SUMMARY) == SUMMARY


@pytest.mark.parametrize("run", [SUMMARY, None])
def test_what_was_reproduced_arrives_as_it_was_found(run: RunSummary | None) -> None:
    """With its verdicts, and the run that made what was missing."""
    verdict: dict[str, JsonValue] = {"model": "m", "near": {"pairs": 1, "low": 0.2, "high": 1.0}, "open": 0}
    found = Reproduction(
        out="/out",
        report="/out/reproduction.parquet",
        population=4,
        sampled=1,
        made_before=0,
        verdicts=[verdict],
        run=run,
    )
    assert travel(found) == found


def test_a_stopped_run_arrives_with_its_summary() -> None:
    """The exception that a caller of a deployment sees says how far the run came."""
    arrived = travel(RunStopped(SUMMARY))
    assert isinstance(arrived, RunStopped)
    assert arrived.summary == SUMMARY


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (UsageError("wrong", "do that"), UsageError),
        (TroubleError("disk full"), TroubleError),
        (TableError("t.csv", (Problem(row=1, column="seed", message="got 'x'"),)), UsageError),
    ],
)
def test_an_error_arrives_as_its_branch(error: ReelsweepError, kind: type[ReelsweepError]) -> None:
    """Message and remedy are kept, and a caller can tell mistakes from trouble."""
    arrived = travel(error)
    assert type(arrived) is kind
    assert (arrived.message, arrived.remedy) == (error.message, error.remedy)


def test_what_is_not_ours_goes_prefects_way() -> None:
    """Other exceptions keep their type and their text."""
    arrived = travel(ValueError("no"))
    assert isinstance(arrived, ValueError)
    assert str(arrived) == "no"
