"""`reelsweep status`: the numbers of an OUT, also after a run that could not end by itself."""

from __future__ import annotations

import asyncio
import ctypes
import json
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from reelsweep.flows.commands.status import status, status_line, status_lines, status_of
from reelsweep.tasks.ledger.ledger import Ledger
from reelsweep.tasks.ledger.records import Claim, ClaimRequest, PlanRow, RunRecord
from reelsweep.tasks.manifest.outfile import OutFacts, read_out, write_out

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


def told(out: Path, before: Callable[[], None], *words: str) -> tuple[dict[str, Any], str]:
    """What the command says of it, with `before` done in its process: as an object, and in words."""
    said: list[str] = []
    for how in (["--json"], []):
        ended = subprocess.run(
            [sys.executable, "-m", "reelsweep.flows.cli", "status", str(out), *words, *how],
            capture_output=True,
            text=True,
            timeout=120,
            preexec_fn=before,
        )
        assert ended.returncode == 0, ended.stderr
        said.append(ended.stdout)
    return json.loads(said[0]), said[1]


def obey_permissions() -> None:
    """In the child: no more than others may do, also where the tests run as root (capabilities(7))."""
    drop_from_bounding_set, dac_override = 24, 1
    ctypes.CDLL(None).prctl(drop_from_bounding_set, dac_override, 0, 0, 0)


def fill_disk() -> None:
    """In the child: no file grows by a byte."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))


@pytest.fixture(params=["closed", "cut off"])
async def left_by_dead(request: pytest.FixtureRequest, out: Path, tmp_path: Path) -> Path:
    """An OUT whose run died with a POST on its way: its log folded back, or as a power cut leaves it."""
    ledger = await asyncio.to_thread(Ledger.open, f"sqlite:///{out / 'ledger.db'}")
    await send_one(ledger)
    left = tmp_path / "left"
    if request.param == "cut off":
        await asyncio.to_thread(shutil.copytree, out, left)
    await asyncio.to_thread(ledger.close)
    if request.param == "closed":
        await asyncio.to_thread(shutil.copytree, out, left)
    assert (left / "ledger.db-wal").exists() == (request.param == "cut off")
    return left


async def test_an_out_that_cannot_be_written_to_is_looked_at(left_by_dead: Path) -> None:
    """Looking needs no writing: a dead run's rows show as they are, and it says how it knows."""
    for path in [*left_by_dead.rglob("*"), left_by_dead]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        document, words = await asyncio.to_thread(told, left_by_dead, obey_permissions)
    finally:
        left_by_dead.chmod(0o755)
    assert (document["counts"], document["in_flight"]) == ({"unknown": 1}, 0)
    assert (document["reserved_usd"], document["source"]) == (0.1, "ledger")
    assert "cannot be written to; its ledger was only read" in words
    assert f"1 unknown at {GATEWAY}" in words


async def test_what_a_dead_run_had_in_flight_is_unknown_on_a_full_disk(left_by_dead: Path) -> None:
    """That it is dead cannot be written down there; told it can be."""
    document, words = await asyncio.to_thread(told, left_by_dead, fill_disk)
    assert (document["counts"], document["in_flight"]) == ({"unknown": 1}, 0)
    assert "in flight" not in words


async def test_what_a_former_gateway_left_unknown_is_shown(out: Path) -> None:
    """With its name, and the command that asks it, which names the ledger as it was named here."""
    url = f"sqlite:///{out / 'ledger.db'}"
    ledger = await asyncio.to_thread(Ledger.open, url)
    await send_one(ledger)
    await ledger.record_plan("out", "https://other.example.com/v1", "another", [])
    await asyncio.to_thread(ledger.close)
    document = await asyncio.to_thread(status_of, out)
    assert document["counts"] == {}
    assert document["open"] == [{"gateway": GATEWAY, "unknown": 1, "waiting": 0, "num_left": 1}]
    lines = status_lines(document)
    assert lines[1].strip() == f"1 unknown at {GATEWAY} (1 not in the latest plan)"
    assert f"`reelsweep reconcile {out}` asks" in lines[2]


async def test_an_out_that_cannot_be_told_hides_no_other(
    out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In the list of runs its line says why; the others are there."""
    monkeypatch.chdir(tmp_path)
    for name in ("whole", "elsewhere"):
        (tmp_path / "runs" / name).mkdir(parents=True)
        for file in ("ledger.db", "reelsweep.json"):
            shutil.copy(out / file, tmp_path / "runs" / name / file)
    facts = read_out(out)
    assert facts is not None
    (tmp_path / "runs" / "elsewhere" / "ledger.db").unlink()
    write_out(tmp_path / "runs" / "elsewhere", facts.model_copy(update={"ledger": "named"}))
    assert await asyncio.to_thread(status) == 0
    lines = {line.split(":")[0]: line for line in capsys.readouterr().out.splitlines()}
    assert "nothing planned" in lines["runs/whole"]
    assert "has its ledger elsewhere" in lines["runs/elsewhere"]
    assert await asyncio.to_thread(status, ledger=f"sqlite:///{out / 'ledger.db'}") == 0
    lines = {line.split(":")[0]: line for line in capsys.readouterr().out.splitlines()}
    assert all("nothing planned" in line for line in lines.values())
