"""Two thousand clips in both formats, killed in the middle, loaded by the libraries they are for."""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from reelsweep.tasks.verify.verify import verify

CLI = (sys.executable, "-m", "reelsweep.flows.cli")
PROMPTS, SEEDS = 200, 10
SPLITS = ("--splits", "train=0.9,validation=0.05,test=0.05", "--shard-size", "2MB")
KILLS = 4
Facts = dict[str, Any]


@pytest.fixture(scope="module")
def out(prefect: object, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An OUT of 2,000 small clips, made by the sandbox."""
    folder = tmp_path_factory.mktemp("clips")
    rows = [f"p{number},A paper boat number {number},{number % 7}\n" for number in range(PROMPTS)]
    (folder / "boats.csv").write_text("prompt_id,prompt,meta_shelf\n" + "".join(rows))
    small = ("--seeds", f"0-{SEEDS - 1}", "--set", "size=64x48", "--set", "seconds=1")
    subprocess.run([*CLI, "run", "boats.csv", *small, "--json"], cwd=folder, check=True, capture_output=True)
    return folder / "runs" / "sandbox" / "boats"


def hashes(folder: Path) -> dict[str, str]:
    """Every file below a folder and its sha256."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files
    }


def kill_in_the_middle(command: list[str], dest: Path, chance: random.Random) -> bool:
    """Start, wait for one more whole shard, kill; False when it ended first."""
    shards = dest / ".reelsweep" / "shards"
    before = len(list(shards.glob("*.json")))
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while process.poll() is None and len(list(shards.glob("*.json"))) <= before:
        time.sleep(0.002)
    time.sleep(chance.random() / 10)
    process.send_signal(signal.SIGKILL)
    return process.wait() == -signal.SIGKILL


def from_datasets(folder: Path, cache: Path) -> Iterator[tuple[str, Facts, bytes]]:
    """Split, facts and bytes of every sample, as `datasets` reads them."""
    import datasets

    datasets.disable_progress_bars()
    loaded = datasets.load_dataset(str(folder), cache_dir=str(cache))
    for split, rows in loaded.cast_column("video", datasets.Video(decode=False)).items():
        for row in rows:
            yield split, row, Path(row["video"]["path"]).read_bytes()


def from_webdataset(folder: Path, _cache: Path) -> Iterator[tuple[str, Facts, bytes]]:
    """The same, as `webdataset` reads them."""
    import webdataset

    for split in ("train", "validation", "test"):
        tars = [str(path) for path in sorted(folder.glob(f"{split}-*.tar"))]
        for sample in webdataset.WebDataset(tars, shardshuffle=False):
            yield split, json.loads(sample["json"]), sample["mp4"]


@pytest.mark.bench
@pytest.mark.timeout(1200)
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize(("form", "read"), [("videofolder", from_datasets), ("webdataset", from_webdataset)])
def test_two_thousand_clips_survive_kills_and_load(
    form: str, read: Callable[[Path, Path], Any], out: Path, report: Callable[[str], None], tmp_path: Path
) -> None:
    """Killed again and again: at the end every byte as if at once, and every sample once, with its bytes."""
    command = [*CLI, "export", str(out), "", "--format", form, *SPLITS]
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    started = time.monotonic()
    subprocess.run([*command[:5], str(whole), *command[6:]], check=True, capture_output=True)
    whole_s = time.monotonic() - started
    chance = random.Random(form)
    command[5] = str(cut)
    kills = sum(kill_in_the_middle(command, cut, chance) for _ in range(KILLS))
    assert kills == KILLS
    assert not verify(cut).is_clean
    ended = json.loads(subprocess.run([*command, "--json"], check=True, capture_output=True).stdout)
    assert 0 < ended["shards_written"] < ended["shards"]
    assert hashes(cut) == hashes(whole)
    assert verify(cut).is_clean
    splits: dict[str, set[str]] = defaultdict(set)
    keys: set[str] = set()
    for split, facts, clip in read(cut, tmp_path / "cache"):
        assert hashlib.sha256(clip).hexdigest() == facts["sha256"]
        splits[facts["prompt"]].add(split)
        keys.add(facts["key"])
    assert len(keys) == PROMPTS * SEEDS == sum(ended["samples"].values())
    assert all(len(each) == 1 for each in splits.values())
    report(
        f"{form}: {len(keys)} clips in {whole_s:.1f} s; {kills} kills, {ended['shards']} shards, "
        f"{ended['samples']}"
    )


@pytest.mark.bench
def test_ten_thousand_files_are_verified_in_seconds(report: Callable[[str], None], tmp_path: Path) -> None:
    """Hashing keeps up with the disk: what an export of ten thousand small clips takes to check."""
    from reelsweep.tasks.export.place import LocalPlace
    from reelsweep.tasks.verify.findings import Expected
    from reelsweep.tasks.verify.hashing import check_files

    expected: dict[str, Expected] = {}
    for number in range(10_000):
        content = os.urandom(100_000)
        name = f"{number % 100:02d}/{number}.mp4"
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
        expected[name] = Expected(len(content), hashlib.sha256(content).hexdigest())
    place = LocalPlace(tmp_path)
    started, cpu = time.monotonic(), time.process_time()
    entries = {entry.name: entry for entry in place.entries()}
    checked = check_files(place, entries, expected, lambda _what, _number: lambda _done: None)
    elapsed_s, cpu_s = time.monotonic() - started, time.process_time() - cpu
    assert (checked.files, checked.missing, checked.changed) == (10_000, (), ())
    report(f"10,000 files, 1 GB: {elapsed_s:.1f} s, {cpu_s:.1f} s of CPU")
    assert cpu_s < 10
