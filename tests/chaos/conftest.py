"""A Prefect server, and a process that starts runs which may be killed."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from reelsweep.flows.server import ServerInUse, prefect_server
from reelsweep.tasks.sandbox.server import SandboxServer

sys.path.insert(0, str(Path(__file__).parent))

from campaign import calm
from stage import Runs, postgres


@pytest.fixture(scope="session")
def prefect(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerInUse]:
    """One Prefect server for all runs."""
    with prefect_server(tmp_path_factory.mktemp("prefect-chaos")) as server:
        server.wait_ready()
        yield server


@pytest.fixture(scope="session")
def runs(prefect: ServerInUse, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runs]:
    """Starts runs in processes of their own."""
    started = Runs(tmp_path_factory.mktemp("runs"))
    yield started
    started.close()


@pytest.fixture(scope="session")
def new_schema() -> Iterator[Callable[[], str]]:
    """Makes empty schemas on a PostgreSQL server."""
    before = dict(os.environ)
    with postgres() as create:
        yield create
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(params=["sqlite", "postgresql"])
def ledger_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty ledger of either kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'out' / 'ledger.db'}"
    return str(request.getfixturevalue("new_schema")())


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[SandboxServer]:
    """A gateway in a process of its own, with a bill on disk."""
    with SandboxServer(calm(), bill=tmp_path / "bill.jsonl") as server:
        yield server
