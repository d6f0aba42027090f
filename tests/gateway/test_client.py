"""How long a POST may take to leave, over real sockets."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from contextlib import closing

import httpx
from hypothesis import given
from hypothesis import strategies as st
from reelsweep.tasks.gateway.client import BodyReader, Exchange, Request, generation_client, post
from reelsweep.tasks.gateway.outcome import Outcome
from reelsweep.tasks.gateway.profiles import Idempotency, Profile
from reelsweep.tasks.gateway.times import Times

QUICK = Times(connect_s=5, write_s=0.2, idle_s=5, stream_s=5)


async def _post(
    url: str, body: bytes, times: Times, exchange: Exchange, client: httpx.AsyncClient
) -> Outcome:
    def no_reader(_: httpx.Response) -> BodyReader:
        raise AssertionError("no answer comes")

    async def ignore(_: BodyReader) -> None:
        return

    request = Request(url=url, headers={}, body=body)
    return await post(client, request, exchange, no_reader, ignore, may_leave=lambda: True, times=times)


@given(times=st.builds(Times, connect_s=st.floats(0.1, 60), write_s=st.floats(0.1, 600)))
def test_a_post_has_left_after_connection_tls_and_writing(times: Times) -> None:
    """Each may take its whole time-out, one after the other."""
    assert times.leaves_s == times.connect_s + times.connect_s + times.write_s


def test_a_replay_arrives_before_its_key_is_forgotten() -> None:
    """Claimed at the last moment and as slow as the client allows, a POST arrives within the key's time."""
    profile = Profile(
        name="p", base_url="https://x.example/v1", idempotency=Idempotency(honoured=True, ttl=3600)
    )
    assert profile.replay_s == 3600 - Times().leaves_s


async def test_a_request_that_nobody_reads_is_cut() -> None:
    """A gateway that accepts and reads nothing: given up after the time of a write, and maybe billed."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        exchange = Exchange()
        async with generation_client(QUICK) as client:
            url = f"http://127.0.0.1:{server.getsockname()[1]}/v1"
            outcome = await _post(url, b"x" * 30_000_000, QUICK, exchange, client)
    assert exchange.sent
    assert outcome.status == "incomplete"


class _Slow(httpx.AsyncBaseTransport):
    """Says as httpcore does how far a request has got; no single write of it is too slow."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        trace: Callable[[str, object], Awaitable[None]] = request.extensions["trace"]
        await trace("http11.send_request_headers.started", {})
        for _ in range(10):
            await asyncio.sleep(QUICK.write_s / 2)
        await trace("http11.send_request_body.complete", {})
        raise httpx.ReadError("the answer does not matter")


async def test_all_writes_together_take_no_longer_than_one_may() -> None:
    """Bytes that trickle away one by one end at the same moment as bytes that do not leave at all."""
    started = asyncio.get_running_loop().time()
    async with httpx.AsyncClient(transport=_Slow()) as client:
        outcome = await _post("http://127.0.0.1/v1", b"x", QUICK, Exchange(), client)
    assert asyncio.get_running_loop().time() - started < 4 * QUICK.write_s
    assert outcome.status == "incomplete"


class _Patient(httpx.AsyncBaseTransport):
    """Sends at once, and is answered late."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        trace: Callable[[str, object], Awaitable[None]] = request.extensions["trace"]
        await trace("http11.send_request_headers.started", {})
        await trace("http11.send_request_body.complete", {})
        await asyncio.sleep(3 * QUICK.write_s)
        raise httpx.ReadTimeout("silence")


async def test_waiting_for_an_answer_is_no_writing() -> None:
    """What has left waits for its answer as long as silence is borne."""
    async with httpx.AsyncClient(transport=_Patient()) as client:
        outcome = await _post("http://127.0.0.1/v1", b"x", QUICK, Exchange(), client)
    assert outcome.error_type == "silence"
