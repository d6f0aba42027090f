"""Two processes on one ledger: each key bought once, the work shared."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from typing import Any

import pytest

_ROUNDS, _KEYS = 3, 40
_WORKER = """
import asyncio, os, random, sys
from reelsweep.tasks.gateway.outcome import Choice, Outcome
from reelsweep.tasks.ledger.ledger import Ledger
from reelsweep.tasks.ledger.records import Answer, Claim, ClaimRequest, ResultRecord, RunRecord

URL, GATEWAY, NAME, ROUNDS, KEYS = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5])
OUTCOME = Outcome(status="succeeded", billed="yes", choices=(Choice(choice_idx=0, video_url="https://x.example.com"),))
ANSWER = Answer(outcome=OUTCOME, manifest_status="in_progress", billed="yes", cost_musd=100)

async def make(ledger, number, slots):
    async with slots:
        name = f"f{number}"
        wish = ClaimRequest(run_id=NAME, request_fingerprint=name, body_sha256="b", price_max_musd=100)
        claim = await ledger.claim(GATEWAY, wish)
        if isinstance(claim, Claim):
            await ledger.answer(claim.attempt_id, ANSWER)
            await ledger.settle(claim.attempt_id, [ResultRecord(choice_idx=0, status="success")], "success")

async def work():
    ledger = Ledger.open(URL)
    await ledger.set_budget(ROUNDS * KEYS * 100)
    run = RunRecord(run_id=NAME, out_id="out", gateway=GATEWAY, plan_hash="plan", settings={},
        code_version="1", host="h", pid=os.getpid())
    await ledger.start_run(run)
    for n in range(ROUNDS):
        print("ready", flush=True)
        sys.stdin.readline()
        numbers = list(range(n * KEYS, (n + 1) * KEYS))
        random.Random(NAME).shuffle(numbers)
        slots = asyncio.Semaphore(4)
        await asyncio.gather(*(make(ledger, number, slots) for number in numbers))
    await ledger.end_run(NAME, exit_code=0, summary={})
    ledger.close()

asyncio.run(work())
"""


def _start(database: Any, make: Any, name: str) -> subprocess.Popen[str]:
    settings = [database.url, make.gateway, name, str(_ROUNDS), str(_KEYS)]
    return subprocess.Popen(
        [sys.executable, "-c", _WORKER, *settings], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


@pytest.mark.timeout(300)
async def test_each_key_is_bought_once_and_the_work_is_shared(database: Any, make: Any) -> None:
    """Processes that want the same keys at the same time buy none twice, and each gets its part."""
    ledger = database.open()
    rows = [make.row(number) for number in range(_ROUNDS * _KEYS)]
    await ledger.record_plan("out", make.gateway, "plan", rows)
    workers = [_start(database, make, name) for name in ("one", "two")]
    for _ in range(_ROUNDS):
        for worker in workers:
            assert worker.stdout is not None
            assert worker.stdout.readline() == "ready\n"
        for worker in workers:
            assert worker.stdin is not None
            worker.stdin.write("go\n")
            worker.stdin.flush()
    for worker in workers:
        worker.communicate()
        assert worker.returncode == 0
    posts = database.sql("SELECT generation_id, run_id FROM attempts")
    assert len(posts) == len({post.generation_id for post in posts}) == _ROUNDS * _KEYS
    shares = Counter(post.run_id for post in posts)
    assert min(shares.values()) >= len(posts) / 4, shares
    assert (await ledger.tally("out")).counts == {"success": _ROUNDS * _KEYS}
    assert (await ledger.spend()).settled_musd == _ROUNDS * _KEYS * 100
