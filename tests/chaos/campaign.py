"""Runs killed by SIGKILL at every step and continued, and what must be true of ledger and bill then.

A round is one run that is killed; after it the ledger is read, so that it is known which steps the kill
hit and which attempts had an intent and nothing more. After the last continuation everything is compared
with the sandbox's bill, which is in a process of its own and is written before it answers.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pyarrow.parquet as pq
from reelsweep.tasks.sandbox.bill import BillLine
from reelsweep.tasks.sandbox.script import FaultRate, Script
from reelsweep.tasks.sandbox.server import SandboxServer
from stage import Ended, Runs, Seen, read_ledger

STEPS = ("intent", "stream", "download", "store", "settle")
PRICE_MUSD = 100_000
SLOTS = 12
"""Sends in flight for each model."""
MODELS = ("sandbox-video", "sandbox-video-task")
STREAM_S = 1.5
CROWD = 10
"""POSTs that must be open for a kill to count as one in a crowd."""
SPARE = 90
"""Rows that must still be unsent before a round, so that a kill finds a crowd."""
RATES = (
    FaultRate(fault="400", rate=0.01),
    FaultRate(fault="429", rate=0.01, retry_after=0, times=1),
    FaultRate(fault="refused_400", rate=0.01),
    FaultRate(fault="refused_output", rate=0.02),
    FaultRate(fault="content_filter", rate=0.01),
    FaultRate(fault="broken_json", rate=0.03),
    FaultRate(fault="no_done", rate=0.02),
    FaultRate(fault="glued", rate=0.02),
    FaultRate(fault="video_cut", rate=0.04),
    FaultRate(fault="video_500", rate=0.02),
    FaultRate(fault="video_slow", rate=0.05, s=0.5),
    FaultRate(fault="video_corrupt", rate=0.01),
)
"""Nothing here leaves the fate of a purchase open: that is left to the kills."""
LOOK = {
    "clip_variants": 8,
    "clip_bytes": 20_000,
    "size": "160x96",
    "seconds": 0.5,
    "events": 4,
    "price_musd": PRICE_MUSD,
}


def chaotic(seed: int) -> Script:
    """A gateway that does much wrong and sells twice to whoever asks twice."""
    return Script(duration_s=STREAM_S, jitter=0.3, idempotency="ignore", rates=RATES, fault_seed=seed, **LOOK)


def calm(**more: Any) -> Script:
    """A gateway that does everything right and gives one job for one key."""
    return Script(**{"duration_s": 0.2, "idempotency": "honour", **LOOK, **more})


@dataclass
class Kill:
    """One kill, as the ledger and the bill had it right after."""

    aim: str
    steps: frozenset[str]
    """The steps at which an attempt was cut."""
    num_open: int
    """POSTs that were open."""
    held: dict[str, str]
    """Attempts with an intent and nothing more, by what the gateway knew: never accepted, open, ended."""


@dataclass
class Campaign:
    """One OUT on one ledger, driven through kills."""

    folder: Path
    runs: Runs
    sandbox: SandboxServer
    ledger: str
    seed: int = 0
    slots: int = SLOTS
    faults: bool = True
    """Whether some prompts ask for a fault."""
    options: dict[str, Any] = field(default_factory=dict)
    kills: list[Kill] = field(default_factory=list)
    left: set[str] = field(default_factory=set[str])
    """Attempts that kills left under way; on a server their run is dead only after some silence."""
    missed: int = 0
    """Rounds that ended before their trap."""
    num_rows: int = 0

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self.table = self.folder / "table.jsonl"
        self.out = self.folder / "out"
        self._bill_before = len(self.sandbox.bill())

    def bill(self) -> Sequence[BillLine]:
        """What was accepted since the campaign began."""
        return self.sandbox.bill()[self._bill_before :]

    def add_rows(self, number: int) -> None:
        """Append rows: two in three name a task id early, so that they can be recovered."""
        with self.table.open("a") as file:
            for idx in range(self.num_rows, self.num_rows + number):
                asked = {0: "[[fault=cut_task]] ", 1: "[[fault=no_video]] "}.get(idx % 60, "")
                fault = asked if self.faults else ""
                prompt = f"{fault}clip {idx} of {self.folder.name}"
                row = {"prompt": prompt, "seed": idx, "model": MODELS[idx % 3 != 1]}
                file.write(json.dumps(row) + "\n")
        self.num_rows += number

    def run(self, trap: dict[str, Any] | None = None, **more: Any) -> Ended:
        """One run, in the way all of them are started."""
        options = {
            "out": str(self.out),
            "gateway": self.sandbox.base_url,
            "price": "0.10",
            "concurrency": self.slots,
            "canary": 0,
            "ledger": self.ledger,
            **self.options,
        }
        return self.runs.run(self.table, trap, **{**options, **more})

    def round(self, step: str) -> bool:
        """One run that is killed at a step; False when it ended before."""
        if self.num_rows - len({seen.fingerprint for seen in self.attempts()}) < SPARE:
            self.add_rows(SPARE)
        ended = self.run(self._trap(step))
        if ended.code != -9:
            self.missed += 1
            assert ended.code in (0, 1), self.runs.log()[-3000:]
            return False
        self.kills.append(self._look(step))
        return True

    def attempts(self) -> list[Seen]:
        """The ledger, which is not there before the first run."""
        if self.ledger.startswith("sqlite") and not (self.out / "ledger.db").exists():
            return []
        return read_ledger(self.ledger) if self.out.exists() else []

    def _trap(self, step: str) -> dict[str, Any]:
        return {
            "step": step,
            "nth": self.random.randint(1, 3),
            "port": urlsplit(self.sandbox.base_url).port,
            "delay_s": self.random.uniform(0.05, STREAM_S) if step == "stream" else 0,
            "crowd": min(self.slots + 2, self.random.choice((0, CROWD, *(CROWD + 2,) * 4))),
        }

    def _look(self, aim: str) -> Kill:
        known = {line.idempotency_key: line for line in self.bill()}
        steps: set[str] = set()
        held: dict[str, str] = {}
        num_open = 0
        for seen in self.attempts():
            if seen.run_state != "live" or seen.attempt_id in self.left:
                continue
            self.left.add(seen.attempt_id)
            step = self._step_of(seen, accepted=seen.key in known)
            steps |= {step} if step else set()
            num_open += step in ("intent", "stream")
            if step in ("intent", "stream") and not (seen.task_id or seen.status_url):
                line = known.get(seen.key)
                held[seen.attempt_id] = "" if line is None else line.ended
        return Kill(aim, frozenset(steps), num_open, held)

    def _step_of(self, seen: Seen, *, accepted: bool) -> str | None:
        if seen.state == "intent":
            return "stream" if accepted else "intent"
        if seen.state != "answered" or seen.kind == "submitted":
            return None
        if seen.sha256 is None or seen.file_name is None:
            return "download"
        return "settle" if (self.out / seen.file_name).exists() else "store"

    def finish(self, **more: Any) -> Ended:
        """Continue until a run ends with nothing left but what is held."""
        for _ in range(5):
            ended = self.run(**more)
            assert ended.code in (0, 1), (ended, self.runs.log()[-3000:])
            if set(ended.summary["counts"]) <= FINAL:
                return ended
        raise AssertionError(f"not finished: {ended.summary}")


FINAL = {"success", "refused", "invalid_output", "failed", "unknown"}


def check_kills(campaign: Campaign) -> list[str]:
    """What the issue promises after the last continuation without a resubmission; wrong things, in words."""
    wrong: list[str] = []
    attempts, bill = campaign.attempts(), campaign.bill()
    held = {attempt for kill in campaign.kills for attempt in kill.held}
    unknown = {seen.attempt_id for seen in attempts if seen.state == "unknown"}
    if unknown - held:
        wrong.append(f"unknown, though no kill left only their intent: {sorted(unknown - held)}")
    if held - unknown:
        wrong.append(f"held at a kill, and not unknown now: {sorted(held - unknown)}")
    wrong += [
        f"a kill held {len(kill.held)} rows"
        for kill in campaign.kills
        if len(kill.held) > campaign.slots * len(MODELS)
    ]
    wrong += [f"unknown with a task id: {s}" for s in attempts if s.state == "unknown" and s.task_id]
    wrong += [f"open at the end: {s}" for s in attempts if s.state in ("intent", "answered")]
    return wrong + _check_sales(attempts, bill) + check_manifest(campaign)


def _check_sales(attempts: Sequence[Seen], bill: Sequence[BillLine]) -> list[str]:
    wrong: list[str] = []
    by_body = Counter(line.body_sha256 for line in bill)
    wrong += [f"sold {number} times: {body}" for body, number in by_body.items() if number > 1]
    by_key: dict[str | None, list[Seen]] = {}
    for seen in attempts:
        if seen.state != "withdrawn":
            by_key.setdefault(seen.key, []).append(seen)
    for line in bill:
        mine = by_key.get(line.idempotency_key, [])
        if len(mine) != 1:
            wrong.append(f"an accepted POST has {len(mine)} attempts: {line}")
        elif mine[0].state not in ("settled", "unknown"):
            wrong.append(f"an accepted POST is {mine[0].state}: {line}")
    return wrong


def check_money(campaign: Campaign) -> list[str]:
    """The bill is what the ledger settled and the part of what it holds back that the bill knows."""
    settled_keys: set[str] = set()
    total = 0
    attempts = campaign.attempts()
    for seen in attempts:
        total += seen.cost_musd
        settled_keys |= {seen.key} if seen.cost_musd else set()
    reserved_keys = {seen.key for seen in attempts if seen.reserved_musd} - settled_keys
    bill = [line for line in campaign.bill() if line.billed]
    total += sum(line.price_musd for line in bill if line.idempotency_key in reserved_keys)
    billed = sum(line.price_musd for line in bill)
    return [] if total == billed else [f"the ledger comes to {total}, the bill to {billed} micro-dollars"]


def check_manifest(campaign: Campaign) -> list[str]:
    """The manifest says what the ledger says, a line for every row, and every clip is on disk."""
    rows = pq.read_table(campaign.out / "manifest.parquet").to_pylist()
    standing = {seen.fingerprint: seen.row_status for seen in campaign.attempts()}
    wrong = [] if len(rows) == campaign.num_rows else [f"{len(rows)} lines for {campaign.num_rows} rows"]
    for row in rows:
        if row["status"] != standing.get(row["request_fingerprint"]):
            wrong.append(f"manifest {row['status']}, ledger {standing.get(row['request_fingerprint'])}")
        if row["status"] == "success" and not (campaign.out / row["file_name"]).is_file():
            wrong.append(f"no file: {row['file_name']}")
    return wrong


def check_resubmission(campaign: Campaign, bill_before: int, never: int) -> list[str]:
    """The last round: no row is unknown, and the bill grew by the `never` accepted ones only."""
    rows = pq.read_table(campaign.out / "manifest.parquet", columns=["status"]).to_pylist()
    wrong = [f"still {row['status']}" for row in rows if row["status"] == "unknown"]
    new = len(campaign.bill()) - bill_before
    if new != never:
        wrong.append(f"{new} new lines on the bill, {never} attempts were never accepted")
    bodies = Counter(line.body_sha256 for line in campaign.bill())
    return wrong + [f"sold {number} times" for number in bodies.values() if number > 1]


def fates(campaign: Campaign) -> dict[str, str]:
    """What the gateway knew of the attempts that kills held: nothing (""), or a job, open or ended.

    To be asked before anything is sent again under the same keys.
    """
    last = {line.idempotency_key for line in campaign.bill()}
    keys = {seen.attempt_id: seen.key for seen in campaign.attempts()}
    found: dict[str, str] = {}
    for kill in campaign.kills:
        for attempt, ended in kill.held.items():
            found[attempt] = ended or ("open" if keys[attempt] in last else "")
    return found
