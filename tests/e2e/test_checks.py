"""Content checks from the table to the manifest: what is spoilt is kept, paid for, and not accepted."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
from reelsweep.flows.out.places import find_out
from reelsweep.flows.recovery.rebuild import rebuild
from reelsweep.tasks.manifest.read import read_facts
from reelsweep.tasks.sandbox.server import SandboxServer

SPOILT = {
    "": None,
    "clip_black": "black",
    "clip_frozen": "frozen",
    "clip_silent": "silent",
    "clip_size": "size",
    "clip_short": "duration",
    "clip_fps": "fps",
}
TABLE = pd.DataFrame(
    {
        "prompt": [f"a kite [[fault={fault}]]" if fault else "a kite" for fault in SPOILT],
        "size": "320x180",
        "seconds": "2",
        "body.fps": "16",
        "body.audio": "true",
        "seed": "1",
    }
)
TWINS = pd.DataFrame({"prompt": ["a boat [[fault=clip_twin]]"], "seed": ["1,2"], "body.fps": ["16"]})


def failed_checks(frame: pd.DataFrame) -> list[set[str]]:
    """The checks that each row has failed."""
    columns = [name for name in frame if name.startswith("check_")]
    return [{name.removeprefix("check_") for name in columns if row[name] is False} for row in
            frame[columns].astype(object).to_dict("records")]  # fmt: skip


async def test_every_check_finds_what_it_is_for(make: Callable[..., Any]) -> None:
    """Each spoilt clip fails its check and says why; status stays success, for it is whole and paid for."""
    summary = await make(pd.concat([TABLE, TWINS]), canary=0)
    frame = summary.frame()
    found = [next(iter(failed - {"frozen"}), "frozen" if failed else None) for failed in failed_checks(frame)]
    assert found == [*SPOILT.values(), None, "near_duplicate"]
    assert frame["accepted"].tolist() == [reason is None for reason in found]
    assert [text if pd.isna(text) else text.split(":")[0] for text in frame["reject_reason"]][1:7] == found[
        1:7
    ]
    assert set(frame["status"]) == {"success"}
    assert (summary.accepted, sum(summary.rejected.values()), summary.exit_code) == (2, 7, 0)
    told = pd.read_parquet(Path(summary.out) / "metadata.parquet")
    assert told["accepted"].tolist() == frame["accepted"].tolist()


async def test_checks_are_switched_later_without_decoding_or_buying_again(
    make: Callable[..., Any], sandbox: SandboxServer
) -> None:
    """The measures are kept in the ledger and in the manifest: another list judges the same clips anew."""
    table = TABLE[TABLE["prompt"].str.contains("black|short")]
    strict = await make(table)
    for clip in (Path(strict.out) / "videos").rglob("*.mp4"):
        clip.write_bytes(b"nobody looks at it")
    lenient = await make(table, checks="duration=3600,-black,-frozen")
    assert (strict.accepted, lenient.accepted, lenient.posts) == (0, 2, 0)
    assert read_facts(Path(strict.out))["checks"].startswith("none,duration=3600")
    assert lenient.frame()["black_share"].tolist() == [1.0, 0.0]


async def test_a_rebuilt_ledger_knows_the_measures(make: Callable[..., Any]) -> None:
    """What was measured comes back from the manifest, and the verdict with it."""
    table = TABLE[TABLE["prompt"].str.contains("black|silent")]
    first = await make(table)
    (Path(first.out) / "ledger.db").unlink()
    await asyncio.to_thread(rebuild, find_out(first.out))
    again = await make(table)
    columns = ["black_share", "frozen_share", "audio_peak_dbfs", "accepted", "reject_reason"]
    assert again.posts == 0
    pd.testing.assert_frame_equal(again.frame()[columns], first.frame()[columns])
