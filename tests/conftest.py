"""What every test shares: a home of its own for Prefect, and no variable of the user's."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

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
