"""Sixteen parameters from a table to the wire: what a gateway receives, against literals written by hand."""

from __future__ import annotations

import asyncio
import csv
import io
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

KEY = "sk-of-the-parameter-tests"
ANSWER = (
    b'data: {"choices":[{"index":0,"delta":{"content":"ok"},"finish_reason":"stop"}]}\n\n'
    b'data: {"choices":[{"index":1,"delta":{"content":"ok"},"finish_reason":"stop"}]}\n\n'
    b'data: {"choices":[{"index":2,"delta":{"content":"ok"},"finish_reason":"stop"}]}\n\n'
    b"data: [DONE]\n\n"
)


@dataclass
class Recorder:
    """A gateway that writes down every request, byte for byte, and says ok."""

    base_url: str = ""
    requests: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("ascii")
        first, *lines = head.strip().split("\r\n")
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        self.requests.append((first, headers, body))
        writer.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n" + ANSWER
        )
        await writer.drain()
        writer.close()

    def bodies(self) -> list[str]:
        """What was received, as `exact` text, in an order of its own."""
        return sorted(exact(body.decode("utf-8")) for _, _, body in self.requests)


@pytest.fixture
async def recorder() -> AsyncIterator[Recorder]:
    """The recording gateway on a free port."""
    recorder = Recorder()
    server = await asyncio.start_server(recorder.serve, "127.0.0.1", 0)
    recorder.base_url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    yield recorder
    server.close()
    await server.wait_closed()


def exact(text: str) -> str:
    """A JSON object such that equal texts mean equal values of equal types, each field once.

    `1`, `1.0` and `true` differ, so do `"1"` and `1`; the order of fields does not count, the order in
    lists does.
    """

    def fields_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        assert len(dict(pairs)) == len(pairs), f"a field twice: {pairs}"
        return dict(pairs)

    return json.dumps(json.loads(text, object_pairs_hook=fields_once), sort_keys=True)


TOOLS = (
    '[{"type":"function","function":{"name":"look","description":"Looks.",'
    '"parameters":{"type":"object","properties":{"n":{"type":"integer","minimum":1.0}}}}}]'
)
SCHEMA = '{"type":"json_schema","json_schema":{"name":"shot","schema":{"type":"object","z":1,"a":2}}}'

