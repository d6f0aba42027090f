"""What `show` says of a row can be acted on."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

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
