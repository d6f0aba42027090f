"""Who owns what: live runs, dead runs, stalled runs, and clocks that jump."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from reelsweep.prompts.errors import TroubleError
from reelsweep.tasks.ledger.leases import Times
from reelsweep.tasks.ledger.locks import AdvisoryLock
from reelsweep.tasks.ledger.place import parse_place
from reelsweep.tasks.ledger.records import Declined

STILL = Times(renew_s=3_600, second_look_s=3_600)
"""Nothing is renewed but by a claim."""

_OWNER = """
import asyncio, os, sys
from reelsweep.tasks.ledger.ledger import Ledger
from reelsweep.tasks.ledger.records import ClaimRequest, RunRecord

async def own(url, forks):
    ledger = Ledger.open(url)
    await ledger.start_run(RunRecord(run_id="killed", out_id="out", gateway=sys.argv[3], plan_hash="plan",
        settings={}, code_version="1", host="h", pid=os.getpid()))
    request = ClaimRequest(run_id="killed", request_fingerprint="f0", body_sha256="b", price_max_musd=100)
    claim = await ledger.claim(sys.argv[3], request)
    child = os.fork() if forks else None
    if child == 0:
        sys.stdin.read()
        os._exit(0)
    print(claim.attempt_id, child, flush=True)
    sys.stdin.read()

asyncio.run(own(sys.argv[1], sys.argv[2] == "forks"))
"""


def _start_owner(database: Any, make: Any, how: str) -> tuple[subprocess.Popen[str], str, str]:
    """A process that has claimed `f0` and waits; with what it said."""
    command = [sys.executable, "-W", "ignore", "-c", _OWNER, database.url, how, make.gateway]
    owner = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None
    attempt_id, child = owner.stdout.readline().split()
    return owner, attempt_id, child


async def test_a_killed_run_is_known_dead_at_once(database: Any, make: Any) -> None:
    """Its lock is free when it is gone: what it had in flight is `unknown` for the next to start."""
    ledger = database.open()
    await ledger.record_plan("out", make.gateway, "plan", [make.row(0)])
    owner, attempt_id, _ = _start_owner(database, make, "alone")
    assert await ledger.bury_dead() == 0
    assert (await make.standing(ledger)).next_step == "wait"
    owner.kill()
    owner.communicate()
    await ledger.start_run(make.run("next"))
    async with asyncio.timeout(60):
        while (standing := await make.standing(ledger)).next_step == "wait":
            await ledger.bury_dead()
    assert (standing.status, standing.next_step) == ("unknown", "hold")
    attempt = await ledger.attempt(attempt_id)
    assert (attempt.state, attempt.billed, attempt.reserved_musd) == ("unknown", "maybe", 100)
    assert (await ledger.spend()).held_musd == 100
    assert {run["run_id"]: run["state"] for run in await ledger.runs("out")} == {
        "killed": "dead",
        "next": "live",
    }


async def test_a_forked_child_does_not_keep_a_dead_owners_lock(sqlite: Any, make: Any) -> None:
    """The lock dies with the run, though a child that was forked from it lives on."""
    ledger = sqlite.open()
    await ledger.record_plan("out", make.gateway, "plan", [make.row(0)])
    owner, _, child = _start_owner(sqlite, make, "forks")
    try:
        os.kill(owner.pid, 9)
        owner.wait()
        os.kill(int(child), 0)
        assert await ledger.bury_dead() == 1
    finally:
        owner.communicate()


async def test_an_ended_run_leaves_nothing_in_flight(database: Any, make: Any) -> None:
    """What is still open when a run ends was cut off: `unknown`, its claim free, its end recorded."""
    ledger = await make.start(database.open())
    await make.buy(ledger)
    await ledger.end_run("run", exit_code=130, summary={"posts": 1})
    assert (await make.standing(ledger)).status == "unknown"
    (run,) = await ledger.runs()
    assert (run["state"], run["exit_code"], run["summary"]) == ("ended", 130, {"posts": 1})
    assert ledger.lease_held("run") is False
    declined = await ledger.claim(make.gateway, make.request(1))
    assert isinstance(declined, Declined)
    assert declined.reason == "lease_lost"


async def test_a_stalled_owner_finds_out_before_it_sends(database: Any, make: Any) -> None:
    """After a minute without a renewal the owner itself no longer trusts its lease."""
    ledger = await make.start(database.open())
    assert ledger.lease_held("run")
    database.clock.pass_time(55)
    assert not ledger.lease_held("run")


async def test_a_sleeper_nobody_missed_goes_on(database: Any, make: Any) -> None:
    """A laptop that slept for hours renews its lease with its next claim, if no other run took over."""
    ledger = await make.start(database.open())
    database.clock.pass_time(8 * 3600)
    await make.buy(ledger)
    assert ledger.lease_held("run")


async def test_a_run_taken_for_dead_sends_nothing_more(database: Any, make: Any) -> None:
    """Once another run declared it dead, every claim is declined and its lease is gone for good."""
    stalled = await make.start(database.open())
    database.clock.pass_time(61)
    database.expire("run")
    other = database.open()
    await other.start_run(make.run("other"))
    declined = await stalled.claim(make.gateway, make.request())
    assert isinstance(declined, Declined)
    assert declined.reason == "lease_lost"
    assert not stalled.lease_held("run")
    await make.buy(other, run_id="other")
    assert (await make.standing(other)).next_step == "wait"


async def test_a_lease_that_is_over_by_the_ledgers_clock_grants_nothing(database: Any, make: Any) -> None:
    """Nobody has noticed yet, the owner thinks that it holds it: anybody may take its rows from now on."""
    ledger = await make.start(database.open())
    database.expire("run")
    assert ledger.lease_held("run")
    declined = await ledger.claim(make.gateway, make.request())
    assert isinstance(declined, Declined)
    assert declined.reason == "lease_lost"


async def test_a_run_proved_dead_knows_it_from_its_next_claim(database: Any, make: Any) -> None:
    """Its lock was lost with a connection, its lease is young: earlier claims send nothing either."""
    ledger = await make.start(database.open())
    await make.buy(ledger)
    database.sql("UPDATE runs SET state = 'dead'")
    declined = await ledger.claim(make.gateway, make.request(1))
    assert isinstance(declined, Declined)
    assert declined.reason == "lease_lost"
    assert not ledger.lease_held("run")


@pytest.mark.parametrize("days", [-400, 400])
async def test_a_wall_clock_that_jumps_kills_nobody(sqlite: Any, make: Any, days: int) -> None:
    """Leases count the time the machine has run, so that setting the clock takes nobody's rows away."""
    owner = await make.start(sqlite.open())
    await make.buy(owner)
    sqlite.clock.now += timedelta(days=days)
    other = sqlite.open()
    await other.start_run(make.run("other"))
    assert owner.lease_held("run")
    assert (await make.standing(other)).next_step == "wait"
    assert (await make.buy(owner, 1)).attempt_idx == 0


