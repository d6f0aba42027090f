"""A filter chooses rows of the manifest, and can do nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from reelsweep.prompts.errors import SettingsError
from reelsweep.tasks.export.choose import choose


def manifest(**columns: list[Any]) -> pa.Table:
    """Six rows: four clips, of which one is rejected and one not judged, a failure and a text."""
    plain: dict[str, list[Any]] = {
        "status": ["success", "success", "failed", "success", "success", "success"],
        "output": ["video", "video", "video", "video", "text", "video"],
        "file_name": ["a.mp4", "b.mp4", None, "d.mp4", None, "f.mp4"],
        "seed": [0, 1, 2, 3, 4, None],
        "model": ["m", "m", "m", "n", "n", "n"],
        "accepted": [True, False, None, None, None, True],
    }
    return pa.table(plain | columns)


def test_successful_clips_are_taken_that_no_check_rejected() -> None:
    """Failures and texts never; rejected clips only when asked for; what no check judged is taken."""
    assert choose(manifest(), None, include_rejected=False) == [0, 3, 5]
    assert choose(manifest(), None, include_rejected=True) == [0, 1, 3, 5]
    assert choose(manifest().drop_columns(["accepted"]), None, include_rejected=False) == [0, 1, 3, 5]


@pytest.mark.parametrize(
    ("expression", "rows"),
    [
        ("seed < 2", [0]),
        ("seed IS NULL OR model = 'm'", [0, 5]),
        ("status = 'failed'", []),
        ("model IN (SELECT model FROM manifest WHERE seed = 3)", [3, 5]),
        ("seed < 2 -- and no more", [0]),
        ("file_name LIKE 'd%'", [3]),
    ],
)
def test_a_filter_narrows(expression: str, rows: list[int]) -> None:
    """Any SQL expression over the columns, subqueries over the manifest too; null is not true."""
    assert choose(manifest(), expression, include_rejected=False) == rows


def test_names_that_differ_in_case_only_are_not_mixed_up() -> None:
    """SQL would take the first of two twins for both: a filter that names one is refused, others work."""
    table = manifest(meta_Take=["a"] * 6, meta_take=["b"] * 6)
    with pytest.raises(SettingsError, match="differs in case only"):
        choose(table, "meta_take = 'b'", include_rejected=False)
    assert choose(table, "seed < 2", include_rejected=False) == [0]


def test_instants_compare_in_utc() -> None:
    """A day is a day in UTC, whatever the machine's zone and whatever extensions DuckDB has."""
    at = pa.array(
        [1_772_359_200_000_000 + 3_600_000_000 * hour for hour in range(6)], pa.timestamp("us", "UTC")
    )
    table = manifest().append_column("completed_at", at)
    assert choose(table, "completed_at >= '2026-03-01 13:00'", include_rejected=False) == [3, 5]


def test_a_random_sample_is_the_same_every_time() -> None:
    """`random()` is seeded: the same command takes the same rows."""
    rows = 200
    table = pa.table(
        {"status": ["success"] * rows, "output": ["video"] * rows, "file_name": ["a.mp4"] * rows}
    )
    first = choose(table, "random() < 0.5", include_rejected=False)
    assert 50 < len(first) < 150
    assert choose(table, "random() < 0.5", include_rejected=False) == first


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("seeed < 2", "Did you mean seed"),
        ('model = "sora"', "single quotes"),
        ("seed <", "syntax error"),
        ("", "clause"),
        ("seed", "not true or false"),
        ("seed, model", "single expression"),
        ("*", "not true or false"),
        ("true; DROP TABLE manifest", "more than one statement"),
        ("true) UNION (SELECT 1", "syntax error"),
        ("(SELECT count(*) FROM read_text('{secret}')) > 0", "file system operations are disabled"),
        ("(SELECT count(*) FROM '{secret}') > 0", "file system operations are disabled"),
        ("(SELECT count(*) FROM secret) > 0", "does not exist"),
        ("count(*) > 1", "aggregate"),
        ("model::INTEGER = 3", "Could not convert"),
    ],
)
def test_what_is_no_filter_is_one_line(expression: str, words: str, tmp_path: Path) -> None:
    """A wrong name, two statements, another file, a variable of this process: refused, with a remedy."""
    path = tmp_path / "secret.csv"
    path.write_text("key\nhidden\n")
    secret = pa.table({"key": ["hidden"]})
    with pytest.raises(SettingsError, match=r"--filter: ") as refused:
        choose(manifest(), expression.replace("{secret}", str(path)), include_rejected=False)
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)
    assert refused.value.remedy
    assert "hidden" not in str(refused.value)
    assert len(secret) == 1
    assert [each.name for each in tmp_path.iterdir()] == ["secret.csv"]
