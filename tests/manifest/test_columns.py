"""The declared columns are the contract, and everything derives from them."""

from __future__ import annotations

from dataclasses import fields

import pytest
from reelsweep.tasks.ledger.records import AttemptRecord
from reelsweep.tasks.manifest.columns import ATTEMPTS, MANIFEST, METADATA, PLAN, Column, markdown_table

CONTRACT = """
run_id prompt_id sample_idx choice_idx candidate_idx in_plan shared request_fingerprint gateway output model
served_model prompt messages seed seed_honoured size_asked seconds_asked params status refused_at
error_type error_code error_message finish_reason system_fingerprint stratum gateway_task_id text tool_calls
file_name sha256 size_bytes mime_type width height duration_s fps num_frames codec has_audio
frames_sha256 phash black_share frozen_share audio_peak_dbfs check_decodes check_duration check_size
check_fps check_black check_frozen check_silent check_near_duplicate near_duplicate_of accepted reject_reason
num_attempts num_purchases billed cost_usd reserved_usd cost_source
usage_prompt_tokens usage_completion_tokens created_at started_at first_event_at completed_at
generation_s download_s plan_hash code_version
"""
ATTEMPT_CONTRACT = """
attempt_id gateway request_fingerprint run_id purchase_idx attempt_idx idempotency_key state kind retry
http_status error_type error_code error_message request_id completion_id gateway_task_id status_url
video_host transcript billed reserved_usd cost_usd sent_at first_event_at completed_at
prefect_flow_run_id prefect_task_run_id
"""


def names(columns: tuple[Column, ...]) -> list[str]:
    return [column.name for column in columns]


def test_the_manifest_has_the_promised_columns_in_order() -> None:
    """Nobody's query breaks: names and order of the manifest's columns are those of the design."""
    assert names(MANIFEST) == CONTRACT.split()


def test_the_attempts_have_the_promised_columns_in_order() -> None:
    """Names and order of the attempts' columns are those of the design."""
    assert names(ATTEMPTS) == ATTEMPT_CONTRACT.split()


def test_every_attempt_column_is_a_fact_of_the_ledger() -> None:
    """An attempts column is an attribute of the ledger's record, money apart, which changes its unit."""
    known = {field.name.replace("_musd", "_usd") for field in fields(AttemptRecord)}
    assert set(names(ATTEMPTS)) <= known


@pytest.mark.parametrize("columns", [MANIFEST, ATTEMPTS, METADATA, PLAN])
def test_a_name_is_declared_once(columns: tuple[Column, ...]) -> None:
    """No table has two columns of one name, not even by case, which DuckDB ignores."""
    folded = [name.casefold() for name in names(columns)]
    assert len(set(folded)) == len(folded)


def test_metadata_names_the_file_first() -> None:
    """`file_name` leads where people look for it, and every column is one of the manifest's."""
    assert names(METADATA)[0] == "file_name"
    assert set(METADATA) <= set(MANIFEST)


@pytest.mark.parametrize("columns", [MANIFEST, ATTEMPTS])
def test_a_unit_in_a_name_is_the_declared_unit(columns: tuple[Column, ...]) -> None:
    """A name that ends in a unit declares that unit, and an instant is UTC."""
    units = {"_s": "s", "_usd": "USD", "_bytes": "bytes", "_at": "UTC"}
    for column in columns:
        for suffix, unit in units.items():
            if column.name.endswith(suffix) and column.name != "refused_at":
                assert column.unit == unit, column.name


def test_the_markdown_table_tells_all() -> None:
    """The README's table has one line per column, with type, unit and meaning."""
    lines = markdown_table(MANIFEST).splitlines()
    assert lines[:2] == ["| column | type | unit | meaning |", "|---|---|---|---|"]
    assert len(lines) == 2 + len(MANIFEST)
    assert "| `duration_s` | number | s | length of the clip |" in lines
    assert all(line.count("|") == 5 for line in lines)
