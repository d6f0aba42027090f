"""The deployments, with a real `prefect server` and worker, by the commands of deployments/README.md."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import psutil
import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun
from prefect.settings import temporary_settings
from reelsweep.flows.loss import server_lost
from reelsweep.flows.summary import RunStopped, RunSummary
from reelsweep.tasks.sandbox.script import Script
from reelsweep.tasks.sandbox.server import SandboxServer

PATIENCE_S = 240.0
FENCE = re.compile(r"^```bash ([a-z-]+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)

pytestmark = pytest.mark.xdist_group("prefect-server")


@pytest.fixture(scope="module")
def commands(project: Path) -> dict[str, list[str]]:
    """The commands of the page, by the name of their block."""
    blocks = FENCE.findall((project / "deployments" / "README.md").read_text())
    return {name: text.strip().splitlines() for name, text in blocks}


@pytest.fixture(scope="module")
def checkout(project: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout of its own: runs and logs of these tests stay out of the real one."""
    root = tmp_path_factory.mktemp("checkout")
    for name in ("flows", "deployments"):
        (root / name).symlink_to(project / name)
    return root


@pytest.fixture(scope="module")
def server(
    commands: dict[str, list[str]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, str]]:
    """A real Prefect server; the environment in which programs find it."""
    home = tmp_path_factory.mktemp("prefect-server")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}/api"
    environment = {**os.environ, "PREFECT_HOME": str(home), "PREFECT_API_URL": url}
    environment["PREFECT_SERVER_API_PORT"] = str(port)
    environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
    (command,) = commands["server"]
    with started(command, environment, home), temporary_settings({"api.url": url, "home": home}):
        until(lambda: not server_lost(url))
        yield environment


@pytest.fixture(scope="module")
def worker(
    server: dict[str, str], commands: dict[str, list[str]], checkout: Path
) -> Iterator[psutil.Process]:
    """Work pool, both deployments, and a worker that polls."""
    *before, last = commands["worker"]
    for command in before:
        ended = subprocess.run(
            shlex.split(command), cwd=checkout, env=server, capture_output=True, text=True,
            stdin=subprocess.DEVNULL, timeout=PATIENCE_S,
        )  # fmt: skip
        assert ended.returncode == 0, ended.stdout + ended.stderr
    with started(last, {**server, "PREFECT_WORKER_QUERY_SECONDS": "1"}, checkout) as process:
        yield psutil.Process(process.pid)


@contextmanager
def started(command: str, environment: dict[str, str], folder: Path) -> Generator[subprocess.Popen[bytes]]:
    """A program that runs for the block."""
    with (folder / f"{command.split()[1]}.log").open("wb") as log:
        process = subprocess.Popen(
            shlex.split(command), cwd=folder, env=environment, stdout=log, stderr=subprocess.STDOUT
        )
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def until(holds: Callable[[], object]) -> None:
    """Ask until it holds."""
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_nightly_has_its_schedule(worker: psutil.Process) -> None:
    """The schedule, its time zone and the limit of one run at a time are on the server."""
    with get_client(sync_client=True) as client:
        deployment = client.read_deployment_by_name("bulk/nightly")
    (schedule,) = deployment.schedules
    assert json.loads(schedule.schedule.model_dump_json())["timezone"] == "Europe/Lisbon"
    assert deployment.concurrency_options is not None
    assert deployment.concurrency_options.collision_strategy == "CANCEL_NEW"


def test_on_demand_gives_manifest_and_summary(
    worker: psutil.Process, server: dict[str, str], commands: dict[str, list[str]], checkout: Path
) -> None:
    """The command of the page makes two clips below the checkout, and the summary can be had."""
    (command,) = commands["ask"]
    ended = subprocess.run(
        shlex.split(command), env=server, capture_output=True, text=True, timeout=PATIENCE_S
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    summary = last_run().state.result()
    assert isinstance(summary, RunSummary)
    assert summary.posts == 2
    assert Path(summary.manifest) == checkout / "runs" / "asked" / "manifest.parquet"
    assert pd.read_parquet(summary.manifest)["status"].value_counts()["success"] == 2


def last_run() -> FlowRun:
    """The youngest flow run."""
    with get_client(sync_client=True) as client:
        return max(client.read_flow_runs(), key=lambda each: each.created)


def test_sigterm_lets_the_paid_rows_finish(
    worker: psutil.Process, server: dict[str, str], sandbox: SandboxServer, checkout: Path
) -> None:
    """SIGTERM under a worker: what was sent is finished, nothing more is sent, the flow run has failed."""
    sandbox.control(Script(duration_s=3.0))
    before = len(sandbox.bill())
    arguments = {
        "out": "runs/ended",
        "gateway": sandbox.base_url,
        "canary": 0,
        "concurrency": 2,
        "seeds": "1-5",
    }
    parameters = [f"--param={name}={json.dumps(value)}" for name, value in arguments.items()]
    command = ["prefect", "deployment", "run", "bulk/on-demand", *parameters]
    subprocess.run(command, env=server, check=True, capture_output=True, timeout=PATIENCE_S)
    until(lambda: len(sandbox.bill()) - before == 2)
    (flow_process,) = [each for each in worker.children() if "prefect" in " ".join(each.cmdline())]
    flow_process.send_signal(signal.SIGTERM)
    until(lambda: last_run().state.is_final())
    state = last_run().state
    assert state.is_failed(), state
    stopped = state.result(raise_on_failure=False)
    assert isinstance(stopped, RunStopped)
    assert stopped.summary.counts["success"] == stopped.summary.posts == 2
    assert len(sandbox.bill()) - before == 2
    assert (
        pd.read_parquet(checkout / "runs" / "ended" / "manifest.parquet")["status"].value_counts()["success"]
        == 2
    )
