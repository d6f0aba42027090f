"""One claimed POST, over a real socket and a real ledger, when the machine fails under it."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

import pytest
from reelsweep.prompts.pricing import Price
from reelsweep.prompts.request import GenerationSpec
from reelsweep.tasks.artifacts.door import Door
from reelsweep.tasks.artifacts.origin import origin_of
from reelsweep.tasks.artifacts.probe import Prober
from reelsweep.tasks.artifacts.store import Store
from reelsweep.tasks.gateway.outcome import Choice, Outcome
from reelsweep.tasks.gateway.profiles import Idempotency, Profile
from reelsweep.tasks.ledger.leases import Times
from reelsweep.tasks.ledger.ledger import Ledger
from reelsweep.tasks.ledger.records import Answer, Claim, ClaimRequest, PlanRow, RunRecord
from reelsweep.tasks.purchase.buy import Bought, buy
from reelsweep.tasks.purchase.conclude import conclude
from reelsweep.tasks.purchase.context import Policy, RunContext
from reelsweep.tasks.purchase.make import make
from reelsweep.tasks.purchase.recover import reread
from reelsweep.tasks.purchase.wire import Body, build_body

STILL = Times(renew_s=3_600, second_look_s=3_600)
SPEC = GenerationSpec(
    ordinal=0,
    prompt_id="p",
    row_idx=0,
    sample_idx=0,
    output="text",
    model="m",
    payload={"model": "m", "messages": [{"role": "user", "content": "a cat"}]},
    request_fingerprint="f",
    prompt="a cat",
)
ROW = PlanRow(
    row_key="row",
    ordinal=0,
    prompt_id="p",
    sample_idx=0,
    request_fingerprint="f",
    output="text",
    model="m",
    prompt="a cat",
    messages=None,
    seed=None,
    n=1,
    size_asked=None,
    seconds_asked=None,
    params={},
    meta={},
    payload="{}",
)
ANSWER = b"".join(
    (
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n",
        b'data: {"id":"c","choices":[{"index":0,"delta":{"content":"meow"},"finish_reason":null}]}\n\n',
        b'data: {"id":"c","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n',
        b"data: [DONE]\n\n",
    )
)


CUT = Answer(
    outcome=Outcome(status="incomplete", billed="maybe"),
    manifest_status="unknown",
    billed="maybe",
    cost_musd=None,
)


@dataclass
class Wire:
    """A gateway of bare sockets: what came, and for each the same answer."""

    answer: bytes = ANSWER
    asked_later: bytes | None = None
    """The answer to a GET, if it is another."""
    heard: list[bytes] = field(default_factory=list[bytes])
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    answers: asyncio.Event = field(default_factory=asyncio.Event)
    """While it is clear, whoever asks is kept waiting."""

    async def converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        if asked := await reader.read(65_536):
            self.heard.append(asked)
            self.asked.set()
            await self.answers.wait()
            is_later = self.asked_later is not None and asked.startswith(b"GET ")
            writer.write(self.asked_later if self.asked_later and is_later else self.answer)
            await writer.drain()
        writer.close()
        await writer.wait_closed()


@dataclass
class Bench:
    """A run of one row at ten cents, whose machine's running time is set by hand."""

    path: Path
    wire: Wire
    uptime_s: float = 1_000.0
    later_s: float = 0.0
    """How far its wall clock has been moved on."""
    opened: list[Ledger] = field(default_factory=list[Ledger])

    def open(self) -> Ledger:
        """Another owner of the ledger."""
        ledger = Ledger.open(
            f"sqlite:///{self.path}",
            clock=lambda: datetime.now(UTC) + timedelta(seconds=self.later_s),
            uptime=lambda: self.uptime_s,
            times=STILL,
        )
        self.opened.append(ledger)
        return ledger

    def sql(self, statement: str) -> list[tuple[object, ...]]:
        """Rows of a statement, around the ledger."""
        with sqlite3.connect(self.path) as conn:
            return conn.execute(statement).fetchall()

    def attempts(self) -> list[tuple[object, ...]]:
        """What the ledger holds of every POST."""
        return self.sql("SELECT state, status, billed, reserved_musd FROM attempts ORDER BY attempt_id")


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    """The ledger's file, and a gateway that answers."""
    made = Bench(tmp_path / "ledger.db", Wire())
    made.wire.answers.set()
    yield made
    for ledger in made.opened:
        await asyncio.to_thread(ledger.close)


