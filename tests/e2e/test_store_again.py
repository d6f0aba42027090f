"""A run that ended between a file's name and its settling: found on disk, nothing asked of the network."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
from reelsweep.tasks.sandbox.server import SandboxServer


async def test_a_file_that_has_its_name_is_settled_without_network(
    make: Callable[..., Any], sandbox: SandboxServer, tmp_path: Path
) -> None:
    """The hash was durable and the file renamed: the address may be dead, the row is a success."""
    table = pd.DataFrame({"prompt": ["a kite"], "seed": [1]})
    first = await make(table)
    posts = len(sandbox.bill())
    with sqlite3.connect(tmp_path / "out/ledger.db") as ledger:
        ledger.execute(
            "UPDATE results SET status = 'in_progress', facts = '{}', video_url = 'http://127.0.0.1:9/gone'"
        )
        ledger.execute("UPDATE attempts SET state = 'answered', status = 'in_progress', completed_at = NULL")
        ledger.execute("UPDATE generations SET status = 'in_progress', next_step = 'fetch', run_id = NULL")
    second = await make(table)
    assert second.counts == {"success": 1}
    assert second.posts == 0
    assert len(sandbox.bill()) == posts
    before, after = first.frame().iloc[0], second.frame().iloc[0]
    assert (after["sha256"], after["frames_sha256"]) == (before["sha256"], before["frames_sha256"])
