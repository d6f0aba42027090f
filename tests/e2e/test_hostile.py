"""Addresses and files that mean harm: each ends in its status, and nothing leaves that should not."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from reelsweep.prompts.errors import UsageError

KEY = "sk-test-0123456789abcdef0123456789"


def _video(url: str) -> bytes:
    chunk = {"choices": [{"index": 0, "delta": {"content": f"[video]({url})"}, "finish_reason": "stop"}]}
    return b"data: " + json.dumps(chunk).encode() + b"\n\ndata: [DONE]\n\n"


@pytest.mark.parametrize(
    "url",
    [
        "http://private.example.com/clip.mp4",
        "https://private.example.com:8443/clip.mp4",
        "http://[::ffff:10.0.0.7]/clip.mp4",
        "http://0x7f000001:9/clip.mp4",
        "http://localhost:9/clip.mp4",
        "http://169.254.169.254/clip.mp4",
    ],
)
async def test_an_address_that_is_not_public_is_not_reached(
    url: str,
    make: Callable[..., Any],
    own_gateway: Any,
    respond: Callable[..., bytes],
    loopback_only: list[str],
) -> None:
    """Named in the stream or in a redirect: no connection is made, the row says why, the run goes on."""

    def answer(asked: Any) -> bytes:
        if asked.method == "POST":
            return respond(_video(url if asked.prompt == "named" else f"{own_gateway.origin}/moved.mp4"))
        return respond(b"", status=302, Location=url)

    own_gateway.answer = answer
    table = pd.DataFrame({"prompt": ["named", "redirected"]})
    summary = await make(table, gateway=own_gateway.base_url, canary=0, download_timeout=2)
    frame = summary.frame()
    assert summary.counts == {"failed_to_download": 2}
    assert set(frame["error_type"]) <= {"download_blocked", "download_network"}
    assert "10.0.0.7" not in loopback_only
    assert "169.254.169.254" not in loopback_only
    assert own_gateway.gets == ["/moved.mp4"]


@pytest.mark.parametrize(
    "image",
    ["/etc/passwd", "../secret.png", "file:///etc/passwd", "http://private.example.com/a.png", "passwd.png"],
)
async def test_an_image_is_read_from_the_tables_folder_only(
    image: str,
    make: Callable[..., Any],
    own_gateway: Any,
    write_table: Callable[..., Path],
    tmp_path: Path,
    loopback_only: list[str],
) -> None:
    """Absolute paths, ways up, links out and private addresses are table errors; nothing is sent or kept."""
    (tmp_path / "passwd.png").symlink_to("/etc/passwd")
    table = write_table([{"prompt": "a kite", "image": image}])
    with pytest.raises(UsageError, match="image"):
        await make(table, gateway=own_gateway.base_url)
    assert own_gateway.asked == []
    assert not _kept(tmp_path / "out")


def _kept(out: Path) -> list[Path]:
    return [path for path in out.rglob("*") if path.is_file() and b"root:" in path.read_bytes()]


@pytest.fixture
async def elsewhere(own_gateway: Any) -> AsyncIterator[Any]:
    """A second server on another port: not the gateway's origin."""
    other = type(own_gateway)()
    server = await asyncio.start_server(other.converse, "127.0.0.1", 0)
    other.port = server.sockets[0].getsockname()[1]
    yield other
    server.close()
    await server.wait_closed()


@pytest.mark.parametrize("way", ["named", "redirected"])
async def test_the_key_goes_to_the_gateway_only(
    way: str,
    make: Callable[..., Any],
    own_gateway: Any,
    elsewhere: Any,
    respond: Callable[..., bytes],
    clip: bytes,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A clip on another origin is fetched without the key, also behind a redirect of the gateway's own."""
    monkeypatch.setenv("KEY_OF_THE_TEST", KEY)
    url = f"{elsewhere.origin}/clip.mp4"
    named = url if way == "named" else f"{own_gateway.origin}/moved.mp4"

    def answer(asked: Any) -> bytes:
        return respond(_video(named)) if asked.method == "POST" else respond(b"", status=302, Location=url)

    own_gateway.answer = answer
    elsewhere.answer = lambda _asked: respond(clip, content_type="video/mp4")
    summary = await make(
        pd.DataFrame({"prompt": ["a kite"]}),
        gateway=own_gateway.base_url,
        api_key_env="KEY_OF_THE_TEST",
        allow_host=[f"127.0.0.1:{elsewhere.port}"],
    )
    assert summary.counts == {"success": 1}
    assert [asked.headers.get("authorization") for asked in own_gateway.asked][:1] == [f"Bearer {KEY}"]
    assert [asked.headers.get("authorization") for asked in elsewhere.asked] == [None]


async def test_another_port_of_the_gateways_host_is_not_the_gateway(
    make: Callable[..., Any], own_gateway: Any, elsewhere: Any, respond: Callable[..., bytes]
) -> None:
    """Loopback is exempt for the gateway's own port alone."""
    own_gateway.answer = lambda _asked: respond(_video(f"{elsewhere.origin}/clip.mp4"))
    summary = await make(pd.DataFrame({"prompt": ["a kite"]}), gateway=own_gateway.base_url)
    assert summary.counts == {"failed_to_download": 1}
    assert elsewhere.asked == []
