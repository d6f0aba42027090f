"""An OUT that came from somebody else: it names a gateway, and alone sends it nothing."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from reelsweep.flows.commands.doctor import doctor
from reelsweep.flows.commands.export import export
from reelsweep.flows.commands.flags import RunFlags
from reelsweep.flows.commands.gallery import gallery
from reelsweep.flows.commands.plan import plan
from reelsweep.flows.commands.reconcile import reconcile
from reelsweep.flows.commands.reproduce import reproduce as reproduce_command
from reelsweep.flows.commands.show import show
from reelsweep.flows.commands.status import status
from reelsweep.flows.commands.verify import verify
from reelsweep.flows.reproduce import reproduce
from reelsweep.flows.trust import NAME
from reelsweep.prompts.errors import OutError, SettingsError
from reelsweep.tasks.manifest.outfile import read_out, write_out

KEY = "sk-Kq7Vx9wZt3Lp"
OTHER_KEY = "sk-Bm4Nc8dRs6Qy"
TASK = "task_0123456789abcdef"
TABLE = pd.DataFrame({"prompt_id": ["whole", "cut"], "prompt": ["a whole kite", "a cut kite"]})


@pytest.fixture
async def theirs(
    make: Callable[..., Any],
    own_gateway: Any,
    respond: Callable[..., bytes],
    clip: bytes,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> Path:
    """An OUT of somebody else's: a clip, and a row to ask about; here is a key, and nothing was named."""

    def answer(asked: Any) -> bytes:
        if asked.method == "GET":
            found = asked.path.startswith("/clip")
            return respond(clip, content_type="video/mp4") if found else respond(b"", status=404)
        is_cut = "cut" in asked.prompt
        text = f"> ID: `{TASK}`\n" if is_cut else f"[watch]({own_gateway.origin}/clip.mp4)"
        event = {
            "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": None if is_cut else "stop"}]
        }
        return respond(f"data: {json.dumps(event)}\n\n{'' if is_cut else 'data: [DONE]'}\n\n".encode())

    own_gateway.answer = answer
    monkeypatch.setenv("REELSWEEP_HOME", str(tmp_path / "theirs"))
    summary = await make(TABLE, gateway=own_gateway.base_url, canary=0)
    assert summary.counts == {"success": 1, "unknown": 1}
    monkeypatch.setenv("REELSWEEP_HOME", str(tmp_path / "mine"))
    monkeypatch.setenv("REELSWEEP_API_KEY", KEY)
    own_gateway.asked.clear()
    own_gateway.num_connections = 0
    return tmp_path / "out"


def write_ledger(out: Path, statement: str, *values: str) -> None:
    """Change a ledger by hand, as whoever made it can."""
    with sqlite3.connect(out / "ledger.db") as database:
        database.execute(statement, values)
    database.close()


async def ask(out: Path, **options: Any) -> int:
    """`reelsweep reconcile OUT`."""
    return await asyncio.to_thread(partial(reconcile, str(out), **options))


def keys(gateway: Any) -> set[str]:
    """What the gateway was sent as keys."""
    return {asked.headers.get("authorization", "no key").removeprefix("Bearer ") for asked in gateway.asked}


async def test_an_out_alone_sends_nothing(theirs: Path, own_gateway: Any) -> None:
    """Neither key nor prompt nor a connection; the line says what OUT names, and how to mean it."""
    names = rf"out names the gateway '{own_gateway.origin}', which you have not named"
    for going_on in (
        ask(theirs),
        asyncio.to_thread(reproduce_command, str(theirs), sample="1", yes=True),
        reproduce(str(theirs), sample="1", max_posts=1),
    ):
        with pytest.raises(SettingsError, match=names) as refused:
            await going_on
        assert refused.value.remedy == f"Nothing was sent. If you mean it: --gateway {own_gateway.base_url}"
    assert own_gateway.num_connections == 0


async def test_the_command_says_so_in_one_line(
    theirs: Path, own_gateway: Any, reelsweep: Callable[..., Any]
) -> None:
    """Exit code 2; and as it says, so it works."""
    ended = await asyncio.to_thread(reelsweep, "reconcile", "out")
    assert (ended.code, ended.err.count("\n"), own_gateway.num_connections) == (2, 1, 0)
    remedy = ended.err.strip().partition("If you mean it: ")[2].split()
    ended = await asyncio.to_thread(reelsweep, "reconcile", "out", *remedy)
    assert ended.code == 1, ended.err
    assert keys(own_gateway) == {KEY}


async def test_commands_that_look_send_nothing(theirs: Path, own_gateway: Any, tmp_path: Path) -> None:
    """To look at what somebody else made is never to ask anybody."""
    for look in (
        partial(status, str(theirs)),
        partial(show, str(theirs), "cut"),
        partial(gallery, str(theirs)),
        partial(verify, str(theirs)),
        partial(export, str(theirs), str(tmp_path / "data")),
        partial(reconcile, str(theirs), rebuild=True, ledger=f"sqlite:///{tmp_path}/anew.db"),
    ):
        await asyncio.to_thread(look)
    assert own_gateway.num_connections == 0


async def test_a_gateway_that_was_named_gets_the_key_and_is_remembered(
    theirs: Path, own_gateway: Any, tmp_path: Path
) -> None:
    """Named once, by any spelling of its address; after that OUT is enough, and a lost record asks again."""
    assert await ask(theirs, gateway=own_gateway.origin) == 1
    assert (own_gateway.gets[0], keys(own_gateway)) == (f"/v1/videos/{TASK}", {KEY})
    own_gateway.asked.clear()
    assert await ask(theirs) == 1
    found = await reproduce(str(theirs), sample="1", max_posts=1)
    assert found.run is not None
    assert (found.run.posts, keys(own_gateway)) == (1, {KEY})
    (tmp_path / "mine" / NAME).write_text("{")
    before = own_gateway.num_connections
    with pytest.raises(SettingsError, match="not named"):
        await ask(theirs)
    assert own_gateway.num_connections == before


