"""The bill: one durable line per accepted POST, whole at any time."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reelsweep.prompts.errors import SettingsError
from reelsweep.tasks.sandbox.bill import Bill, BillLine, parse_bill, read_bill
from reelsweep.tasks.sandbox.script import Script
from reelsweep.tasks.sandbox.server import SandboxServer

Sandbox = Callable[..., Any]
ENDS = st.sampled_from(["completed", "refused", "failed"])


def line(idx: int, **fields: Any) -> BillLine:
    return BillLine(
        **{
            "accepted_at": "2026-01-01T00:00:00.000000+00:00",
            "request_id": f"req_{idx}",
            "completion_id": "c",
            "idempotency_key": None,
            "model": "sora-2",
            "seed": idx,
            "n": 1,
            "body_sha256": "b",
            "request_sha256": "r",
            "price_musd": 100_000,
            **fields,
        }
    )


@settings(deadline=None)
@given(st.lists(st.tuples(st.text(), ENDS | st.none(), st.booleans()), max_size=8))
def test_lines_are_read_as_written(told: list[tuple[str, Any, bool]]) -> None:
    """Whatever the model's name and however a job ended, the bill reads back, one line per job."""

    async def write() -> bytes:
        bill = Bill()
        for idx, (model, ended, billed) in enumerate(told):
            place = await bill.accept(line(idx, model=model))
            if ended is not None:
                bill.end(place, ended, billed)
        text = bill.read()
        bill.close()
        return text

    lines = parse_bill(asyncio.run(write()).split(b"\n"))
    expected = [
        line(idx, model=model) if ended is None else line(idx, model=model, ended=ended, billed=billed)
        for idx, (model, ended, billed) in enumerate(told)
    ]
    assert list(lines) == expected


async def test_a_line_is_in_the_file_when_it_is_accepted(tmp_path: Path) -> None:
    """When `accept` returns, another reader sees the line; many at once share the disk's time."""
    bill = Bill(tmp_path / "bill.jsonl")
    await asyncio.gather(*(bill.accept(line(idx)) for idx in range(100)))
    assert [entry.seed for entry in read_bill(tmp_path / "bill.jsonl")] == list(range(100))
    bill.close()


async def test_every_line_is_synced_before_it_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No call returns before an fdatasync that began after its line was written."""
    synced = list[int]()
    real = os.fdatasync

    def sync(fd: int) -> None:
        size = os.fstat(fd).st_size
        real(fd)
        synced.append(size)

    monkeypatch.setattr(os, "fdatasync", sync)
    bill = Bill(tmp_path / "bill.jsonl")

    async def accept(idx: int) -> bool:
        place = await bill.accept(line(idx))
        return synced[-1] > place

    assert all(await asyncio.gather(*(accept(idx) for idx in range(200))))
    assert len(synced) < 200
    bill.close()


async def test_a_bill_goes_on_where_it_was(tmp_path: Path) -> None:
    """A sandbox that starts again appends; a line torn by a power failure is cut off."""
    path = tmp_path / "bill.jsonl"
    for idx in range(2):
        bill = Bill(path)
        await bill.accept(line(idx))
        bill.close()
        with path.open("ab") as file:
            file.write(b'{"accepted_at": "20')
    assert [entry.seed for entry in parse_bill(path.read_bytes().splitlines())] == [0, 1]


async def test_two_sandboxes_do_not_share_a_bill(tmp_path: Path) -> None:
    """The second one is told to take another file."""
    bill = Bill(tmp_path / "bill.jsonl")
    with pytest.raises(SettingsError, match="another sandbox"):
        Bill(tmp_path / "bill.jsonl")
    bill.close()


def test_the_bill_survives_a_kill(tmp_path: Path) -> None:
    """After SIGKILL in mid-stream the file names the accepted POST, open and billed."""
    path = tmp_path / "bill.jsonl"
    with SandboxServer(Script(duration_s=60), bill=path) as server:
        import http.client

        connection = http.client.HTTPConnection(server.base_url.split("/")[2], timeout=60)
        body = json.dumps({"model": "sora-2", "stream": True, "messages": [{"role": "user", "content": "x"}]})
        connection.request("POST", "/v1/chat/completions", body, {"Idempotency-Key": "k1"})
        connection.getresponse().read(1)
        server.stop()
        connection.close()
    (only,) = read_bill(path)
    assert (only.idempotency_key, only.ended, only.billed) == ("k1", "open", True)


@pytest.mark.parametrize(
    ("fault", "settings", "billed"),
    [
        ("refused_input", {}, False),
        ("refused_input", {"bill_refusals": True}, True),
        ("heavy_load", {}, False),
        ("heavy_load", {"bill_failures": True}, True),
    ],
)
def test_what_has_no_result_is_billed_as_the_script_says(
    sandbox: Sandbox, fault: str, settings: dict[str, bool], billed: bool
) -> None:
    """Refusals and failures are free unless the script says otherwise."""
    caller = sandbox(**settings)
    caller.post(f"[[fault={fault}]]")
    caller.post("a later one: when it has ended, so has the first")
    assert caller.server.bill()[-2].billed == billed


def test_a_price_is_per_choice_and_text_is_free(sandbox: Sandbox) -> None:
    """`n` videos cost `n` prices."""
    caller = sandbox(price_musd=70_000)
    caller.post(n=3)
    caller.post(model="sandbox-text", n=3)
    assert [entry.price_musd for entry in caller.server.bill()[-2:]] == [210_000, 0]


def test_the_bill_says_what_was_bought(sandbox: Sandbox) -> None:
    """Key, model, seed and the hash of the very bytes are on the line."""
    caller = sandbox()
    heard = caller.post(key="key-1", seed=9)
    last = caller.server.bill()[-1]
    assert (last.idempotency_key, last.model, last.seed) == ("key-1", "sora-2", 9)
    assert (last.request_id, last.completion_id) == (heard.headers["x-request-id"], heard.events[0]["id"])
