"""A gateway and its key by the name of a block; what the parameters of a deployment may choose."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import pandas as pd
import pytest
from prefect.client.orchestration import get_client
from prefect.flow_engine import run_flow_async
from pydantic import SecretStr, ValidationError
from reelsweep.flows.bulk import bulk
from reelsweep.flows.credentials import GatewayCredentials
from reelsweep.flows.reproduce import reproduce
from reelsweep.flows.server import ServerInUse
from reelsweep.flows.trust import read_namings
from reelsweep.prompts.errors import SettingsError, UsageError
from reelsweep.tasks.sandbox.server import SandboxServer

KEY = "sk-Block7Wq2Zr9Lk4"
ONE = pd.DataFrame({"prompt": ["a fox by block"]})

Save = Callable[..., Awaitable[str]]


@pytest.fixture
def save(prefect: ServerInUse, request: pytest.FixtureRequest) -> Save:
    """Saves a block under the test's name; what comes back is a value for `gateway`."""

    async def save(**fields: Any) -> str:
        name = "".join(char for char in request.node.name.replace("_", "-") if char.isalnum() or char == "-")
        await GatewayCredentials(**fields).save(name, overwrite=True)
        return f"gateway-credentials/{name}"

    return save


def files_with(text: str, *folders: Path) -> list[Path]:
    """Files that hold a text."""
    files = (path for folder in folders for path in folder.rglob("*") if path.is_file())
    return [path for path in files if text.encode() in path.read_bytes()]


async def test_a_block_gives_gateway_and_key(
    make: Callable[..., Any], own_gateway: Any, respond: Callable[..., bytes], save: Save
) -> None:
    """Its key goes to its gateway as a bearer token, and the run is like any other."""
    own_gateway.answer = lambda _asked: respond(b'{"error": {"code": "invalid_api_key"}}', status=401)
    summary = await make(ONE, gateway=await save(base_url=own_gateway.base_url, api_key=KEY))
    assert own_gateway.posts[0].headers["authorization"] == f"Bearer {KEY}"
    assert summary.exit_code == 3


async def test_a_block_may_name_a_variable_of_the_worker(
    make: Callable[..., Any], own_gateway: Any, save: Save, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then the key is not on the server at all; the block's name beats a profile's."""
    monkeypatch.setenv("NIGHT_KEY", KEY)
    await make(ONE, gateway=await save(base_url=own_gateway.base_url, api_key_env="NIGHT_KEY"))
    assert own_gateway.posts[0].headers["authorization"] == f"Bearer {KEY}"


async def test_a_block_may_name_a_profile(
    make: Callable[..., Any], own_gateway: Any, save: Save, write_profile: Callable[..., str]
) -> None:
    """What is particular about the gateway comes from the profile, the key from the block."""
    profile = write_profile(base_url=own_gateway.base_url, auth="raw", extra_body={"watermark": False})
    await make(ONE, gateway=await save(profile=profile, api_key=KEY))
    (asked,) = own_gateway.posts
    assert asked.headers["authorization"] == KEY
    assert asked.json["watermark"] is False


async def test_the_key_of_a_block_is_in_no_file(
    make: Callable[..., Any], sandbox: SandboxServer, save: Save, prefect: ServerInUse, tmp_path: Path
) -> None:
    """Neither in OUT nor, in clear, in Prefect's database, its journal or its results."""
    slug = await save(base_url=sandbox.base_url, api_key=SecretStr(KEY))
    summary = await make(pd.DataFrame({"prompt": ["a fox", "[[fault=401]]"]}), gateway=slug, canary=0)
    assert (summary.counts["success"], summary.exit_code, KEY in str(summary)) == (1, 3, False)
    assert files_with(slug.partition("/")[2], prefect.home)
    assert files_with(KEY, tmp_path, prefect.home) == []


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"base_url": "https://gateway.example/v1", "profile": "mine"},
        {"base_url": "https://gateway.example/v1", "api_key_env": "NAME"},
    ],
)
def test_a_block_that_says_too_much_or_too_little_is_refused(fields: dict[str, str]) -> None:
    """One gateway and one key; the complaint does not repeat what was given."""
    with pytest.raises(ValidationError, match="expected a") as caught:
        GatewayCredentials(api_key=KEY, **fields)
    assert KEY not in str(caught.value)


