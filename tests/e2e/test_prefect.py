"""`bulk` in every way Prefect has: each block of flows/README.md, run as it stands, in an empty folder."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import psutil
import pytest
from reelsweep.flows.server import ServerInUse
from reelsweep.tasks.manifest.read import read_manifest

PATIENCE_S = 240.0
FENCE = re.compile(r"^```python ([a-z-]+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)

CELLS = """
import ast, asyncio, sys
loop = asyncio.new_event_loop()
asyncio.set_event_loop(loop)
names = {}
async def run_cell(text):
    value = eval(compile(text, "cell", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT), names)
    if value is not None:
        await value
for cell in sys.stdin.read().split("# next cell"):
    loop.run_until_complete(run_cell(cell))
"""
"""Runs cells as a notebook does: one loop for all of them, which runs while a cell does."""


@pytest.fixture(scope="session")
def blocks(project: Path) -> dict[str, str]:
    """The named Python blocks of flows/README.md."""
    return dict(FENCE.findall((project / "flows" / "README.md").read_text()))


@dataclass(frozen=True)
class Ended:
    """A process that has ended."""

    out: str
    err: str


def run(*command: str, cwd: Path, env: dict[str, str] | None = None, given: str = "") -> Ended:
    """Run a program to its successful end."""
    ended = subprocess.run(
        command,
        cwd=cwd,
        env=env,
        input=given,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    assert ended.returncode == 0, ended.stderr
    return Ended(ended.stdout, ended.stderr)


def without_prefect(home: Path) -> dict[str, str]:
    """This environment with no Prefect server configured."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_API")}
    patience = {"PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120"}  # 20 on a busy machine are few
    return {**kept, **patience, "PREFECT_HOME": str(home)}


