"""A real `prefect server` and a real worker, by the commands of deployments/README.md, for a module."""

from __future__ import annotations

import os
import random
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
from prefect.settings import temporary_settings
from reelsweep.flows.orchestration.loss import server_lost

PATIENCE_S = 240.0
FENCE = re.compile(r"^```(?:bash|python) ([a-z-]+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
QUICK = {
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_SERVICES_SCHEDULER_RECENT_DEPLOYMENTS_LOOP_SECONDS": "1",
    "PREFECT_WORKER_QUERY_SECONDS": "1",
}
"""What a night need not wait for in a test."""


@dataclass(frozen=True)
class Site:
    """Where the deployments live: a checkout of its own, and the environment in which the server is found."""

    checkout: Path
    environment: dict[str, str]
    blocks: dict[str, str]
    """The page's blocks of commands, by name."""

    @property
    def home(self) -> Path:
        """PREFECT_HOME of server, worker and runs."""
        return Path(self.environment["PREFECT_HOME"])

    def run(self, *words: str, **more: str) -> str:
        """Run a program in the checkout; what it said."""
        ended = subprocess.run(
            words, cwd=self.checkout, env={**self.environment, **more}, capture_output=True, text=True,
            stdin=subprocess.DEVNULL, timeout=PATIENCE_S,
        )  # fmt: skip
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return ended.stdout

    def follow(self, block: str, **replacements: str) -> str:
        """Run a block of the page as a person would, but for the words that are theirs to replace."""
        script = self.blocks[block]
        for old, new in replacements.items():
            assert old in script
            script = script.replace(old, new)
        return self.run("bash", "-euc", script)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A checkout and a real Prefect server that this process talks to as well."""
    project = Path(__file__).parents[3]
    root, home = tmp_path_factory.mktemp("checkout"), tmp_path_factory.mktemp("prefect-server")
    (root / "flows").symlink_to(project / "flows")
    shutil.copytree(project / "deployments", root / "deployments")
    blocks = dict(FENCE.findall((project / "deployments" / "README.md").read_text()))
    port = free_port()
    url = f"http://127.0.0.1:{port}/api"
    environment = {**os.environ, **QUICK, "PREFECT_HOME": str(home), "PREFECT_API_URL": url}
    environment["PREFECT_SERVER_API_PORT"] = str(port)
    environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
    with (
        started(blocks["server"], environment, home),
        temporary_settings({"api.url": url, "home": home}),
    ):
        until(lambda: not server_lost(url))
        yield Site(root, environment, blocks)


@pytest.fixture(scope="module")
def worker(site: Site) -> Iterator[psutil.Process]:
    """Work pool, all deployments, and a worker that polls."""
    *before, last = site.blocks["worker"].strip().splitlines()
    for command in before:
        site.run(*shlex.split(command))
    with started(last, site.environment, site.checkout) as process:
        yield psutil.Process(process.pid)


def free_port() -> int:
    """A port below those that the system gives out by itself: nobody takes it before the server does."""
    for port in random.sample(range(20_000, 30_000), 100):
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    raise AssertionError("no port is free")


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
            process.send_signal(signal.SIGTERM)
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


@pytest.fixture(scope="session", name="until")
def _until() -> Callable[[Callable[[], object]], None]:
    """Asks until something holds."""
    return until