CASES: dict[str, tuple[dict[str, str], str]] = {
    "none": (
        {"prompt": "none", "model": "sora-2"},
        '{"model":"sora-2","messages":[{"role":"user","content":"none"}],"stream":true}',
    ),
    "model": (
        {"prompt": "model", "model": "veo-9"},
        '{"model":"veo-9","messages":[{"role":"user","content":"model"}],"stream":true}',
    ),
    "messages": (
        {
            "model": "sora-2",
            "messages": '[{"role":"system","content":"be  brief\\n"},{"role":"user","content":"a 🦊"}]',
        },
        '{"model":"sora-2","messages":[{"role":"system","content":"be  brief\\n"},'
        '{"role":"user","content":"a 🦊"}],"stream":true}',
    ),
    "temperature": (
        {"prompt": "t", "model": "sora-2", "temperature": "0.7"},
        '{"model":"sora-2","messages":[{"role":"user","content":"t"}],"stream":true,"temperature":0.7}',
    ),
    "temperature 0": (
        {"prompt": "t0", "model": "sora-2", "temperature": "0"},
        '{"model":"sora-2","messages":[{"role":"user","content":"t0"}],"stream":true,"temperature":0}',
    ),
    "top_p": (
        {"prompt": "p", "model": "sora-2", "top_p": "0.25"},
        '{"model":"sora-2","messages":[{"role":"user","content":"p"}],"stream":true,"top_p":0.25}',
    ),
    "n": (
        {"prompt": "n", "model": "sora-2", "n": "3"},
        '{"model":"sora-2","messages":[{"role":"user","content":"n"}],"stream":true,"n":3}',
    ),
    "stream": (
        {"prompt": "s", "model": "sora-2", "stream": "true"},
        '{"model":"sora-2","messages":[{"role":"user","content":"s"}],"stream":true}',
    ),
    "stop as a string": (
        {"prompt": "stop", "model": "sora-2", "stop": "END"},
        '{"model":"sora-2","messages":[{"role":"user","content":"stop"}],"stream":true,"stop":"END"}',
    ),
    "stop as a list": (
        {"prompt": "stops", "model": "sora-2", "stop": '["one", "t\\no"]'},
        '{"model":"sora-2","messages":[{"role":"user","content":"stops"}],"stream":true,"stop":["one","t\\no"]}',
    ),
    "max_tokens": (
        {"prompt": "max", "model": "sora-2", "max_tokens": "4096"},
        '{"model":"sora-2","messages":[{"role":"user","content":"max"}],"stream":true,"max_tokens":4096}',
    ),
    "presence_penalty": (
        {"prompt": "pp", "model": "sora-2", "presence_penalty": "-1.5"},
        '{"model":"sora-2","messages":[{"role":"user","content":"pp"}],"stream":true,"presence_penalty":-1.5}',
    ),
    "frequency_penalty": (
        {"prompt": "fp", "model": "sora-2", "frequency_penalty": "0.5"},
        '{"model":"sora-2","messages":[{"role":"user","content":"fp"}],"stream":true,"frequency_penalty":0.5}',
    ),
    "logit_bias": (
        {"prompt": "bias", "model": "sora-2", "logit_bias": '{"50256": -100, "7": 12}'},
        '{"model":"sora-2","messages":[{"role":"user","content":"bias"}],"stream":true,'
        '"logit_bias":{"50256":-100,"7":12}}',
    ),
    "user": (
        {"prompt": "user", "model": "sora-2", "user": "007"},
        '{"model":"sora-2","messages":[{"role":"user","content":"user"}],"stream":true,"user":"007"}',
    ),
    "response_format": (
        {"prompt": "format", "model": "sora-2", "response_format": SCHEMA},
        '{"model":"sora-2","messages":[{"role":"user","content":"format"}],"stream":true,"response_format":'
        '{"type":"json_schema","json_schema":{"name":"shot","schema":{"type":"object","z":1,"a":2}}}}',
    ),
    "seed 0": (
        {"prompt": "zero", "model": "sora-2", "seed": "0"},
        '{"model":"sora-2","messages":[{"role":"user","content":"zero"}],"stream":true,"seed":0}',
    ),
    "seed 2^63-1": (
        {"prompt": "most", "model": "sora-2", "seed": "9223372036854775807"},
        '{"model":"sora-2","messages":[{"role":"user","content":"most"}],"stream":true,"seed":9223372036854775807}',
    ),
    "tools": (
        {"prompt": "tools", "model": "sora-2", "tools": TOOLS},
        '{"model":"sora-2","messages":[{"role":"user","content":"tools"}],"stream":true,"tools":'
        '[{"type":"function","function":{"name":"look","description":"Looks.",'
        '"parameters":{"type":"object","properties":{"n":{"type":"integer","minimum":1.0}}}}}]}',
    ),
    "tool_choice": (
        {"prompt": "choice", "model": "sora-2", "tools": TOOLS, "tool_choice": "auto"},
        '{"model":"sora-2","messages":[{"role":"user","content":"choice"}],"stream":true,"tools":'
        '[{"type":"function","function":{"name":"look","description":"Looks.",'
        '"parameters":{"type":"object","properties":{"n":{"type":"integer","minimum":1.0}}}}}],'
        '"tool_choice":"auto"}',
    ),
    "all": (
        {
            "model": "sora-2-pro",
            "messages": '[{"role":"user","content":"all, \\"quoted\\",\\r\\nas JSON\\u2028"}]',
            "temperature": "2",
            "top_p": "1",
            "n": "1",
            "stream": "true",
            "stop": '["a","b","c","d"]',
            "max_tokens": "1",
            "presence_penalty": "2",
            "frequency_penalty": "-2",
            "logit_bias": '{"1": 100}',
            "user": "someone@example.com",
            "response_format": '{"type":"json_object"}',
            "seed": "-1",
            "tools": TOOLS,
            "tool_choice": '{"type":"function","function":{"name":"look"}}',
        },
        '{"model":"sora-2-pro",'
        '"messages":[{"role":"user","content":"all, \\"quoted\\",\\r\\nas JSON\\u2028"}],'
        '"temperature":2,"top_p":1,"n":1,"stream":true,"stop":["a","b","c","d"],"max_tokens":1,'
        '"presence_penalty":2,"frequency_penalty":-2,"logit_bias":{"1":100},"user":"someone@example.com",'
        '"response_format":{"type":"json_object"},"seed":-1,"tools":'
        '[{"type":"function","function":{"name":"look","description":"Looks.",'
        '"parameters":{"type":"object","properties":{"n":{"type":"integer","minimum":1.0}}}}}],'
        '"tool_choice":{"type":"function","function":{"name":"look"}}}',
    ),
}  # fmt: skip
"""What a table says (cells as text) and the body that a gateway must receive."""