@pytest.fixture
async def context(bench: Bench, tmp_path: Path) -> AsyncIterator[RunContext]:
    """A live run against that gateway."""
    server = await asyncio.start_server(bench.wire.converse, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    ledger = bench.open()
    await ledger.record_plan("out", "gateway", "plan", [ROW])
    await ledger.start_run(_run("run"))
    prober = Prober()
    made = RunContext(
        run_id="run",
        out_id="out",
        gateway="gateway",
        profile=Profile(name="p", base_url=f"http://127.0.0.1:{port}/v1"),
        key=None,
        ledger=ledger,
        store=Store(tmp_path),
        prober=prober,
        door=Door(),
        policy=Policy(canary=0),
        price=Price.parse("0.10"),
    )
    yield made
    await made.aclose()
    prober.close()
    server.close()
    await server.wait_closed()


def _run(run_id: str) -> RunRecord:
    return RunRecord(
        run_id=run_id,
        out_id="out",
        gateway="gateway",
        plan_hash="plan",
        settings={},
        code_version="1",
        host="h",
        pid=1,
    )


async def _claimed(context: RunContext, key_ttl_s: float | None = None) -> tuple[Claim, Body]:
    """The right to one POST, and its bytes."""
    body = await build_body(SPEC, context)
    wish = ClaimRequest(
        run_id="run",
        request_fingerprint="f",
        body_sha256=body.sha256,
        price_max_musd=100_000,
        key_ttl_s=key_ttl_s,
    )
    claim = await context.ledger.claim("gateway", wish)
    assert isinstance(claim, Claim)
    assert context.count_post()
    return claim, body


async def _bought(context: RunContext, claim: Claim, body: Body) -> Bought:
    async def leave_slot() -> None:
        return

    return await buy(SPEC, context, claim, body, context.clock(), leave_slot)


async def test_a_post_leaves_while_the_lease_is_held(context: RunContext, bench: Bench) -> None:
    """A claim, one POST, its answer settled."""
    bought = await _bought(context, *await _claimed(context))
    assert (bought.end.status, len(bench.wire.heard)) == ("success", 1)
    assert bench.attempts() == [("settled", "success", "yes", 0)]


async def test_in_flight_is_what_was_sent_and_has_not_ended(context: RunContext, bench: Bench) -> None:
    """A row that waits for a slot, or in one for a person, has sent nothing."""
    slot = context.limiter(SPEC.model)
    slot.pace.limit, context.paused = 0.0, "a person is asked"
    bench.wire.answers.clear()
    making = asyncio.create_task(make(SPEC, context, (None, None)))
    await asyncio.sleep(0)
    assert len(context.flights) == 0
    slot.lift()
    while not slot.pace.in_flight:
        await asyncio.sleep(0.01)
    assert len(context.flights) == 0
    context.paused = None
    await bench.wire.asked.wait()
    assert len(context.flights) == 1
    bench.wire.answers.set()
    assert (await making).status == "success"
    assert len(context.flights) == 0


async def test_a_job_that_is_asked_for_is_in_flight(context: RunContext, bench: Bench) -> None:
    """Its POST is answered and it is not over."""
    bench.wire.answer = ANSWER[: ANSWER.index(b"data:")] + b'data: {"task_id":"job-1","status":"queued"}\n\n'
    bench.wire.asked_later = b"HTTP/1.1 404 Not Found\r\nConnection: close\r\n\r\n"
    context.door = Door(own_origins=[origin_of(str(context.profile.base_url))])
    buying = asyncio.create_task(_bought(context, *await _claimed(context)))
    await bench.wire.asked.wait()
    bench.wire.asked.clear()
    bench.wire.answers.clear()
    await bench.wire.asked.wait()
    assert (bench.wire.heard[-1][:4], len(context.flights)) == (b"GET ", 1)
    bench.wire.answers.set()
    await buying
    assert len(context.flights) == 0


async def test_a_claim_that_slept_sends_nothing(context: RunContext, bench: Bench) -> None:
    """The lease ran out between claim and POST: not a byte leaves, the money is free, the row asked again."""
    claimed = await _claimed(context)
    bench.uptime_s += 55.0
    bought = await _bought(context, *claimed)
    assert bench.wire.heard == []
    assert bought.again
    assert bench.attempts() == [("withdrawn", "planned", "no", 0)]
    assert context.posts == 0
    end = await make(SPEC, context, (None, None))
    assert (end.status, len(bench.wire.heard)) == ("success", 1)


async def test_a_replay_leaves_while_its_key_is_known_or_not_at_all(
    context: RunContext, bench: Bench
) -> None:
    """What takes longer from claim to first byte than was reckoned with is not sent; it is claimed anew."""
    context.profile = context.profile.model_copy(
        update={"idempotency": Idempotency(honoured=True, ttl=3_600.0)}
    )
    first, _ = await _claimed(context)
    await context.ledger.answer(first.attempt_id, CUT)
    claim, body = await _claimed(context, key_ttl_s=context.profile.replay_s)
    assert claim.is_replay
    bench.later_s += context.policy.times.begins_s
    assert (await _bought(context, claim, body)).again
    assert bench.wire.heard == []
    assert bench.attempts()[1] == ("withdrawn", "planned", "no", 0)
    claim, body = await _claimed(context, key_ttl_s=context.profile.replay_s)
    assert (await _bought(context, claim, body)).end.status == "success"
    assert claim.idempotency_key == first.idempotency_key


async def test_a_claim_that_slept_and_was_missed_ends_its_run(context: RunContext, bench: Bench) -> None:
    """Another run has taken over meanwhile: nothing is sent, now or later, and that run's row is free."""
    other = bench.open()
    claimed = await _claimed(context)
    bench.uptime_s += 61.0
    await other.start_run(_run("other"))
    assert bench.attempts() == [("unknown", "unknown", "maybe", 100_000)]
    assert (await _bought(context, *claimed)).again
    end = await make(SPEC, context, (None, None))
    assert (end.status, end.error_type, bench.wire.heard) == ("planned", "lease_lost", [])
    assert bench.attempts() == [("withdrawn", "planned", "no", 0)]


async def test_another_price_changes_no_post_that_has_left(context: RunContext, bench: Bench) -> None:
    """A run at thirty cents that hears of a purchase at ten settles ten, which is what was reserved."""
    claim, _ = await _claimed(context)
    context.price = Price.parse("0.30")
    choices = (Choice(choice_idx=0, text="meow"),)
    outcome = Outcome(status="succeeded", billed="yes", choices=choices)
    end = await conclude(SPEC, context, claim.attempt_id, outcome)
    assert (end.status, (await context.ledger.spend()).used_musd) == ("success", 100_000)


async def test_a_note_that_cannot_be_kept_costs_no_stream(context: RunContext, bench: Bench) -> None:
    """The disk fails while a paid stream runs: it is read to its end and settled, and no more is sent."""
    claimed = await _claimed(context)
    bench.sql(_FAIL_ON_FIRST_EVENT)
    bought = await _bought(context, *claimed)
    assert bought.end.status == "success"
    assert bench.attempts() == [("settled", "success", "yes", 0)]
    assert context.stopped is not None
    assert context.stopped.reason == "trouble"


_FAIL_ON_FIRST_EVENT = """
CREATE TRIGGER failing BEFORE UPDATE OF first_event_at ON attempts
BEGIN SELECT RAISE(ABORT, 'disk I/O error'); END
"""


async def test_a_job_whose_name_cannot_be_kept_is_asked_for_all_the_same(
    context: RunContext, bench: Bench
) -> None:
    """A stream ended with a job's id and the disk fails: its end is heard, and told if it can be then."""
    bench.wire.answer = ANSWER[: ANSWER.index(b"data:")] + b'data: {"task_id":"job-1","status":"queued"}\n\n'
    bench.wire.asked_later = b"HTTP/1.1 404 Not Found\r\nConnection: close\r\n\r\n"
    context.door = Door(own_origins=[origin_of(str(context.profile.base_url))])
    claimed = await _claimed(context)
    bench.sql(_FAIL_ON_TASK_ID)
    bought = await _bought(context, *claimed)
    assert [asked[:4] for asked in bench.wire.heard][:2] == [b"POST", b"GET "]
    assert bought.end.status == "unknown"
    assert bench.attempts() == [("unknown", "unknown", "maybe", 100_000)]
    assert bench.sql("SELECT gateway_task_id, transcript IS NULL FROM attempts") == [("job-1", 0)]
    assert context.stopped is not None


_FAIL_ON_TASK_ID = """
CREATE TRIGGER failing BEFORE UPDATE OF gateway_task_id ON attempts WHEN NEW.kind IS NULL
BEGIN SELECT RAISE(ABORT, 'disk I/O error'); END
"""


_FAIL_ON_OUTCOME = """
CREATE TRIGGER failing BEFORE UPDATE OF completed_at ON attempts
BEGIN SELECT RAISE(ABORT, 'disk I/O error'); END
"""


async def test_an_answer_that_the_ledger_cannot_take_is_written_down_when_it_can(
    context: RunContext, bench: Bench
) -> None:
    """The disk fails at the end of a paid stream, for a while: nothing more is bought and nothing is lost."""
    notes: list[str] = []
    context.on_note = notes.append
    claimed = await _claimed(context)
    bench.sql(_FAIL_ON_OUTCOME)
    buying = asyncio.create_task(_bought(context, *claimed))
    while context.stopped is None:
        await asyncio.sleep(0.01)
    assert bench.attempts() == [("intent", "in_progress", None, 100_000)]
    bench.sql("DROP TRIGGER failing")
    assert (await buying).end.status == "success"
    assert bench.attempts() == [("settled", "success", "yes", 0)]
    assert context.stopped.reason == "trouble"
    assert notes[1:] == ["answers that come are held, and written down when the ledger can take them"]


async def test_an_error_that_never_could_be_written_down_proves_nothing(
    context: RunContext, bench: Bench
) -> None:
    """Of a body that OUT keeps alone nobody knows the HTTP status: only a result in it is believed."""
    context.policy = replace(context.policy, insist_s=0.0)
    body = b'{"error":{"message":"blocked by our policy","code":"content_policy_violation"}}'
    bench.wire.answer = (
        b"HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n" + body
    )
    bench.sql(_FAIL_ON_OUTCOME)
    await make(SPEC, context, (None, None))
    bench.sql("DROP TRIGGER failing")
    await context.ledger.cut("run")
    (attempt,) = await context.ledger.unfinished("out", "gateway")
    assert context.store.has_transcript(attempt.attempt_id)
    assert (await reread(SPEC, context, attempt)).status == "unknown"
    assert bench.attempts() == [("unknown", "unknown", "maybe", 100_000)]


@pytest.mark.parametrize("on_unknown", ["hold", "resubmit"])
async def test_an_answer_that_never_could_be_written_down_is_read_from_out(
    context: RunContext, bench: Bench, on_unknown: Literal["hold", "resubmit"]
) -> None:
    """The ledger stays away: what came is in OUT, and is taken from there before anything is sent again."""
    context.policy = replace(context.policy, insist_s=0.0)
    bench.sql(_FAIL_ON_OUTCOME)
    end = await make(SPEC, context, (None, None))
    assert (end.status, end.error_type) == ("planned", "trouble")
    bench.sql("DROP TRIGGER failing")
    await context.ledger.cut("run")
    (standing,) = (await context.ledger.standings("gateway", ["f"], "out")).values()
    assert (standing.status, standing.next_step) == ("unknown", "hold")
    policy = replace(context.policy, on_unknown=on_unknown)
    again = replace(context, stopped=None, standings={"f": standing}, policy=policy, _limiters={})
    if on_unknown == "hold":
        assert (await make(SPEC, again, (None, None))).status == "unknown"
        (attempt,) = await again.ledger.unfinished("out", "gateway")
        end = await reread(SPEC, again, attempt)
    else:
        end = await make(SPEC, again, (None, None))
    assert (end.status, len(bench.wire.heard)) == ("success", 1)
    assert bench.attempts() == [("settled", "success", "yes", 0)]
