"""What a run leaves to look at, and how it is made anew."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from reelsweep.flows.commands.gallery import gallery
from reelsweep.prompts.errors import OutError


def handed(out: Path, name: str) -> Any:
    """What a script of the gallery hands to the page: its last argument."""
    arguments = (out / "gallery" / name).read_text().partition("(")[2].removesuffix(");\n")
    return json.loads(f"[{arguments}]")[-1]


async def test_a_run_leaves_a_gallery_that_can_be_made_anew_from_a_copy(
    make: Callable[..., Any],
    write_table: Callable[..., Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Posters, records and commands after the run; from a copy without a ledger all but the commands."""
    table = write_table([{"prompt_id": "kite", "prompt": "a red kite", "seconds": 1}])
    summary = await make(str(table), seeds="0-2")
    out = Path(summary.out)
    cells, records = handed(out, "cells.js"), handed(out, "records/0.js")
    assert cells["running"] is False
    assert all((out / poster).stat().st_size > 500 for poster in cells["posters"])
    assert len(cells["posters"]) == len(records["again"]) == 3
    assert all(command.startswith("printf ") for command in records["again"].values())
    copy = tmp_path / "copy"
    shutil.copytree(out, copy, ignore=shutil.ignore_patterns("ledger.db*", "gallery", "index.html"))
    assert await asyncio.to_thread(gallery, str(copy), json=True) == 0
    told = json.loads(capsys.readouterr().out)
    assert told == {"out": str(copy), "page": (copy / "index.html").as_uri(), "posters": 3}
    assert handed(copy, "cells.js") == cells
    assert handed(copy, "records/0.js")["again"] == {}
    assert await asyncio.to_thread(gallery, str(out)) == 0
    assert capsys.readouterr().out == f"{(out / 'index.html').as_uri()}\n"
    assert handed(out, "records/0.js") == records


def test_a_folder_that_is_no_out_is_refused(tmp_path: Path) -> None:
    """One line and a remedy, and nothing is written."""
    with pytest.raises(OutError, match=r"has no manifest\.parquet"):
        gallery(str(tmp_path))
    assert list(tmp_path.iterdir()) == []
