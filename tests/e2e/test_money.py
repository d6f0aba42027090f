"""What decides about money when something breaks in the middle: nothing sent twice, nothing left unsaid."""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from reelsweep.flows.options import RunOptions
from reelsweep.flows.planning.preview import preview
from reelsweep.flows.prepare import prepare
from reelsweep.flows.reporting.wording import list_remedies
from reelsweep.flows.server import ServerInUse
from reelsweep.prompts.errors import SettingsError, TroubleError
from reelsweep.prompts.pricing import Price
from reelsweep.tasks.sandbox.server import SandboxServer

TEXT = (
    b'data: {"choices":[{"index":0,"delta":{"content":"a kite"},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
)
CUT = b'data: {"choices":[{"index":0,"delta":{"content":"a ki'


def always(response: bytes) -> Callable[[Any], bytes]:
    """The same response to everything."""
    return lambda _asked: response


async def test_a_body_that_does_not_unpack_is_unknown(
    make: Callable[..., Any], own_gateway: Any, respond: Callable[..., bytes]
) -> None:
    """A stream that says gzip and is none was maybe billed: held, exit 1, and not sent again."""
    own_gateway.answer = always(respond(b"no gzip at all", Content_Encoding="gzip"))
    table = pd.DataFrame({"prompt": ["a kite"]})
    summary = await make(table, gateway=own_gateway.base_url, output="text", model="m")
    again = await make(table, gateway=own_gateway.base_url, output="text", model="m")
    assert (summary.counts, summary.exit_code, again.exit_code) == ({"unknown": 1}, 1, 1)
    assert len(own_gateway.posts) == 1


async def test_a_transcript_that_cannot_be_kept_stops_the_run_and_not_the_outcome(
    make: Callable[..., Any], own_gateway: Any, respond: Callable[..., bytes], tmp_path: Path
) -> None:
    """A disk that takes no file ends the run at once with its reason; what was read is in the ledger."""

    def answer(_asked: Any) -> bytes:
        folder = tmp_path / "out" / "transcripts"
        shutil.rmtree(folder, ignore_errors=True)
        folder.touch()
        return respond(CUT)

    own_gateway.answer = answer
    table = pd.DataFrame({"prompt": [f"kite {number}" for number in range(6)]})
    options = {"gateway": own_gateway.base_url, "output": "text", "model": "m", "canary": 0, "concurrency": 1}
    summary = await make(table, **options)
    assert summary.counts == {"planned": 5, "unknown": 1}
    assert (summary.exit_code, len(own_gateway.posts)) == (1, 1)
    assert "transcripts" in summary.stopped


async def test_a_ledger_that_breaks_ends_the_buying(
    make: Callable[..., Any], own_gateway: Any, respond: Callable[..., bytes], tmp_path: Path
) -> None:
    """Without a ledger nothing more is sent than what was on its way, and the run says why it ended."""

    def answer(_asked: Any) -> bytes:
        with sqlite3.connect(tmp_path / "out" / "ledger.db") as database:
            database.executescript("DROP TABLE IF EXISTS results; DROP TABLE IF EXISTS attempts;")
        return respond(TEXT)

    own_gateway.answer = answer
    table = pd.DataFrame({"prompt": [f"kite {number}" for number in range(30)]})
    with pytest.raises(TroubleError, match="no such table"):
        await make(table, gateway=own_gateway.base_url, output="text", model="m", canary=0, concurrency=2)
    assert len(own_gateway.posts) <= 2


