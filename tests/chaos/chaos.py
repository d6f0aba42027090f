"""The long form: hundreds of kills, thousands of generations, on SQLite and on PostgreSQL.

    python tests/chaos/chaos.py --kills 200 --rounds 50 [--seed 1]

Prints one line a kill, the figures of a campaign when it is over, all of them as JSON at the end; exit code 1
when anything is not as promised.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from billed import check_join, check_settled
from campaign import (
    CROWD,
    STEPS,
    Campaign,
    calm,
    chaotic,
    check_kills,
    check_money,
    check_resubmission,
    fates,
)
from looker import Looker
from pairs import count_purchases, run_pair, write_rows
from reelsweep.flows.server import prefect_server
from reelsweep.tasks.sandbox.server import SandboxServer
from stage import Runs, postgres, read_ledger

LOOKS_PER_S = 5
"""How often the manifest must have been opened, on the average of a campaign."""


def kill_and_continue(folder: Path, runs: Runs, ledger: str, kills: int, seed: int) -> dict[str, Any]:
    """One campaign, and its figures."""
    began = time.monotonic()
    with SandboxServer(chaotic(seed), bill=folder / "bill.jsonl") as sandbox:
        campaign = Campaign(folder=folder, runs=runs, sandbox=sandbox, ledger=ledger, seed=seed)
        campaign.add_rows(300)
        with Looker(campaign.out / "manifest.parquet") as looker:
            while not _has_enough(campaign, kills):
                _round(campaign)
            campaign.finish()
        sight = looker.sight
        wrong = check_kills(campaign) + check_money(campaign) + check_join(campaign)
        wrong += sight.failures + sight.falls
        wrong += [] if sight.per_s >= LOOKS_PER_S else [f"{sight.per_s:.1f} looks a second"]
        fate, num_sold = Counter(fates(campaign).values()), len(campaign.bill())
        sandbox.control(calm())
        last = campaign.finish(on_unknown="resubmit")
        wrong += check_resubmission(campaign, num_sold, fate[""]) + check_money(campaign)
        wrong += check_settled(campaign)
        return {
            "kills": len(campaign.kills),
            "kills_in_a_crowd": _num_crowded(campaign),
            "kills_per_step": _per_step(campaign),
            "rounds_without_kill": campaign.missed,
            "generations": campaign.num_rows,
            "unknown": {
                "never accepted": fate[""],
                "accepted and open": fate["open"],
                "ended but unread": sum(fate.values()) - fate[""] - fate["open"],
            },
            "accepted_posts": len(campaign.bill()),
            "counts": last.summary["counts"],
            "manifest_reads": sight.reads,
            "manifest_reads_per_s": round(sight.per_s, 1),
            "longest_gap_s": round(sight.longest_s, 2),
            "elapsed_s": round(time.monotonic() - began),
            "wrong": wrong,
        }


def _has_enough(campaign: Campaign, kills: int) -> bool:
    """So many kills, three in four of them in a crowd, one in twenty at each step; at most twice as many."""
    if len(campaign.kills) < kills:
        return False
    enough = 4 * _num_crowded(campaign) >= 3 * kills and 20 * min(_per_step(campaign).values()) >= kills
    return enough or len(campaign.kills) >= 2 * kills


def _num_crowded(campaign: Campaign) -> int:
    return sum(kill.num_open >= CROWD for kill in campaign.kills)


def _round(campaign: Campaign) -> None:
    """Aim at the step that was hit least."""
    hits = _per_step(campaign)
    step = campaign.random.choice((min(STEPS, key=lambda step: hits[step]), *STEPS))
    if campaign.round(step):
        kill = campaign.kills[-1]
        hit = "hit" if step in kill.steps else "missed"
        print(
            f"kill {len(campaign.kills)}: {step} {hit}, {kill.num_open} open, {len(kill.held)} held",
            flush=True,
        )


def _per_step(campaign: Campaign) -> dict[str, int]:
    """Kills by the step they aimed at and, as the ledger shows, hit."""
    return {step: sum(kill.aim == step in kill.steps for kill in campaign.kills) for step in STEPS}


def share(folder: Path, runs: Runs, new_ledger: Callable[[int], str], rounds: int) -> dict[str, Any]:
    """Two processes at one table, again and again."""
    shares: list[float] = []
    wrong: list[str] = []
    with SandboxServer(calm(duration_s=0.4)) as sandbox:
        for idx in range(rounds):
            place, ledger = folder / f"pair-{idx}", new_ledger(idx)
            place.mkdir()
            before = len(sandbox.bill())
            options = {"out": str(place / "out"), "gateway": sandbox.base_url, "ledger": ledger}
            table = write_rows(place / "table.jsonl", 40)
            ended = run_pair(runs, table, **options, concurrency=2, canary=0)
            sold = Counter(line.body_sha256 for line in sandbox.bill()[before:])
            bought = count_purchases(read_ledger(ledger))
            shares.append(min(bought.values()) / sum(bought.values()) if len(bought) == 2 else 0.0)
            if [end.code for end in ended] != [0, 0] or len(sold) != 40 or max(sold.values()) != 1:
                wrong.append(f"round {idx}: exit {[end.code for end in ended]}, {sum(sold.values())} sold")
    wrong += [f"round {idx}: a share of {part:.0%}" for idx, part in enumerate(shares) if part < 0.25]
    return {"rounds": rounds, "least_share": round(min(shares), 3), "wrong": wrong}


def check_campaigns(kills: int, campaigns: Sequence[dict[str, Any]]) -> list[str]:
    """What the kills of all campaigns together must come to."""
    num_kills = sum(figures["kills"] for figures in campaigns)
    crowded = sum(figures["kills_in_a_crowd"] for figures in campaigns)
    per_step = {step: sum(figures["kills_per_step"][step] for figures in campaigns) for step in STEPS}
    wrong = [] if num_kills >= kills else [f"{num_kills} kills"]
    wrong += [] if 4 * crowded >= 3 * kills else [f"{crowded} kills in a crowd"]
    wrong += [f"{hits} kills at {step}" for step, hits in per_step.items() if 20 * hits < kills]
    generations = sum(figures["generations"] for figures in campaigns)
    return wrong if generations >= 10 * kills else [*wrong, f"{generations} generations"]


def main() -> int:
    """Run everything and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    os.environ.update(PREFECT_SERVER_ANALYTICS_ENABLED="false", DO_NOT_TRACK="1")
    figures: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory(prefix="reelsweep-chaos-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        with prefect_server(folder / "prefect") as server, postgres() as new_schema:
            server.wait_ready()
            for kind in ("sqlite", "postgresql"):
                place = folder / kind
                place.mkdir()
                runs = Runs(place)
                ledger = f"sqlite:///{place / 'out' / 'ledger.db'}" if kind == "sqlite" else new_schema()
                try:
                    half = (asked.kills + 1) // 2
                    figures[kind] = kill_and_continue(place, runs, ledger, half, asked.seed)
                    print(json.dumps({kind: figures[kind]}, indent=2), flush=True)

                    def new_ledger(idx: int, place: Path = place, kind: str = kind) -> str:
                        local = place / f"pair-{idx}" / "out" / "ledger.db"
                        return f"sqlite:///{local}" if kind == "sqlite" else new_schema()

                    if asked.rounds:
                        figures[f"{kind}, two processes"] = share(place, runs, new_ledger, asked.rounds)
                finally:
                    runs.close()
    wrong = [line for part in figures.values() for line in part["wrong"]]
    wrong += check_campaigns(asked.kills, [figures["sqlite"], figures["postgresql"]])
    print(json.dumps({**figures, "wrong": wrong}, indent=2))
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
