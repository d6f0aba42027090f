"""What a person sees of an export: the plan first, then progress, then what to do with it."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from reelsweep.flows.commands.export import export as export_command
from reelsweep.flows.commands.meter import PAUSE_S, lines
from reelsweep.prompts.errors import SettingsError


def test_the_command_says_what_it_will_do_and_did(
    out: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The plan goes to stderr with what to think about; stdout gets the result, or one JSON object."""
    for number in range(4):
        out.add(prompt_id="one", prompt="One prompt", seed=number)
    out.write(ended=False)
    splits = "train=0.5,test=0.5"
    assert export_command(str(out.path), str(tmp_path / "a"), splits=splits) == 0
    said = capsys.readouterr()
    assert said.err.splitlines() == [
        "4 of 4 rows, 1.2 kB, in 1 shard: 0 train, 4 test",
        "note: nothing falls into train: 1 group of prompts, and none is divided",
        "note: the last run has not ended; what the manifest holds now is exported",
    ]
    assert f"exported: {tmp_path / 'a'}\n" in said.out
    assert export_command(str(out.path), str(tmp_path / "a"), splits=splits, json=True) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["samples"], document["shards_written"]) == ({"train": 0, "test": 4}, 0)
    assert document["sha256"] in said.out


def test_options_are_checked_before_anything_is_read(tmp_path: Path) -> None:
    """A wrong option is the first thing said, even where there is no output folder."""
    with pytest.raises(SettingsError, match="--shard-size"):
        export_command(str(tmp_path / "none"), str(tmp_path / "a"), shard_size="big")


def test_progress_is_a_line_now_and_then() -> None:
    """Work that is over at once says nothing; long work says how far it is every few seconds."""
    now = [0.0]
    stream = io.StringIO()
    tick = lines("checking", 3_000, stream, clock=lambda: now[0])
    tick(1_000)
    assert stream.getvalue() == ""
    now[0] = PAUSE_S
    tick(1)
    tick(500)
    now[0] = 2 * PAUSE_S
    tick(500)
    assert stream.getvalue() == "checking: 1,001 of 3,000\nchecking: 2,001 of 3,000\n"