async def test_the_variable_of_the_shell_names_a_gateway(
    theirs: Path, own_gateway: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`REELSWEEP_GATEWAY` counts where it is the OUT's; one that is not makes no OUT its own."""
    monkeypatch.setenv("REELSWEEP_GATEWAY", "https://mine.example.com/v1")
    with pytest.raises(SettingsError, match="not named"):
        await ask(theirs)
    assert own_gateway.num_connections == 0
    monkeypatch.setenv("REELSWEEP_GATEWAY", own_gateway.base_url)
    assert await ask(theirs) == 1
    assert keys(own_gateway) == {KEY}


@pytest.mark.parametrize("command", ["plan", "doctor"])
async def test_a_key_goes_where_it_was_named_for(
    theirs: Path, own_gateway: Any, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    """A command has named the gateway and its variable; another key goes there only beside `--gateway`."""
    monkeypatch.setenv("OTHER_KEY", OTHER_KEY)
    named = {"gateway": own_gateway.base_url, "api_key_env": "OTHER_KEY"}
    commands = {
        "plan": partial(plan, "example:", flags=RunFlags(**named)),
        "doctor": partial(doctor, **named),
    }
    await asyncio.to_thread(commands[command])
    assert await ask(theirs) == 1
    assert keys(own_gateway) == {OTHER_KEY}
    before = own_gateway.num_connections
    with pytest.raises(SettingsError, match="named with the key in OTHER_KEY, not in MINE"):
        await ask(theirs, api_key_env="MINE")
    assert own_gateway.num_connections == before


async def test_a_profile_is_remembered_as_a_profile(
    theirs: Path, own_gateway: Any, write_profile: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With how its key is said; one that has become another gateway's is no word for this one."""
    monkeypatch.setenv("OTHER_KEY", OTHER_KEY)
    profile = write_profile(base_url=own_gateway.base_url, auth="raw", api_key_env="OTHER_KEY")
    assert await ask(theirs, gateway=profile) == 1
    own_gateway.asked.clear()
    assert await ask(theirs) == 1
    assert {asked.headers["authorization"] for asked in own_gateway.asked} == {OTHER_KEY}
    write_profile(base_url="https://elsewhere.example.com/v1")
    with pytest.raises(SettingsError, match="is another one now"):
        await ask(theirs)


@pytest.mark.parametrize("gateway", ["profile", "sandbox:PORT", "gateway-credentials/mine", "example", ""])
async def test_a_ledger_names_addresses_only(
    theirs: Path, own_gateway: Any, monkeypatch: pytest.MonkeyPatch, gateway: str
) -> None:
    """A profile in OUT would send any variable anywhere: what a ledger says is compared, never loaded."""
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", OTHER_KEY)
    profile = theirs / "profile.yaml"
    profile.write_text(json.dumps({"base_url": own_gateway.base_url, "api_key_env": "AWS_SECRET_ACCESS_KEY"}))
    named = {"profile": str(profile), "sandbox:PORT": f"sandbox:{own_gateway.port}"}.get(gateway, gateway)
    write_ledger(theirs, "UPDATE runs SET gateway = ?", named)
    for going_on in (ask(theirs), reproduce(str(theirs), sample="1", max_posts=1)):
        with pytest.raises(SettingsError, match="not named on this machine") as refused:
            await going_on
        assert refused.value.remedy == "Nothing was sent. Name the gateway you mean with --gateway."
    assert own_gateway.num_connections == 0


async def test_an_out_that_calls_itself_a_sandboxs_reaches_nobody(theirs: Path, own_gateway: Any) -> None:
    """A sandbox is asked at the port that the user names, whatever address the ledger has."""
    facts = read_out(theirs)
    assert facts is not None
    write_out(theirs, facts.model_copy(update={"gateway_kind": "sandbox"}))
    with pytest.raises(SettingsError, match="made by a sandbox, and none is named"):
        await ask(theirs)
    with pytest.raises(OutError):
        await reproduce(str(theirs), sample="1")
    with pytest.raises(OutError, match="not by http"):
        await ask(theirs, gateway=own_gateway.base_url)
    assert own_gateway.num_connections == 0


async def test_another_gateway_is_not_asked_about_an_out(theirs: Path, own_gateway: Any) -> None:
    """Neither another address nor a sandbox knows its jobs."""
    for named in ("https://elsewhere.example.com/v1", "sandbox:1"):
        with pytest.raises(OutError, match=f"was made by '{own_gateway.origin}', not by"):
            await ask(theirs, gateway=named)
    assert own_gateway.num_connections == 0


async def test_addresses_kept_in_a_ledger_go_through_the_door(theirs: Path, own_gateway: Any) -> None:
    """To trust a gateway is not to trust a ledger: this machine's other ports are not asked."""
    heard: list[Mapping[str, str]] = []
    internal = await asyncio.start_server(
        lambda _reader, writer: (heard.append({}), writer.close()), "127.0.0.1"
    )
    port = internal.sockets[0].getsockname()[1]
    for host in ("127.0.0.1", "localhost", "[::ffff:127.0.0.1]"):
        write_ledger(theirs, "UPDATE attempts SET status_url = ?", f"http://{host}:{port}/latest/meta-data")
        assert await ask(theirs, gateway=own_gateway.base_url) == 1
    internal.close()
    await internal.wait_closed()
    assert (heard, own_gateway.gets) == ([], [f"/v1/videos/{TASK}"] * 3)
