"""The main job: a table in, videos and a manifest out, and nothing bought twice."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from reelsweep.tasks.manifest.read import read_manifest
from reelsweep.tasks.sandbox.server import SandboxServer


async def test_a_table_becomes_videos_and_a_manifest(make: Callable[..., Any], tmp_path: Path) -> None:
    """Every row has a decoded clip on disk, and rows with different seeds have different pictures."""
    summary = await make(pd.DataFrame({"prompt": ["a red kite", "a blue kite"]}), seeds="0-2")
    frame = summary.frame()
    assert summary.counts == {"success": 6}
    assert summary.posts == 6
    assert frame["frames_sha256"].nunique() == 6
    assert all(Path(name).is_file() for name in frame["file_name"])
    assert summary.exit_code == 0


async def test_running_again_buys_nothing(
    make: Callable[..., Any], sandbox: SandboxServer, tmp_path: Path
) -> None:
    """The same command again sends no POST, also when the manifest was deleted; a new row sends one."""
    before = len(sandbox.bill())
    table = pd.DataFrame({"prompt": ["one", "two", "three"], "seed": [1, 2, 3]})
    first = await make(table)
    Path(first.manifest).unlink()
    second = await make(table)
    more = pd.concat([table, pd.DataFrame({"prompt": ["four"], "seed": [4]})])
    third = await make(more)
    assert [first.posts, second.posts, third.posts] == [3, 0, 1]
    assert len(sandbox.bill()) - before == 4
    assert read_manifest(tmp_path / "out")["status"].tolist() == ["success"] * 4


async def test_editing_and_reordering_keeps_finished_work(make: Callable[..., Any]) -> None:
    """Only the row whose request changed is bought again; the old one stays, out of the plan."""
    table = pd.DataFrame({"prompt": ["one", "two", "three"], "seed": [1, 2, 3]})
    await make(table)
    edited = pd.DataFrame({"prompt": ["three", "two", "one, but better"], "seed": [3, 2, 1]})
    second = await make(edited)
    frame = second.frame()
    assert second.posts == 1
    assert frame["in_plan"].tolist().count(False) == 1
    assert len(frame) == 4


async def test_rows_that_ask_for_the_same_are_bought_once_and_all_stay(make: Callable[..., Any]) -> None:
    """Identical rows share one purchase, and every one of them keeps its line."""
    table = pd.DataFrame({"prompt": ["same", "same", "same", "other"], "seed": [1, 1, 1, 1]})
    first, second = await make(table), await make(table)
    frame = second.frame()
    assert [first.posts, second.posts] == [2, 0]
    assert frame["shared"].tolist() == [True, True, True, False]
    assert frame["sha256"].nunique() == 2


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({}, "text"),
        ({"response_format": ['{"type": "json_object"}'], "prompt": ["Say it in JSON."]}, "json"),
        ({"tools": ['[{"type":"function","function":{"name":"look","parameters":{}}}]'],
          "tool_choice": ['{"type":"function","function":{"name":"look"}}']}, "tools"),
    ],
)  # fmt: skip
async def test_text_json_and_tool_calls_are_results(
    make: Callable[..., Any], columns: dict[str, list[str]], expected: str
) -> None:
    """With `output` text a normal end with text, with JSON, or with tool calls is a success."""
    table = pd.DataFrame({"prompt": ["Say something."], **columns})
    summary = await make(table, output="text", model="sandbox-text")
    row = summary.frame().iloc[0]
    assert row["status"] == "success"
    assert pd.notna(row["tool_calls"]) == (expected == "tools")
    assert pd.notna(row["text"]) == (expected != "tools")


async def test_each_choice_has_its_row(make: Callable[..., Any]) -> None:
    """`n` choices of one POST are rows of the manifest, told apart by `choice_idx`."""
    summary = await make(pd.DataFrame({"prompt": ["Say it."], "n": [3]}), output="text", model="sandbox-text")
    assert summary.posts == 1
    assert sorted(summary.frame()["choice_idx"]) == [0, 1, 2]
