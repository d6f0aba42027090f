"""What was exported loads with the libraries it is for, frame for frame."""

from __future__ import annotations

import gc
import io
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import av
import pytest
from reelsweep.tasks.artifacts.frames import FrameHash
from reelsweep.tasks.export.recipe import parse_splits
from reelsweep.tasks.sandbox.render import render_clip

pytestmark = pytest.mark.xdist_group("datasets")
"""One process loads the libraries, which takes longer than the tests."""
LAST = 11
"""The only clip on a shelf; its key is none of the first."""


def frames_sha256(clip: bytes) -> str:
    """The hash over the pictures of a clip, decoded here and now."""
    frames = FrameHash()
    with av.open(io.BytesIO(clip)) as container:
        for frame in container.decode(video=0):
            frames.add(frame)
    return frames.hexdigest()


@pytest.fixture
def films(out: Any) -> Any:
    """Twelve real clips of six prompts."""
    for number in range(12):
        clip = render_clip("sora-2", f"A boat, take {number // 2}", number, "64x48", 0.5)
        shelf = {"meta_shelf": "top"} if number == LAST else {}
        out.add(
            clip,
            prompt_id=f"p{number // 2}",
            prompt=f"Ein Boot, „{number // 2}“",
            frames_sha256=frames_sha256(clip),
            **shelf,
        )
    return out.write()


def check(films: Any, loaded: Iterable[tuple[dict[str, Any], bytes]]) -> None:
    """Every clip once, its pictures and its facts those of the manifest."""
    rows = {row["frames_sha256"]: row for row in films.rows}
    seen: set[str] = set()
    for facts, clip in loaded:
        row = rows[frames_sha256(clip)]
        assert {name: facts[name] for name in ("prompt", "seed", "sha256", "frames_sha256")} == {
            name: row[name] for name in ("prompt", "seed", "sha256", "frames_sha256")
        }
        seen.add(facts["key"])
    assert len(seen) == len(rows) == 12


@pytest.mark.parametrize("by_name", [False, True])
def test_datasets_loads_a_videofolder(by_name: bool, films: Any, export: Any, tmp_path: Path) -> None:
    """By `load_dataset("videofolder", data_dir=...)`, and by the folder alone through the card's header."""
    import datasets

    datasets.disable_progress_bars()
    made = export.to(tmp_path / "films", films, splits=parse_splits("train=0.5,test=0.5"), shard_bytes=30_000)
    where = (
        {"path": str(tmp_path / "films")}
        if by_name
        else {"path": "videofolder", "data_dir": str(tmp_path / "films")}
    )
    loaded = datasets.load_dataset(**where, cache_dir=str(tmp_path / "cache"))
    loaded = loaded.cast_column("video", datasets.Video(decode=False))
    assert {name: len(split) for name, split in loaded.items()} == made.samples
    rows = [row for split in loaded.values() for row in split]
    check(films, ((row, Path(row["video"]["path"]).read_bytes()) for row in rows))
    train = {row["prompt"] for row in loaded["train"]}
    assert not train & {row["prompt"] for row in loaded["test"]}


def test_datasets_reads_the_tars_too(films: Any, export: Any, tmp_path: Path) -> None:
    """Also where the first samples have no value for what later ones have: the header says the types."""
    import datasets

    datasets.disable_progress_bars()
    export.to(tmp_path / "films", films, format="webdataset", shard_bytes=1_000)
    loaded = datasets.load_dataset(str(tmp_path / "films"), cache_dir=str(tmp_path / "cache"), split="train")
    rows = loaded.cast_column("mp4", datasets.Video(decode=False))
    check(films, ((row["json"], row["mp4"]["bytes"]) for row in rows))
    assert [row["json"]["meta_shelf"] for row in rows if row["json"]["meta_shelf"]] == ["top"]


@pytest.mark.filterwarnings(
    "ignore:Exception ignored in. <_io.FileIO:pytest.PytestUnraisableExceptionWarning"
)
def test_webdataset_reads_the_tars(films: Any, export: Any, tmp_path: Path) -> None:
    """Shards in order, a clip and its facts under one key."""
    import webdataset

    export.to(tmp_path / "films", films, format="webdataset", shard_bytes=30_000)
    tars = [str(path) for path in sorted((tmp_path / "films").glob("train-*.tar"))]
    assert len(tars) > 1
    samples = list(webdataset.WebDataset(tars, shardshuffle=False))
    assert all(sample["__key__"] == json.loads(sample["json"])["key"] for sample in samples)
    check(films, ((json.loads(sample["json"]), sample["mp4"]) for sample in samples))
    gc.collect()  # webdataset leaves the tars open; that is borne with here only
