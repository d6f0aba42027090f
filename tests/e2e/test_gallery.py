"""What a run leaves to look at, and how it is made anew."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from reelsweep.flows.bulk import bulk
from reelsweep.flows.commands.gallery import gallery
from reelsweep.flows.execution.run import PREPARED
from reelsweep.flows.options import RunOptions
from reelsweep.flows.reproduction.seedchecking import PROMPT, conclude_experiment, plan_experiment
from reelsweep.prompts.errors import OutError
from reelsweep.tasks.sandbox.script import Script
from reelsweep.tasks.sandbox.server import SandboxServer

SMALL = {"size": "96x64", "seconds": "0.5"}


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


async def seedcheck(sandbox: SandboxServer, out: Path, model: str) -> None:
    """The experiment about one model, in this process."""
    options = RunOptions(gateway=sandbox.base_url, out=str(out), model=model, set_=SMALL)
    experiment = await asyncio.to_thread(plan_experiment, options, PROMPT, again=False)
    reset = PREPARED.set(experiment.prepared)
    try:
        await bulk("seedcheck")
    finally:
        PREPARED.reset(reset)
    await asyncio.to_thread(conclude_experiment, experiment)


@pytest.mark.parametrize(
    ("script", "verdict"),
    [
        (Script(), "Seeds are honoured by {model}."),
        (Script(seed="ignored"), "Seeds are not honoured by {model}: its clips are plain samples."),
        (Script(fingerprint="drifting", drift_every=1), "2 configurations answered for {model}"),
    ],
    ids=["honoured", "ignored", "drifting"],
)
async def test_the_gallery_says_what_the_seeds_of_a_sweep_are_worth(
    make: Callable[..., Any],
    write_table: Callable[..., Path],
    sandbox: SandboxServer,
    tmp_path: Path,
    script: Script,
    verdict: str,
) -> None:
    """After `seedcheck` a sweep's page names the verdict, and a configuration that changed meanwhile."""
    sandbox.control(script)
    model = f"sora-2-{tmp_path.name}"
    await seedcheck(sandbox, tmp_path / "seeds", model)
    table = write_table([{"prompt": "a red kite", "model": model, **SMALL}])
    summary = await make(str(table), seeds="0-1")
    assert verdict.format(model=model) in (Path(summary.out) / "index.html").read_text()


def test_a_folder_that_is_no_out_is_refused(tmp_path: Path) -> None:
    """One line and a remedy, and nothing is written."""
    with pytest.raises(OutError, match=r"has no manifest\.parquet"):
        gallery(str(tmp_path))
    assert list(tmp_path.iterdir()) == []