async def test_a_block_without_a_key_borrows_none(
    make: Callable[..., Any], save: Save, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker's own key is for the gateway it was set for: nothing is sent, and the remedy says how."""
    monkeypatch.setenv("REELSWEEP_API_KEY", KEY)
    with pytest.raises(UsageError, match=r"No key goes to https://gateway\.example") as caught:
        await make(ONE, gateway=await save(base_url="https://gateway.example/v1"))
    assert "block with a key" in caught.value.remedy


async def test_a_block_that_is_not_there_is_a_usage_error(make: Callable[..., Any]) -> None:
    """It says which block, and how to make one."""
    with pytest.raises(SettingsError, match="no block gateway-credentials/absent") as caught:
        await make(ONE, gateway="gateway-credentials/absent")
    assert "README" in caught.value.remedy


async def deployed(flow: Any = bulk, **parameters: Any) -> Any:
    """A run that was asked for through a deployment, here in this process."""
    async with get_client() as client:
        flow_id = await client.create_flow(flow)
        deployment_id: UUID = await client.create_deployment(flow_id, "asked")
        asked = await client.create_flow_run_from_deployment(deployment_id, parameters=parameters)
    return await run_flow_async(flow, flow_run=asked, parameters=parameters, return_type="result")


@pytest.mark.parametrize(
    ("parameters", "complaint"),
    [
        ({"gateway": "https://elsewhere.example/v1"}, "No key goes to https://elsewhere.example"),
        ({"gateway": "PROFILE", "api_key_env": "AWS_SECRET_ACCESS_KEY"}, "name no key"),
        ({"gateway": "PROFILE"}, "No key goes to https://mine.example"),
    ],
)
async def test_parameters_of_a_deployment_send_no_key_where_they_like(
    prefect: ServerInUse,
    own_gateway: Any,
    write_profile: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    parameters: dict[str, str],
    complaint: str,
) -> None:
    """Who may ask for a run chooses among profiles and blocks; a variable and where it goes are no choice."""
    monkeypatch.setenv("REELSWEEP_API_KEY", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", KEY)
    monkeypatch.setenv("REELSWEEP_PROFILES", str(tmp_path))
    profile = write_profile(base_url="https://mine.example/v1")
    parameters = {name: profile if value == "PROFILE" else value for name, value in parameters.items()}
    with pytest.raises(UsageError, match=complaint):
        await deployed(table="example:", out=str(tmp_path / "out"), **parameters)
    assert own_gateway.asked == []


async def test_a_profile_on_the_worker_binds_its_key_to_its_gateway(
    prefect: ServerInUse,
    own_gateway: Any,
    respond: Callable[..., bytes],
    write_profile: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """Through a deployment too: the profile's variable, sent to the profile's address."""
    monkeypatch.setenv("MINE", KEY)
    monkeypatch.setenv("REELSWEEP_PROFILES", str(tmp_path))
    own_gateway.answer = lambda _asked: respond(json.dumps({"error": "no"}).encode(), status=401)
    profile = write_profile(base_url=own_gateway.base_url, api_key_env="MINE")
    with pytest.raises(Exception, match="stopped"):
        await deployed(table="example:", out=str(tmp_path / "out"), gateway=profile)
    assert own_gateway.posts[0].headers["authorization"] == f"Bearer {KEY}"


async def test_a_profile_beside_a_table_is_no_profile_of_the_worker(
    prefect: ServerInUse,
    own_gateway: Any,
    write_profile: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """Who may put tables on a worker and ask for runs cannot send the worker's variables to themselves."""
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", KEY)
    monkeypatch.setenv("REELSWEEP_PROFILES", str(tmp_path / "profiles"))
    profile = Path(write_profile(base_url=own_gateway.base_url, api_key_env="AWS_SECRET_ACCESS_KEY"))
    (tmp_path / "profiles").mkdir()
    for gateway in (str(profile), f"{tmp_path}/profiles/../{profile.name}"):
        with pytest.raises(UsageError, match="is not in the worker's folder of profiles"):
            await deployed(table="example:", out=str(tmp_path / "out"), gateway=gateway, max_posts=1)
    assert own_gateway.asked == []


async def test_a_deployment_names_its_gateway_itself(
    make: Callable[..., Any],
    own_gateway: Any,
    respond: Callable[..., bytes],
    write_profile: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """What its parameters name is not the worker's user's word, and that user's word does not name for it."""
    home, out = tmp_path / "home", str(tmp_path / "out")
    for name, text in {"MINE": KEY, "REELSWEEP_PROFILES": tmp_path, "REELSWEEP_HOME": home}.items():
        monkeypatch.setenv(name, str(text))
    own_gateway.answer = lambda _asked: respond(json.dumps({"error": "no"}).encode(), status=401)
    profile = write_profile(base_url=own_gateway.base_url, api_key_env="MINE")
    with pytest.raises(Exception, match="stopped"):
        await deployed(table="example:", out=out, gateway=profile)
    assert read_namings(home) == ()
    await make("example:", out=out, gateway=profile)
    assert [one.gateway for one in read_namings(home)] == [own_gateway.origin]
    own_gateway.asked.clear()
    with pytest.raises(UsageError, match="this deployment names none") as caught:
        await deployed(reproduce, out=out, sample="1")
    assert "profile" in caught.value.remedy
    assert own_gateway.asked == []
