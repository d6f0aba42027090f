"""What `show` says of a row can be acted on."""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from PIL import Image
from reelsweep.flows.commands.show import show
from reelsweep.tasks.manifest.read import read_manifest


def test_the_command_it_gives_makes_exactly_this_clip_again(
    reelsweep: Callable[..., Any], tmp_path: Path
) -> None:
    """The row of a larger table, made again alone: the same question, the same pictures."""
    table = tmp_path / "kites.csv"
    table.write_text('prompt,seed,size,body.style\n"it\'s a kite",7,320x180,warm\na boat,8,320x180,cold\n')
    assert reelsweep("run", str(table), "--out", "made").code == 0
    kite = read_manifest(tmp_path / "made").iloc[0]
    shown = reelsweep("show", "made", kite["request_fingerprint"], "--json").json["rows"][0]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    subprocess.run(
        ["bash", "-c", shown["again"]],
        cwd=tmp_path,
        env={**os.environ, "PATH": path},
        check=True,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=200,
    )
    again = read_manifest(tmp_path / "made-again")
    assert len(again) == 1
    for name in ("request_fingerprint", "sha256", "frames_sha256"):
        assert again.iloc[0][name] == kite[name]


async def test_images_and_followed_turns_come_along(
    make: Callable[..., Any], write_table: Callable[..., Path], tmp_path: Path
) -> None:
    """The table it writes stands beside the kept images and holds the followed rows too: one question."""
    image = tmp_path / "start.png"
    Image.new("RGB", (8, 8), "red").save(image)
    rows = [
        {"prompt_id": "a", "prompt": "a kite", "image": "start.png", "seed": 3, "system": "be brief"},
        {"prompt_id": "b", "prompt": "now blue", "image": ["start.png"], "follows": "a"},
    ]
    made = await make(write_table(rows))
    line = next(row for _, row in made.frame().iterrows() if row["prompt_id"] == "b")
    told = StringIO()
    with redirect_stdout(told):
        await asyncio.to_thread(show, made.out, "b", json=True)
    words = shlex.split(json.loads(told.getvalue())["rows"][0]["again"])
    table = Path(words[words.index(">") + 1])
    table.write_text("".join(f"{row}\n" for row in words[2 : words.index(">")]))
    again = await make(table, out=str(tmp_path / "again"))
    assert again.counts == {"success": 2}
    assert line["request_fingerprint"] in set(again.frame()["request_fingerprint"])


async def test_what_kept_a_clip_from_being_stored_is_shown_without_its_signature(
    make: Callable[..., Any],
    own_gateway: Any,
    respond: Callable[..., bytes],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """A row that is to be downloaded says why, and gives nobody the address that still works."""

    def answer(asked: Any) -> bytes:
        if asked.method != "POST":
            return respond(b"", status=403)
        url = f"{own_gateway.origin}/clip.mp4?X-Amz-Signature=hunter2hunter2"
        event = {"id": "c", "choices": [{"index": 0, "delta": {"content": url}, "finish_reason": "stop"}]}
        return respond(f"data: {json.dumps(event)}\n\ndata: [DONE]\n\n".encode())

    own_gateway.answer = answer
    monkeypatch.setenv("REELSWEEP_API_KEY", "a-key-of-this-test")
    made = await make(pd.DataFrame({"prompt_id": ["a"], "prompt": ["a kite"]}), gateway=own_gateway.base_url)
    assert made.counts == {"failed_to_download": 1}
    for as_json in (False, True):
        told = StringIO()
        with redirect_stdout(told):
            await asyncio.to_thread(show, str(tmp_path / "out"), "a", json=as_json)
        assert "403" in told.getvalue()
        assert "hunter2" not in told.getvalue()
    assert "clip.mp4" in told.getvalue()
