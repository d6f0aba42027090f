"""`reelsweep status`: the numbers of an OUT, also after a run that could not end by itself."""

from __future__ import annotations

import asyncio
import os
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from reelsweep.flows.commands.status import status_line, status_of
from reelsweep.tasks.ledger.ledger import Ledger
from reelsweep.tasks.ledger.records import Claim, ClaimRequest, PlanRow, RunRecord
from reelsweep.tasks.manifest.outfile import OutFacts, write_out

GATEWAY = "https://gateway.example.com/v1"


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """An OUT."""
    ledger = Ledger.open(f"sqlite:///{tmp_path / 'ledger.db'}")
    write_out(
        tmp_path, OutFacts(out_id="out", ledger_id=ledger.ledger_id, table="a.csv", gateway_kind="real")
    )
    ledger.close()
    return tmp_path


async def send_one(ledger: Ledger, price_max_musd: int | None = 100_000) -> None:
    """A run with one POST on its way."""
    run = {
        **dict.fromkeys((field.name for field in fields(RunRecord)), ""),
        "run_id": "run",
        "out_id": "out",
        "gateway": GATEWAY,
        "settings": {},
        "pid": os.getpid(),
    }
    row: dict[str, Any] = {
        **dict.fromkeys((field.name for field in fields(PlanRow)), ""),
        "ordinal": 0,
        "sample_idx": 0,
        "n": 1,
        "seed": 1,
        "params": {},
        "meta": {},
        "output": "video",
        "size_asked": None,
        "seconds_asked": None,
        "request_fingerprint": "f",
    }
    await ledger.start_run(RunRecord(**run))
    await ledger.record_plan("out", GATEWAY, "plan", [PlanRow(**row)])
    wish = ClaimRequest(
        run_id="run",
        request_fingerprint="f",
        body_sha256="b",
        price_max_musd=price_max_musd,
        price=None if price_max_musd is None else "0.1",
    )
    assert isinstance(await ledger.claim(GATEWAY, wish), Claim)


async def test_what_a_dead_run_had_in_flight_is_unknown(out: Path) -> None:
    """In flight is what a live run waits for; once its process is gone the row is what it is."""
    ledger = await asyncio.to_thread(Ledger.open, f"sqlite:///{out / 'ledger.db'}")
    await send_one(ledger)
    during = await asyncio.to_thread(status_of, out)
    await asyncio.to_thread(ledger.close)
    after = await asyncio.to_thread(status_of, out)
    assert (during["in_flight"], during["counts"]) == (1, {"in_progress": 1})
    assert (after["in_flight"], after["counts"], after["reserved_usd"]) == (0, {"unknown": 1}, 0.1)
    assert status_line(after).endswith("1 unknown; 1 POST, 0.00 USD spent, 0.10 reserved")


async def test_what_has_no_price_is_not_said_to_cost_nothing(out: Path) -> None:
    """A run without --price has sums of zero, and they are no word on what was paid."""
    ledger = await asyncio.to_thread(Ledger.open, f"sqlite:///{out / 'ledger.db'}")
    await send_one(ledger, price_max_musd=None)
    await asyncio.to_thread(ledger.close)
    assert status_line(await asyncio.to_thread(status_of, out)).endswith("1 unknown; 1 POST, no cost known")