PARAMETERS = (
    "model", "messages", "temperature", "top_p", "n", "stream", "stop", "max_tokens", "presence_penalty",
    "frequency_penalty", "logit_bias", "user", "response_format", "seed", "tools", "tool_choice",
)  # fmt: skip
COLUMNS = ("prompt", *PARAMETERS)
PARQUET_TYPES = {
    **dict.fromkeys(("temperature", "top_p", "presence_penalty", "frequency_penalty"), (float, pa.float64())),
    **dict.fromkeys(("n", "max_tokens", "seed"), (int, pa.int64())),
    "stream": (lambda cell: cell == "true", pa.bool_()),
}


def write_csv(path: Path) -> Path:
    """All cases as one CSV file; what a case does not ask for is an empty cell."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\r\n")
    rows.writerow(COLUMNS)
    rows.writerows([cells.get(name, "") for name in COLUMNS] for cells, _ in CASES.values())
    path.write_bytes(text.getvalue().encode("utf-8"))
    return path


def write_parquet(path: Path) -> Path:
    """All cases as one Parquet file: numbers as numbers, absent cells as nulls."""
    columns: dict[str, pa.Array] = {}
    for name in COLUMNS:
        typed, kind = PARQUET_TYPES.get(name, (str, pa.string()))
        cells = [cells.get(name) for cells, _ in CASES.values()]
        columns[name] = pa.array([None if cell is None else typed(cell) for cell in cells], kind)
    pq.write_table(pa.table(columns), path)
    return path


def test_every_parameter_has_a_case() -> None:
    """One row has all sixteen, one has none but what every request has, and each has one of its own."""
    for name in PARAMETERS:
        rest = {"prompt", "model", name, "tools" if name == "tool_choice" else name}
        assert any(name in cells and set(cells) <= rest for cells, _ in CASES.values()), name
    assert set(CASES["all"][0]) == set(PARAMETERS) == set(json.loads(CASES["all"][1]))
    assert set(json.loads(CASES["none"][1])) == {"model", "messages", "stream"}


@pytest.mark.parametrize("write", [write_csv, write_parquet])
async def test_a_gateway_receives_what_the_table_says(
    write: Callable[[Path], Path],
    recorder: Recorder,
    make: Callable[..., Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The bodies equal the literals, types included; the key travels as a bearer token, once each row."""
    monkeypatch.setenv("REELSWEEP_API_KEY", KEY)
    table = write(tmp_path / f"table.{write.__name__.removeprefix('write_')}")
    summary = await make(table, gateway=recorder.base_url, output="text", concurrency=4, canary=0)
    assert recorder.bodies() == sorted(exact(body) for _, body in CASES.values())
    assert {first for first, _, _ in recorder.requests} == {"POST /v1/chat/completions HTTP/1.1"}
    assert {headers["authorization"] for _, headers, _ in recorder.requests} == {f"Bearer {KEY}"}
    assert {headers["content-type"] for _, headers, _ in recorder.requests} == {"application/json"}
    assert summary.posts == len(CASES)


async def test_lists_and_objects_of_a_parquet_file_arrive(
    recorder: Recorder, make: Callable[..., Any], tmp_path: Path
) -> None:
    """Nested columns need no JSON: lists, structs and maps are sent as what they are; a null is absent."""
    tool = {"type": "function", "function": {"name": "look"}}
    columns = {
        "model": pa.array(["sora-2", "sora-2"]),
        "messages": pa.array(
            [[{"role": "user", "content": "nested"}], [{"role": "user", "content": "bare"}]]
        ),
        "stop": pa.array([["a", "b"], None]),
        "logit_bias": pa.array([[("7", 12)], None], pa.map_(pa.string(), pa.int64())),
        "seed": pa.array([3.0, None], pa.float64()),
        "tools": pa.array([[tool], None]),
        "tool_choice": pa.array([tool, None]),
    }
    pq.write_table(pa.table(columns), tmp_path / "nested.parquet")
    await make(tmp_path / "nested.parquet", gateway=recorder.base_url, output="text", canary=0)
    nested = (
        '{"model":"sora-2","messages":[{"role":"user","content":"nested"}],"stream":true,"stop":["a","b"],'
        '"logit_bias":{"7":12},"seed":3,"tools":[{"type":"function","function":{"name":"look"}}],'
        '"tool_choice":{"type":"function","function":{"name":"look"}}}'
    )
    bare = '{"model":"sora-2","messages":[{"role":"user","content":"bare"}],"stream":true}'
    assert recorder.bodies() == sorted([exact(nested), exact(bare)])
    assert not any("authorization" in headers for _, headers, _ in recorder.requests)
