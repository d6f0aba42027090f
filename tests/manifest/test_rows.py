"""What a ledger line says in the manifest."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reelsweep.tasks.ledger.records import ManifestStatus
from reelsweep.tasks.manifest.columns import ATTEMPTS, MANIFEST, PLAN
from reelsweep.tasks.manifest.rows import attempt_row, manifest_rows, plan_row, usd

STATUSES: tuple[ManifestStatus, ...] = get_args(ManifestStatus)


def test_a_line_fills_the_declared_columns_and_no_other(make: Any) -> None:
    """A finished line says nothing outside `columns.py` but its own parameters and carried columns."""
    (row,) = manifest_rows(make.line())
    brought = set(row) - {column.name for column in MANIFEST}
    assert brought == {"param_temperature", "meta_label"}
    required = {column.name for column in MANIFEST if not column.nullable}
    assert all(row[name] is not None for name in required)


@pytest.mark.parametrize("status", STATUSES)
def test_required_cells_are_there_in_every_status(make: Any, status: ManifestStatus) -> None:
    """A row that was never sent still says what is declared as always there."""
    line = make.line(status=status, attempt=None, run_id=None, started_at=None, cost_musd=None)
    required = {column.name for column in MANIFEST if not column.nullable}
    for row in manifest_rows(line):
        assert {name for name in required if row.get(name) is None} == set()


def test_attempt_and_plan_rows_are_the_declared_ones(make: Any) -> None:
    """Attempts and plan have exactly their declared columns."""
    assert set(attempt_row(make.attempt())) == {column.name for column in ATTEMPTS}
    assert set(plan_row(make.line())) == {column.name for column in PLAN}


def test_every_choice_is_a_row(make: Any) -> None:
    """`n` choices make `n` rows that differ in what came and agree in what was asked."""
    results = tuple(make.result(0, choice) for choice in range(3))
    line = make.line(plan={"n": 3}, attempt=make.attempt(results=results))
    rows = list(manifest_rows(line))
    assert [row["choice_idx"] for row in rows] == [0, 1, 2]
    assert len({row["sha256"] for row in rows}) == 3
    assert len({row["request_fingerprint"] for row in rows}) == 1


def test_a_choice_that_did_not_come_is_no_success(make: Any) -> None:
    """A finished generation lends its success to no choice it did not give."""
    line = make.line(plan={"n": 3}, attempt=make.attempt(results=(make.result(0, 1),)))
    rows = list(manifest_rows(line))
    assert [row["status"] for row in rows] == ["failed", "success", "failed"]
    assert rows[0]["error_type"] == "no_video"
    assert rows[0]["error_message"] == "the gateway gave 1 of 3 choices"
    assert rows[0].get("file_name") is None


def test_a_choice_nobody_asked_for_is_kept(make: Any) -> None:
    """What was paid for is in the manifest, even beyond `n`."""
    line = make.line(attempt=make.attempt(results=(make.result(0, 0), make.result(0, 1))))
    assert [row["status"] for row in manifest_rows(line)] == ["success", "success"]


def test_a_choice_stands_for_itself(make: Any) -> None:
    """One broken clip does not spoil its sibling, nor the other way round."""
    broken = make.result(0, 1, status="invalid_output", error_type="not_video", error_message="it is HTML")
    line = make.line(plan={"n": 2}, attempt=make.attempt(results=(make.result(0, 0), broken)))
    first, second = manifest_rows(line)
    assert (first["status"], first.get("error_message")) == ("success", None)
    assert (second["status"], second["error_message"]) == ("invalid_output", "it is HTML")


def test_an_open_choice_stands_as_its_generation(make: Any) -> None:
    """While a clip is being fetched the row says what the ledger says, never `success`, and names no file."""
    fetching = make.attempt(results=(make.result(status="in_progress"),))
    for status, shown in (("unknown", "unknown"), ("in_progress", "in_progress"), ("success", "in_progress")):
        (row,) = manifest_rows(make.line(status=status, attempt=fetching))
        assert (row["status"], row["file_name"]) == (shown, None)


def test_a_success_has_no_reason_and_a_failure_has_one(make: Any) -> None:
    """An error of the deciding attempt shows in failed rows only."""
    troubled = {"error_type": "throttled", "error_message": "slow down", "error_code": "429"}
    (good,) = manifest_rows(make.line(attempt=make.attempt(**troubled)))
    (bad,) = manifest_rows(make.failure(1, "refused", "blocked", refused_at="input"))
    assert not {"error_type", "error_message", "error_code"} & good.keys()
    assert (bad["status"], bad["refused_at"], bad["error_message"]) == ("refused", "input", "blocked")


def test_seed_honoured_is_what_an_experiment_found(make: Any) -> None:
    """Without an experiment it is unknown, without a seed it is null, and it is never guessed."""
    line = make.line(plan={"seed": 7})
    found = {(line.gateway, "sora-2"): "no"}
    assert [next(manifest_rows(line))["seed_honoured"]] == ["unknown"]
    assert next(manifest_rows(line, found))["seed_honoured"] == "no"
    assert next(manifest_rows(make.line(plan={"seed": None}), found)).get("seed_honoured") is None


def test_times_are_measured_from_the_deciding_post(make: Any) -> None:
    """`generation_s` runs from the POST to its end and is null while it has none."""
    assert next(manifest_rows(make.line()))["generation_s"] == 61.5
    open_attempt = make.attempt(completed_at=None)
    assert next(manifest_rows(make.line(attempt=open_attempt))).get("generation_s") is None


def test_params_are_exact(make: Any) -> None:
    """`params` holds every parameter exactly, in an order that does not depend on the table's."""
    params = {"seed": 2**63 + 1, "b": None, "a": "é", "t": 0}
    (row,) = manifest_rows(make.line(plan={"params": params}))
    assert json.loads(row["params"]) == params
    assert row["params"].startswith('{"a":"é","b":null')


purchases = st.tuples(st.integers(1, 4), st.integers(1, 3), st.integers(0, 10**12), st.integers(0, 10**9))


@given(bought=st.lists(purchases, max_size=30))
def test_the_sum_of_costs_is_what_the_ledger_settled(
    make: Any, bought: list[tuple[int, int, int, int]]
) -> None:
    """However many rows share a request, and however many choices each has, SUM is exact."""
    first = [make.line(plan={"n": n}, cost_musd=cost, reserved_musd=kept) for n, _, cost, kept in bought]
    again = [
        replace(line, shared=True, cost_musd=0, reserved_musd=0)
        for line, (_, lines, _, _) in zip(first, bought, strict=True)
        for _ in range(lines - 1)
    ]
    rows = [row for line in first + again for row in manifest_rows(line)]
    assert round(sum(row["cost_usd"] for row in rows) * 1_000_000) == sum(cost for _, _, cost, _ in bought)
    assert round(sum(row["reserved_usd"] for row in rows) * 1_000_000) == sum(kept for *_, kept in bought)


def test_an_unknown_cost_is_null(make: Any) -> None:
    """A price nobody knows is not zero."""
    rows = list(manifest_rows(make.line(plan={"n": 2}, cost_musd=None, reserved_musd=None)))
    assert [row["cost_usd"] for row in rows] == [None, None]
    assert [row["reserved_usd"] for row in rows] == [None, None]


@given(st.integers(0, 10**13))
def test_dollars_keep_every_micro_dollar(musd: int) -> None:
    """Up to ten million dollars a row, no micro-dollar is lost in the float."""
    value = usd(musd)
    assert value is not None and round(value * 1_000_000) == musd