async def test_an_image_lost_in_mid_run_leaves_its_row_planned_and_exit_1(
    make: Callable[..., Any], own_gateway: Any, respond: Callable[..., bytes], tmp_path: Path
) -> None:
    """A row whose kept image is gone is not sent, the run ends saying so, and the next run sends it."""

    def answer(_asked: Any) -> bytes:
        shutil.rmtree(tmp_path / "out" / "inputs", ignore_errors=True)
        return respond(TEXT)

    own_gateway.answer = answer
    table = tmp_path / "table.csv"
    table.write_text("prompt,image\n" + "".join(f"kite {n},{n}.png\n" for n in range(3)))
    for number in range(3):
        (tmp_path / f"{number}.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100 + number))
    summary = await make(table, gateway=own_gateway.base_url, output="text", model="m", concurrency=1)
    assert summary.counts["planned"] >= 1
    assert summary.exit_code == 1
    assert "inputs" in summary.stopped
    own_gateway.answer = always(respond(TEXT))
    again = await make(table, gateway=own_gateway.base_url, output="text", model="m", concurrency=1)
    assert (again.counts, again.exit_code, len(own_gateway.posts)) == ({"success": 3}, 0, 3)


async def test_resubmit_ends_where_purchases_are_used_up(
    make: Callable[..., Any], sandbox: SandboxServer
) -> None:
    """A job with a task id that nobody knows is bought at most `max_purchases` times, and the run ends."""
    table = pd.DataFrame({"prompt": ["a kite [[fault=task_404]]"]})
    async with asyncio.timeout(40):
        summary = await make(table, on_unknown="resubmit", stream_timeout="2s")
        again = await make(table, on_unknown="resubmit", stream_timeout="2s")
    assert (summary.counts, summary.exit_code) == ({"unknown": 1}, 1)
    assert (summary.posts, again.posts) == (2, 0)


async def test_a_stopped_model_leaves_the_other_alone(make: Callable[..., Any]) -> None:
    """Where one model is refused to this key, the rows of the other are made; the run ends with exit 3."""
    rows = [("a", "[[fault=403_model]] one"), ("b", "two"), ("a", "[[fault=403_model]] three"), ("b", "four")]
    table = pd.DataFrame(rows, columns=["model", "prompt"])
    summary = await make(table)
    assert summary.counts == {"planned": 2, "success": 2}
    assert (summary.exit_code, summary.posts) == (3, 3)


async def test_a_key_that_cannot_be_one_is_refused_without_being_shown(
    make: Callable[..., Any], own_gateway: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A line break in the key's variable is a settings error that names the variable, never the key."""
    monkeypatch.setenv("MY_KEY", "sk-first\nsk-second")
    with pytest.raises(SettingsError, match="MY_KEY") as refused:
        await make(pd.DataFrame({"prompt": ["x"]}), gateway=own_gateway.base_url, api_key_env="MY_KEY")
    assert "sk-" not in str(refused.value)
    assert own_gateway.posts == []


async def test_every_model_is_reserved_at_its_own_price(
    make: Callable[..., Any], sandbox: SandboxServer, write_profile: Callable[..., str]
) -> None:
    """A budget over models with different prices holds as much as their own prices allow."""
    prices = {name: {"price": price, "date": "2026-01-01"} for name, price in (("a", "0.10"), ("b", "1.00"))}
    profile = write_profile(base_url=sandbox.base_url, prices=prices)
    table = pd.DataFrame({"model": ["a", "b", "b"], "prompt": ["one", "two", "three"]})
    summary = await make(table, gateway=profile, budget="1.15")
    assert summary.counts == {"skipped_budget": 1, "success": 2}
    assert (summary.cost_usd, summary.exit_code) == (1.10, 3)
    with pytest.raises(SettingsError, match="--price"):
        await make(table.assign(model=["a", "b", "c"]), gateway=profile, budget="9")


async def test_a_request_spelt_anew_is_resubmitted_under_a_new_key(
    make: Callable[..., Any], sandbox: SandboxServer, write_profile: Callable[..., str]
) -> None:
    """Where the profile has changed the bytes of a held row, a resubmission is sent under another key."""
    table = pd.DataFrame({"prompt": ["a kite [[fault=cut]]"], "seconds": [1]})
    held = await make(table, gateway=write_profile(base_url=sandbox.base_url))
    profile = write_profile(base_url=sandbox.base_url, seconds={"as": "body", "type": "string"})
    again = await make(table, gateway=profile, on_unknown="resubmit")
    attempts = pd.read_parquet(Path(again.out) / "attempts.parquet")
    assert (held.counts, again.counts, again.posts) == ({"unknown": 1}, {"unknown": 1}, 1)
    assert attempts["idempotency_key"].nunique() == 2


@pytest.mark.parametrize(
    ("name", "value"),
    [("rpm", 0), ("rpm", float("nan")), ("canary", -1), ("limit", -1), ("max_posts", -1),
     ("max_purchases", 0), ("max_attempts", 0), ("drain_s", -1), ("concurrency", 0)],
)  # fmt: skip
def test_a_number_no_run_can_have_is_refused(name: str, value: float) -> None:
    """A rate of nothing would wait for ever: such a number is a settings error that names its option."""
    with pytest.raises(SettingsError, match=f"--{name.replace('_', '-')}"):
        replace(RunOptions(), **{name: value})


async def test_a_resubmission_that_may_buy_is_asked_about_first(
    make: Callable[..., Any], sandbox: SandboxServer, tmp_path: Path
) -> None:
    """A held row with a task id counts as one to make once `--on-unknown resubmit` is given."""
    table = pd.DataFrame({"prompt": ["a kite [[fault=task_404]]"]})
    await make(table, stream_timeout="2s")
    options = RunOptions(out=str(tmp_path / "out"), gateway=sandbox.base_url)
    held = await preview(prepare(table, options))
    resubmitted = await preview(prepare(table, replace(options, on_unknown="resubmit")))
    assert (held.to_make, resubmitted.to_make) == (0, 1)


async def test_what_has_had_all_its_purchases_is_not_planned_again(
    make: Callable[..., Any], own_gateway: Any, respond: Callable[..., bytes], tmp_path: Path
) -> None:
    """It is no row to make and costs nothing; what would make it is said, in the plan and at the end."""
    own_gateway.answer = lambda asked: respond(CUT if b"kite" in asked.body else TEXT)
    ways: dict[str, Any] = {"output": "text", "model": "m", "on_unknown": "resubmit"}
    rows = ["a kite", "a dog", "a new one"]
    summary = await make(
        pd.DataFrame({"prompt": rows[:2]}), gateway=own_gateway.base_url, price="0.10", **ways
    )
    assert (summary.posts, summary.num_used_up, summary.most_purchases) == (3, 1, 2)
    (remedy,) = list_remedies(summary)
    assert "only `--on-unknown resubmit --max-purchases 3` buys again" in remedy
    options = RunOptions(
        out=str(tmp_path / "out"), gateway=own_gateway.base_url, price=Price.parse("0.10"), **ways
    )
    table = pd.DataFrame({"prompt": rows})
    used_up = await preview(prepare(table, replace(options, limit=1)))
    assert (used_up.to_make, used_up.cost_high_usd, used_up.most_posts) == (1, 0.1, 2)
    assert any("--max-purchases 3" in warning for warning in used_up.warnings)
    more = await preview(prepare(table, replace(options, max_purchases=3)))
    assert (more.to_make, more.cost_most_usd) == (2, 0.4)
    assert not any("--max-purchases" in warning for warning in more.warnings)
    again = await make(table, gateway=own_gateway.base_url, price="0.10", limit=1, **ways)
    assert (again.posts, again.counts) == (1, {"success": 2, "unknown": 1})


def test_an_early_ctrl_c_is_one_line_and_one_object(
    prefect: ServerInUse, write_table: Callable[..., Path], tmp_path: Path
) -> None:
    """Ctrl-C between the plan and the first POST: exit 130, one JSON object on stdout, no traceback."""
    table = write_table([{"prompt": f"kite {number}"} for number in range(50)])
    command = [sys.executable, "-m", "reelsweep.flows.cli", "run", str(table), "--json"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=-1, stderr=-1, text=True) as process:
        assert process.stderr is not None
        while "to make" not in (line := process.stderr.readline()):
            assert line
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "Traceback" not in err
    assert isinstance(json.loads(out), dict)


async def test_a_choice_that_failed_leaves_the_others_and_costs_no_post(
    make: Callable[..., Any], own_gateway: Any, respond: Callable[..., bytes], clip: bytes
) -> None:
    """Of two choices the one that came is kept; the other is fetched by the next run, without a POST."""
    addresses = [f"{own_gateway.origin}/{idx}.mp4" for idx in range(2)]
    choices = [
        {"index": idx, "delta": {"content": address}, "finish_reason": "stop"}
        for idx, address in enumerate(addresses)
    ]
    body = f"data: {json.dumps({'choices': choices})}\n\ndata: [DONE]\n\n".encode()
    missing = {"/1.mp4"}

    def answer(asked: Any) -> bytes:
        if asked.method == "POST":
            return respond(body)
        status = 404 if asked.path in missing else 200
        return respond(clip, status=status, content_type="video/mp4", Content_Length=str(len(clip)))

    own_gateway.answer = answer
    table = pd.DataFrame({"prompt": ["a kite"], "n": [2]})
    first = await make(table, gateway=own_gateway.base_url, download_timeout=2)
    before = first.frame()["status"].tolist()
    missing.clear()
    missing.add("/0.mp4")
    second = await make(table, gateway=own_gateway.base_url, download_timeout=2)
    assert before == ["success", "failed_to_download"]
    assert second.frame()["status"].tolist() == ["success", "success"]
    assert (len(own_gateway.posts), first.exit_code, second.exit_code) == (1, 1, 0)


def test_what_ctrl_c_has_cut_off_half_made_says_nothing() -> None:
    """It may come in the middle of making an event loop, which then cannot even say what it is."""
    ended = subprocess.run([sys.executable, "-c", _CUT_OFF], capture_output=True, text=True, check=False)
    assert (ended.returncode, "half" in ended.stderr) == (130, False)
    assert "Interrupted." in ended.stderr


_CUT_OFF = """
import sys
from reelsweep.flows import cli

class Half:
    def __del__(self):
        raise AttributeError("half made")

def app(*_words, **_options):
    half = Half()
    raise KeyboardInterrupt

cli.app = app
sys.exit(cli._run([], as_json=False))
"""
