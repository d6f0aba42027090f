"""Whether OUT says that nothing is under way, while runs begin and end beside each other."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
from reelsweep.flows.options import RunOptions
from reelsweep.flows.out.clean import note_ended, note_live
from reelsweep.flows.prepare import prepare
from reelsweep.flows.session import open_run
from reelsweep.tasks.manifest.outfile import read_out, write_out
from reelsweep.tasks.sandbox.server import SandboxServer


async def test_what_out_says_of_itself_survives_a_run_that_began_before(
    make: Callable[..., Any], sandbox: SandboxServer, tmp_path: Path
) -> None:
    """A run that ends last says that all has ended, and keeps what a later one has chosen meanwhile."""
    table = pd.DataFrame({"prompt": ["a kite"], "size": ["64x64"]})
    options = RunOptions(out=str(tmp_path / "out"), gateway=sandbox.base_url)
    async with open_run(await asyncio.to_thread(prepare, table, options)) as early:
        storage, ledger = early.prepared.storage, early.context.ledger
        await make(table, checks="none")
        facts = read_out(storage)
        assert facts is not None
        assert (facts.ended, facts.checks) == (False, "none")
        write_out(storage, facts.model_copy(update={"ended": True}))
        await asyncio.to_thread(note_live, storage, ledger)
        assert read_out(storage) == facts
        await ledger.end_run(early.run_id, exit_code=0, summary={})
        await asyncio.to_thread(note_ended, storage, ledger, early.facts)
    assert read_out(storage) == facts.model_copy(update={"ended": True})
