"""The sandbox's bill as a provider would send it, and what `reconcile --bill` makes of it."""

from __future__ import annotations

import contextlib
import csv
import io
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from campaign import Campaign
from reelsweep.flows.commands.reconcile import reconcile
from reelsweep.flows.recovery.settling import as_document, read_joined
from reelsweep.tasks.ledger.ledger import Ledger
from reelsweep.tasks.manifest.outfile import read_out
from reelsweep.tasks.sandbox.bill import BillLine

COLUMNS = ("accepted_at", "idempotency_key", "price_musd", "billed")


def write_bill(path: Path, lines: Sequence[BillLine]) -> Path:
    """A CSV file with a line for every accepted POST."""
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(asdict(line) for line in lines)
    return path


def check_join(campaign: Campaign) -> list[str]:
    """Lay the bill beside the ledger, change nothing: settled and what the bill decides come to the bill."""
    path = write_bill(campaign.folder / "bill.csv", campaign.bill())
    facts = read_out(campaign.out)
    assert facts is not None
    ledger = Ledger.open(campaign.ledger)
    try:
        return _compare(campaign, as_document(read_joined(path, {}, ledger, facts.out_id)))
    finally:
        ledger.close()


def check_settled(campaign: Campaign) -> list[str]:
    """Run the command: then the ledger has settled the bill, to the cent, and nothing else."""
    path = write_bill(campaign.folder / "bill.csv", campaign.bill())
    before = sum(seen.cost_musd for seen in campaign.attempts())
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        reconcile(str(campaign.out), ledger=campaign.ledger, bill=str(path), json=True)
    document = json.loads(said.getvalue())
    after, billed = sum(seen.cost_musd for seen in campaign.attempts()), _billed_musd(campaign)
    wrong = _compare(campaign, document, before)
    return wrong if after == billed else [*wrong, f"the ledger has settled {after}, the bill says {billed}"]


def _compare(campaign: Campaign, document: dict[str, Any], settled: int | None = None) -> list[str]:
    if settled is None:
        settled = sum(seen.cost_musd for seen in campaign.attempts())
    decided, billed = round(1e6 * document["settled"]["cost_usd"]), _billed_musd(campaign)
    wrong = [f"{name}: {line}" for name in ("only_in_bill", "differing") for line in document[name]]
    if settled + decided != billed:
        wrong.append(f"settled {settled} and decided by the bill {decided}, the bill says {billed}")
    return wrong


def _billed_musd(campaign: Campaign) -> int:
    return sum(line.price_musd for line in campaign.bill() if line.billed)