async def test_an_uptime_that_falls_back_is_not_trusted(sqlite: Any, make: Any) -> None:
    """A running clock that went backwards means that we do not know: nothing is sent."""
    ledger = await make.start(sqlite.open())
    sqlite.clock.uptime_s -= 500
    assert not ledger.lease_held("run")


async def test_a_run_before_a_reboot_is_dead(sqlite: Any, make: Any) -> None:
    """After a restart of the machine no lease of before it counts, whatever its number says."""
    first = await make.start(sqlite.open())
    await make.buy(first)
    first.close()
    (lock,) = _lock_files(sqlite)
    lock.unlink()  # nothing but the machine's start tells
    sqlite.sql("UPDATE runs SET lease_until = 1e12")
    assert await sqlite.open().bury_dead() == 0
    sqlite.sql("UPDATE runs SET boot_id = 'earlier'")
    assert await sqlite.open().bury_dead() == 1


async def test_the_lease_is_renewed_by_itself(database: Any, make: Any) -> None:
    """A thread renews the lease and buries the dead; the owner need not ask."""
    renewing = make.Times(renew_s=0.01, second_look_s=0.01)
    ledger = await make.start(database.open(times=renewing))
    database.clock.pass_time(55)
    other = database.open()
    await other.start_run(make.run("other"))
    other.close()
    async with asyncio.timeout(30):
        while not ledger.lease_held("run") or (await ledger.runs())[-1]["state"] != "dead":
            await ledger.spend()
    assert [run["state"] for run in await ledger.runs()] == ["live", "dead"]