def test_every_block_has_its_test(blocks: dict[str, str]) -> None:
    """No block of the page is left out, and each is Python."""
    assert set(blocks) == {
        "notebook", "quiet-notebook", "async-parent", "sync-parent", "mapped", "serve", "call", "beside"
    }  # fmt: skip
    for text in blocks.values():
        compile(text, "block", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


def test_a_notebook_awaits_a_dataframe(prefect: ServerInUse, blocks: dict[str, str], tmp_path: Path) -> None:
    """Two cells on one running loop: the second run of the cell buys nothing."""
    again = blocks["notebook"] + "\nprint(summary.posts)\n"
    cells = "# next cell\n".join([again, again])
    ended = run(sys.executable, "-c", CELLS, cwd=tmp_path, given=cells)
    assert ended.out.split() == ["3", "0"]
    assert read_manifest(tmp_path / "kites")["status"].tolist() == ["success"] * 3


def test_a_notebook_needs_no_server(blocks: dict[str, str], tmp_path: Path) -> None:
    """With no server configured Prefect's own is used, or ours where it is asked for; none is left."""
    environment = without_prefect(tmp_path / "prefect")
    cells = "# next cell\n".join([blocks["quiet-notebook"], blocks["notebook"], "print(summary.counts)"])
    ended = run(sys.executable, "-c", CELLS, cwd=tmp_path, env=environment, given=cells)
    assert ended.out == "{'success': 3}\n"
    assert read_manifest(tmp_path / "runs" / "sandbox" / "example")["status"].value_counts()["success"] == 2
    left = [process for process in psutil.process_iter(["environ"]) if serves(process, tmp_path / "prefect")]
    assert left == []


def serves(process: psutil.Process, home: Path) -> bool:
    """Whether a process lives in this PREFECT_HOME."""
    return (process.info["environ"] or {}).get("PREFECT_HOME") == str(home)


def test_an_async_flow_awaits_it(prefect: ServerInUse, blocks: dict[str, str], tmp_path: Path) -> None:
    """Two runs in one parent, each with its own output folder."""
    manifests = ast.literal_eval(run(sys.executable, "-c", blocks["async-parent"], cwd=tmp_path).out)
    assert [Path(name).parent.name for name in manifests] == ["drafts", "finals"]
    for name in manifests:
        assert pd.read_parquet(name)["status"].value_counts()["success"] == 2


def test_a_sync_flow_gives_it_a_loop(prefect: ServerInUse, blocks: dict[str, str], tmp_path: Path) -> None:
    """A synchronous parent gets the counts: the two rows asked for, the others still planned."""
    counts = ast.literal_eval(run(sys.executable, "-c", blocks["sync-parent"], cwd=tmp_path).out)
    assert counts["success"] == 2
    assert set(counts) == {"success", "planned"}


def test_the_task_can_be_mapped(prefect: ServerInUse, blocks: dict[str, str], tmp_path: Path) -> None:
    """Each mapped task run makes its generation, from a loop of its own."""
    ended = run(sys.executable, "-W", "error::ResourceWarning", "-c", blocks["mapped"], cwd=tmp_path)
    frame = pd.read_parquet(ended.out.strip())
    assert frame["status"].value_counts()["success"] == 3
    assert frame["frames_sha256"].nunique() == 3


@pytest.fixture
def serving(prefect: ServerInUse, blocks: dict[str, str], tmp_path: Path) -> Iterator[Path]:
    """The folder, empty at first, in which the block `serve` runs."""
    folder = tmp_path / "served-from"
    folder.mkdir()
    log = (tmp_path / "serve.log").open("w+")
    process = subprocess.Popen(
        [sys.executable, "-u", "-c", blocks["serve"]], cwd=folder, stdout=log, stderr=subprocess.STDOUT
    )
    try:
        yield folder
    finally:
        process.terminate()
        process.wait(PATIENCE_S)
        log.close()


def test_it_is_served_from_an_empty_folder(serving: Path, blocks: dict[str, str], tmp_path: Path) -> None:
    """Another process asks for a run, waits, and has the summary; the run's files are below the folder."""
    waiting = "import time\nfrom prefect.client.orchestration import get_client\n" + WAIT_FOR_DEPLOYMENT
    manifest = run(sys.executable, "-c", waiting + blocks["call"], cwd=tmp_path).out.strip()
    assert Path(manifest) == serving / "served" / "manifest.parquet"
    assert pd.read_parquet(manifest)["status"].value_counts()["success"] == 2


WAIT_FOR_DEPLOYMENT = """
with get_client(sync_client=True) as client:
    while not any(each.name == "here" for each in client.read_deployments()):
        time.sleep(0.1)
"""


@pytest.fixture(scope="module")
def installed(project: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The wheel in an environment without the checkout; gives the path of one of its programs."""
    folder = tmp_path_factory.mktemp("installed")
    source = folder / "source"
    for name in ("prompts", "tasks", "flows"):
        copy_tree(project / name, source / name)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        (source / name).write_bytes((project / name).read_bytes())
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), cwd=source)
    run(sys.executable, "-m", "venv", "--without-pip", str(folder / "venv"), cwd=folder)
    (site,) = (folder / "venv" / "lib").glob("python*/site-packages")
    # what is installed here can be imported there, but not the checkout: its own .pth is not followed
    (site / "borrowed.pth").write_text(next(path for path in sys.path if path.endswith("site-packages")))
    (wheel,) = folder.glob("*.whl")
    python = str(folder / "venv" / "bin" / "python")
    run(sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", "--no-index", "--quiet",
        "--disable-pip-version-check", "--ignore-installed", str(wheel), cwd=folder)  # fmt: skip
    return lambda name: folder / "venv" / "bin" / name


def copy_tree(source: Path, target: Path) -> None:
    """Copy files but caches."""
    for path in source.rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts:
            (target / path.relative_to(source)).parent.mkdir(parents=True, exist_ok=True)
            (target / path.relative_to(source)).write_bytes(path.read_bytes())


def test_the_wheel_lives_beside_flows_and_tasks_of_others(
    prefect: ServerInUse, installed: Callable[[str], Path], tmp_path: Path, blocks: dict[str, str]
) -> None:
    """In a repository with packages `flows` and `tasks` of its own, both are found, and the command works."""
    for name, text in {"flows/own.py": blocks["beside"], "tasks/own.py": "NAME = 'theirs'"}.items():
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).parent.joinpath("__init__.py").touch()
        (tmp_path / name).write_text(text)
    name, folder, manifest = run(str(installed("python")), "-m", "flows.own", cwd=tmp_path).out.split()
    assert (name, folder) == ("theirs", "site-packages")
    assert pd.read_parquet(manifest)["status"].value_counts()["success"] == 1
    ended = run(str(installed("reelsweep")), "status", cwd=tmp_path)
    assert "1 success" in ended.out
