"""One table, one OUT, several gateways: each is asked for itself, and nothing is bought twice from any."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
from reelsweep.flows.commands import reconcile as command
from reelsweep.tasks.manifest.outfile import read_out, write_out
from reelsweep.tasks.manifest.read import read_manifest
from reelsweep.tasks.sandbox.server import SandboxServer

TABLE = pd.DataFrame({"prompt": ["one", "two", "two"], "seed": [1, 2, 2]})


def lose_ledger(out: Path) -> None:
    """As after a disk that kept the files and lost the database."""
    for path in out.glob("ledger.db*"):
        path.unlink()
    facts = read_out(out)
    assert facts is not None
    write_out(out, facts.model_copy(update={"ended": True}))


async def test_an_out_may_go_on_at_another_gateway(
    make: Callable[..., Any], sandbox: SandboxServer, tmp_path: Path
) -> None:
    """What one has made stays as lines; the other is asked for all of it once; a lost ledger knows both."""
    other = sandbox.base_url.replace("127.0.0.1", "localhost")
    summaries = [await make(TABLE, gateway=url) for url in (sandbox.base_url, other, sandbox.base_url, other)]
    assert [summary.posts for summary in summaries] == [2, 2, 0, 0]
    assert [summary.counts for summary in summaries] == [{"success": 3}] * 4
    assert len(sandbox.bill()) == 4
    before = read_manifest(tmp_path / "out")
    assert [len(rows) for _, rows in before.groupby("gateway")] == [3, 3]
    assert set(before.loc[before["in_plan"], "gateway"]) == {other.removesuffix("/v1")}
    lose_ledger(tmp_path / "out")
    assert await asyncio.to_thread(command.reconcile, str(tmp_path / "out"), rebuild=True) == 0
    again = [await make(TABLE, gateway=url) for url in (other, sandbox.base_url)]
    assert [summary.posts for summary in again] == [0, 0]
    assert len(read_manifest(tmp_path / "out")) == 6
