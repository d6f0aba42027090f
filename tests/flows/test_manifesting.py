"""The files of one publication, while other runs go on with the same ledger."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from reelsweep.flows.commands import reconcile
from reelsweep.flows.manifesting import Manifesting
from reelsweep.flows.out.outs import OpenOut
from reelsweep.prompts.errors import TroubleError
from reelsweep.tasks.ledger.ledger import Ledger
from reelsweep.tasks.ledger.records import ClaimRequest, PlanRow, RunRecord
from reelsweep.tasks.manifest.outfile import OutFacts, write_out
from reelsweep.tasks.manifest.read import read_attempts, read_manifest
from reelsweep.tasks.storage.out import FolderOut

GATEWAY = "https://gateway.example.com"


class Meanwhile(dict[Any, Any]):
    """What is known of seeds; the first question about it comes while the lines are written."""

    def __init__(self, happens: Callable[[], object]) -> None:
        super().__init__({("", ""): "yes"})
        self._happens = happens
        self.has_happened = False

    def get(self, key: Any, default: Any = None) -> Any:
        """Nothing is known."""
        if not self.has_happened:
            self.has_happened = True
            with ThreadPoolExecutor(1) as other:
                other.submit(self._happens).result()
        return default


def row(number: int) -> PlanRow:
    return PlanRow(
        row_key=f"row-{number}",
        ordinal=number,
        prompt_id=f"p{number}",
        sample_idx=0,
        request_fingerprint=f"f{number}",
        output="video",
        model="film",
        prompt="a fox",
        messages=None,
        seed=number,
        n=1,
        size_asked=None,
        seconds_asked=None,
        params={},
        meta={},
        payload='{"model":"film"}',
    )


async def _other_run(ledger: Ledger) -> None:
    """Another plan on this OUT, and a POST for the row that both ask for and for the one it brought."""
    run = RunRecord(
        run_id="other",
        out_id="out",
        gateway=GATEWAY,
        plan_hash="",
        settings={},
        code_version="",
        host="",
        pid=1,
    )
    await ledger.start_run(run)
    await ledger.record_plan("out", GATEWAY, "later", [row(0), row(1)])
    for number in (0, 1):
        request = ClaimRequest(
            run_id="other", request_fingerprint=f"f{number}", body_sha256="", price_max_musd=None
        )
        await ledger.claim(GATEWAY, request)


def _by_run(out: FolderOut, facts: OutFacts, ledger: Ledger, seeds: Meanwhile) -> None:
    prepared = SimpleNamespace(
        storage=out,
        plan=SimpleNamespace(table=SimpleNamespace(sha256="", name="table"), plan_hash="plan"),
        extends=False,
        gateway=GATEWAY,
        profile=None,
    )
    context = SimpleNamespace(ledger=ledger, out_id="out", on_note=lambda _note: None)
    run: Any = SimpleNamespace(prepared=prepared, context=context, facts=facts, run_id="run")
    manifesting = Manifesting(run)
    manifesting._seeds = seeds  # type: ignore[assignment]
    manifesting._write(manifesting._publisher.publish)


def test_files_of_a_ledger_made_anew_meanwhile_are_left_alone(tmp_path: Path) -> None:
    """It holds what a run with the lost one may have sent; what is bought with it is in its files only."""
    ledger = Ledger.open(f"sqlite:///{tmp_path / 'ledger.db'}")
    asyncio.run(ledger.record_plan("out", GATEWAY, "plan", [row(0)]))
    out = FolderOut(tmp_path)
    facts = OutFacts(out_id="out", ledger_id=ledger.ledger_id, table="table", gateway_kind="real")
    write_out(out, facts)
    (tmp_path / "ledger.db").unlink()
    _by_run(out, facts, ledger, Meanwhile(lambda: None))
    assert len(read_manifest(tmp_path)) == 1
    write_out(out, facts.model_copy(update={"ledger_id": "another"}))
    (tmp_path / "manifest.parquet").unlink()
    with pytest.raises(TroubleError, match="removed or replaced"):
        _by_run(out, facts, ledger, Meanwhile(lambda: None))
    assert not (tmp_path / "manifest.parquet").exists()
    ledger.close()


@pytest.mark.parametrize("by", ["a run", "reconcile"])
def test_all_files_of_a_publication_are_of_one_state(
    by: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What another run plans and sends while lines are written is in none of the files."""
    ledger = Ledger.open(f"sqlite:///{tmp_path / 'ledger.db'}")
    asyncio.run(ledger.record_plan("out", GATEWAY, "plan", [row(0)]))
    out = FolderOut(tmp_path)
    facts = OutFacts(out_id="out", ledger_id=ledger.ledger_id, table="table", gateway_kind="real")
    seeds = Meanwhile(lambda: asyncio.run(_other_run(ledger)))
    if by == "a run":
        _by_run(out, facts, ledger, seeds)
    else:
        monkeypatch.setattr(reconcile, "seed_honoured", lambda _out: seeds)
        reconcile._publish(OpenOut(out, facts, ledger))
    assert seeds.has_happened
    assert read_manifest(tmp_path)["num_attempts"].tolist() == [0]
    assert read_attempts(tmp_path)["attempt_id"].tolist() == []
    with ledger.state("out") as state:
        assert (len(list(state.lines())), len(list(state.attempts()))) == (2, 2)
    ledger.close()
