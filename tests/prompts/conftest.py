"""Tables and plans from a few lines of text."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest
from reelsweep.prompts.errors import UsageError
from reelsweep.prompts.images import LoadedImage
from reelsweep.prompts.plan import Plan, PlanSettings, make_plan
from reelsweep.prompts.table import Table, read_table


@pytest.fixture
def csv_table(tmp_path: Path) -> Callable[..., Table]:
    """A table read from CSV text."""

    def make(text: str, name: str = "prompts.csv", encoding: str = "utf-8") -> Table:
        path = tmp_path / name
        path.write_bytes(text.encode(encoding))
        return read_table(path)

    return make


@pytest.fixture
def planned(csv_table: Callable[..., Table]) -> Callable[..., Plan]:
    """The plan of CSV text under settings."""

    def make(text: str, load_image=None, **settings) -> Plan:
        return make_plan(csv_table(text), PlanSettings(**settings), load_image=load_image)

    return make


@pytest.fixture
def image_loader() -> Callable[[str], LoadedImage]:
    """Finds every image that is not called absent.png; its hash is its name's."""

    def load(reference: str) -> LoadedImage:
        if reference == "absent.png":
            raise UsageError("no image at 'absent.png'.", "Put it beside the table.")
        digest = hashlib.sha256(reference.encode()).hexdigest()
        return LoadedImage(sha256=digest, mime_type="image/png", size_bytes=9)

    return load