async def test_a_lock_whose_connection_broke_is_taken_again_before_the_next_renewal(
    postgres: Any, make: Any
) -> None:
    """Servers and networks drop connections: who looks a moment later finds the run alive."""
    database = make.Database(postgres())
    ledger = await make.start(database.open(times=make.Times(renew_s=3_600, second_look_s=0.01)))
    async with asyncio.timeout(60):
        while not (held := database.sql(_LOCK_OWNERS)):  # not while the run looks at it
            await ledger.spend()
        while not database.sql(_DROP_LOCK):
            await ledger.spend()
        while database.sql(_LOCK_OWNERS) in ([], held):
            await ledger.spend()
    assert await database.open().bury_dead() == 0
    await make.buy(ledger)
    database.close()


async def test_a_run_whose_lock_is_looked_at_renews_its_lease_all_the_same(postgres: Any, make: Any) -> None:
    """Whoever looks has the free lock for a moment, in which the run cannot take it back."""
    database = make.Database(postgres())
    ledger = await make.start(database.open(times=make.Times(renew_s=0.01, second_look_s=0.01)))
    looked = AdvisoryLock(parse_place(database.url), "run")
    async with asyncio.timeout(60):
        while not await asyncio.to_thread(_take, looked):
            database.sql(_DROP_LOCK)
    before = database.sql("SELECT lease_until FROM runs")
    async with asyncio.timeout(60):
        while database.sql("SELECT lease_until FROM runs") == before:
            await ledger.spend()
    await asyncio.to_thread(looked.release)
    database.close()


def _take(lock: AdvisoryLock) -> bool:
    try:
        lock.take()
    except TroubleError:
        return False
    return True


_LOCK_OWNERS = """
SELECT pid FROM pg_locks JOIN pg_stat_activity USING (pid)
WHERE locktype = 'advisory' AND granted AND state = 'idle' AND pid <> pg_backend_pid()
"""
_DROP_LOCK = """
SELECT pg_terminate_backend(pid) FROM pg_locks JOIN pg_stat_activity USING (pid)
WHERE locktype = 'advisory' AND granted AND state = 'idle' AND pid <> pg_backend_pid()
"""


async def test_a_run_id_belongs_to_one_process(database: Any, make: Any) -> None:
    """The same run cannot be live twice."""
    await make.start(database.open())
    with pytest.raises(TroubleError, match="held by another"):
        await database.open().start_run(make.run())


async def test_a_reader_buries_the_dead(database: Any, make: Any) -> None:
    """`bury_dead` shows what a dead run left as it is, without a run of its own."""
    dead = await make.start(database.open())
    await make.buy(dead)
    dead.close()
    reader = database.open()
    assert await reader.bury_dead() == 1
    assert (await reader.tally("out")).counts == {"unknown": 1, "planned": 2}
    assert json.loads(json.dumps((await reader.runs())[0]["settings"])) == {"limit": 3}


async def test_locks_leave_no_files(sqlite: Any, make: Any) -> None:
    """Neither an ended run nor a buried one leaves its lock file in OUT."""
    ended, dead = await make.start(sqlite.open()), sqlite.open()
    await dead.start_run(make.run("dead"))
    assert len(_lock_files(sqlite)) == 2
    dead.close()
    assert await ended.bury_dead() == 1
    await ended.end_run("run", exit_code=0, summary={})
    assert _lock_files(sqlite) == []


def _lock_files(sqlite: Any) -> list[Path]:
    return list(Path(sqlite.url.removeprefix("sqlite:///")).parent.glob(".*/*.lock"))


async def test_two_live_runs_share_the_work(database: Any, make: Any) -> None:
    """Each buys what the other has not claimed, and both see all results."""
    one, two = await make.start(database.open()), database.open()
    await two.start_run(make.run("two"))
    first, second = await make.buy(one, 0), await make.buy(two, 1, run_id="two")
    assert (await make.standing(two, 0)).next_step == (await make.standing(one, 1)).next_step == "wait"
    await one.answer(first.attempt_id, make.success())
    await one.settle(first.attempt_id, [make.stored()], "success")
    assert (await make.standing(two, 0)).status == "success"
    await two.withdraw(second.attempt_id, "cancelled")
    assert (await make.standing(one, 1)).next_step == "buy"
