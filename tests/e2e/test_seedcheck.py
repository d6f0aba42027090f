"""`seedcheck` against a gateway that honours seeds, ignores them, repeats them, or drifts."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from reelsweep.flows.bulk import bulk
from reelsweep.flows.commands.seedcheck import seedcheck
from reelsweep.flows.commands.spending import SpendingFlags
from reelsweep.flows.execution.run import PREPARED
from reelsweep.flows.options import RunOptions
from reelsweep.flows.planning.preview import preview
from reelsweep.flows.planning.seeds import PlannedSeeds
from reelsweep.flows.prepare import prepare
from reelsweep.flows.reproduction.seedchecking import PROMPT, conclude_experiment, plan_experiment
from reelsweep.flows.server import ServerInUse
from reelsweep.flows.summary import RunSummary
from reelsweep.prompts.errors import UsageError
from reelsweep.tasks.manifest.read import read_manifest
from reelsweep.tasks.sandbox.script import Script
from reelsweep.tasks.sandbox.server import SandboxServer
from reelsweep.tasks.seedcheck.known import Known, home_folder, read_known

SMALL = {"size": "96x64", "seconds": "0.5"}


async def checked(
    sandbox: SandboxServer, out: Path, *, again: bool = False, **options: Any
) -> tuple[Known, RunSummary]:
    """One experiment in this process, and the run that made it."""
    asked = RunOptions(gateway=sandbox.base_url, out=str(out), **options)
    experiment = await asyncio.to_thread(plan_experiment, asked, PROMPT, again=again)
    reset = PREPARED.set(experiment.prepared)
    try:
        run = await bulk("seedcheck")
    finally:
        PREPARED.reset(reset)
    return await asyncio.to_thread(conclude_experiment, experiment), run


@pytest.mark.usefixtures("prefect")
@pytest.mark.parametrize(
    ("script", "verdict"),
    [
        (Script(), "honoured"),
        (Script(seed="ignored"), "ignored"),
        (Script(seed="echoed"), "echoed only"),
        (Script(fingerprint="drifting", drift_every=1, drift_changes_clips=True), "honoured"),
        (Script(clip_variants=1), "cannot tell"),
    ],
    ids=["honoured", "ignored", "echoed", "drifting", "one clip for all"],
)
async def test_three_generations_tell(
    sandbox: SandboxServer, tmp_path: Path, script: Script, verdict: str
) -> None:
    """The verdict is the sandbox's script, whatever it says of itself."""
    sandbox.control(script)
    known, run = await checked(sandbox, tmp_path / "seeds", set_=SMALL)
    assert (known.verdict, run.posts) == (verdict, 3), known.reason


@pytest.mark.usefixtures("prefect")
async def test_the_verdict_is_of_what_was_asked_now(sandbox: SandboxServer, tmp_path: Path) -> None:
    """Evidence of other sizes in the same OUT is not taken for that of this one, which is there too."""
    sandbox.control(Script(seed="ignored"))
    first, _ = await checked(sandbox, tmp_path / "seeds", set_=SMALL)
    sandbox.control(Script())
    other, _ = await checked(sandbox, tmp_path / "seeds", set_={**SMALL, "size": "64x64"})
    asked = RunOptions(gateway=sandbox.base_url, out=str(tmp_path / "seeds"), set_=SMALL)
    experiment = await asyncio.to_thread(plan_experiment, asked, PROMPT)
    again = await asyncio.to_thread(conclude_experiment, experiment)
    assert (first.verdict, other.verdict, again.verdict) == ("ignored", "honoured", "ignored")


@pytest.mark.usefixtures("prefect")
async def test_text_models_are_told_apart_by_their_words(sandbox: SandboxServer, tmp_path: Path) -> None:
    """The same words for the same seed, others for another."""
    known, _ = await checked(sandbox, tmp_path / "seeds", model="sandbox-text", output="text")
    assert (known.verdict, known.same, known.other) == ("honoured", 0, 1)


async def test_a_verdict_is_shown_and_written(
    make: Callable[..., Any], sandbox: SandboxServer, tmp_path: Path
) -> None:
    """`plan` names the experiment while nothing is known; an older manifest learns of it, and keeps it."""
    model = f"sora-2-{tmp_path.name}"
    table = pd.DataFrame([{"prompt": "a kite", "model": model, **SMALL}])
    options = RunOptions(gateway=sandbox.base_url, out=str(tmp_path / "out"), seeds="0-1")
    unknown = (await preview(prepare(table, options))).seeds
    assert unknown == (
        PlannedSeeds(
            model=model,
            honoured="unknown",
            source=f"reelsweep seedcheck --model {model} --gateway {sandbox.base_url}",
        ),
    )
    await make(table, seeds="0-1")
    assert set(read_manifest(tmp_path / "out")["seed_honoured"]) == {"unknown"}
    sandbox.control(Script(seed="ignored"))
    await checked(sandbox, tmp_path / "seeds", model=model, set_=SMALL)
    assert [seeds.honoured for seeds in (await preview(prepare(table, options))).seeds] == ["no"]
    await make(table, seeds="0-1")
    assert set(read_manifest(tmp_path / "out")["seed_honoured"]) == {"no"}
    (home_folder() / "seeds.json").unlink()
    await make(table, seeds="0-1")
    assert set(read_manifest(tmp_path / "out")["seed_honoured"]) == {"no"}


async def test_a_profile_tells_workers_what_was_found(
    make: Callable[..., Any], write_profile: Callable[..., str], sandbox: SandboxServer, tmp_path: Path
) -> None:
    """A machine without the record of an experiment has it from the file that names the gateway."""
    profile = write_profile(base_url=sandbox.base_url, models={"m": {"seed": "honoured"}})
    await make(pd.DataFrame([{"prompt": "a kite", "model": "m", "seed": 1, **SMALL}]), gateway=profile)
    assert set(read_manifest(tmp_path / "out")["seed_honoured"]) == {"yes"}


def test_the_same_command_again_answers_from_the_evidence(
    prefect: ServerInUse,
    sandbox: SandboxServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The price first; three POSTs, then none; three more when asked again, which are evidence too."""
    monkeypatch.setenv("REELSWEEP_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    flags = SpendingFlags(gateway=sandbox.base_url, price="0.10")
    command = partial(seedcheck, flags=flags, size="96x64", seconds="0.5", json=True)
    with pytest.raises(UsageError, match="--yes"):
        command()
    assert "0.30 USD at 0.10" in capsys.readouterr().err
    with pytest.raises(UsageError, match="--set seed: the experiment chooses it"):
        command(set_=("seed=1",))
    said = []
    for more in ({"yes": True}, {}, {"yes": True, "again": True}):
        assert command(**more) == 0
        said.append(json.loads(capsys.readouterr().out))
    assert [(one["verdict"], one["posts"]) for one in said] == [
        ("honoured", 3),
        ("honoured", 0),
        ("honoured", 3),
    ]
    (kept,) = read_known(tmp_path / "home")
    assert {one["evidence"] for one in said} == {kept.evidence}
    assert len(read_manifest(kept.evidence)) == 6
