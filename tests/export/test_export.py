"""The same bytes every time, whole or not there at all, and one clear error for what cannot be."""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from reelsweep.prompts.errors import OutError, ReelsweepError, SettingsError, TroubleError
from reelsweep.tasks.export.place import LocalPlace
from reelsweep.tasks.export.places import open_place
from reelsweep.tasks.export.recipe import parse_splits
from reelsweep.tasks.export.source import read_source
from reelsweep.tasks.export.write import write_export
from reelsweep.tasks.verify.verify import verify

FORMATS = ("videofolder", "webdataset")
HALVES = parse_splits("train=0.5,test=0.5")
Tree = Callable[[Path], dict[str, bytes]]


@pytest.fixture
def boats(out: Any) -> Any:
    """Forty clips of twenty prompts, a refusal, and a rejected clip."""
    for number in range(40):
        out.add(prompt_id=f"p{number // 2}", prompt=f"A boat, take {number // 2}", meta_shelf="A")
    out.add(status="refused", refused_at="input", error_type="content_policy", billed="maybe")
    return out.write()


@pytest.mark.parametrize("form", FORMATS)
def test_the_same_command_gives_the_same_bytes(
    form: str, boats: Any, export: Any, tree: Tree, tmp_path: Path
) -> None:
    """Two folders and a memory store: equal to the last byte, times and owners and paths aside."""
    recipe = {"format": form, "splits": HALVES, "shard_bytes": 5_000}
    first = export.to(tmp_path / "a", boats, **recipe)
    os.utime(boats.clip(0))
    second = export.to(tmp_path / "deep" / "b", boats, **recipe)
    assert tree(tmp_path / "a") == tree(tmp_path / "deep" / "b")
    url = f"memory://same/{form}"
    remote = export.to(url, boats, **recipe)
    files = fsspec.filesystem("memory")
    found = {path.partition(f"{form}/")[2]: files.cat_file(path) for path in files.find(f"/same/{form}")}
    assert found == tree(tmp_path / "a")
    assert first.sha256 == second.sha256 == remote.sha256
    assert first.samples == {"train": 22, "test": 18}
    assert verify(url).is_clean


class Cut(LocalPlace):
    """A disk that fails in the middle of the n-th file."""

    def __init__(self, root: Path, files: int) -> None:
        super().__init__(root)
        self.left = files

    def put(self, name: str, write: Callable[[BinaryIO], None]) -> None:
        self.left -= 1

        def cut(target: BinaryIO) -> None:
            write(target)
            if self.left <= 0:
                raise OSError(28, "No space left on device")

        super().put(name, cut)


@pytest.mark.parametrize("form", FORMATS)
def test_an_export_that_failed_goes_on_and_ends_the_same(
    form: str, boats: Any, export: Any, tree: Tree, tmp_path: Path
) -> None:
    """Wherever the disk fills up, the next call writes what is missing, and every byte is as if at once."""
    recipe = {"format": form, "splits": HALVES, "shard_bytes": 5_000}
    export.to(tmp_path / "whole", boats, **recipe)
    whole = tree(tmp_path / "whole")
    plan = export.plan(boats, **recipe)
    for files in (1, len(whole) // 2, len(whole)):
        dest = tmp_path / f"cut-{files}"
        with pytest.raises(TroubleError, match="No space left"):
            write_export(plan, Cut(dest, files), lambda _what, _number: lambda _done: None)
        part = tree(dest) if dest.exists() else {}
        assert all(part[name] == whole[name] for name in part if name != ".reelsweep/complete.json")
        assert ".reelsweep/complete.json" not in part
        assert not any(name.endswith(".part") for name in part)
        again = export.to(dest, boats, **recipe)
        assert tree(dest) == whole
        assert again.shards_written <= again.shards


def test_a_whole_export_is_left_as_it_is(boats: Any, export: Any, tmp_path: Path) -> None:
    """The second call finds everything there: no file is written again."""
    export.to(tmp_path / "a", boats)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "a").rglob("*.mp4")}
    again = export.to(tmp_path / "a", boats)
    assert again.shards_written == 0
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "a").rglob("*.mp4")} == before


def test_a_shard_that_lost_a_file_is_written_again(
    boats: Any, export: Any, tree: Tree, tmp_path: Path
) -> None:
    """A marker whose files are gone is not believed."""
    export.to(tmp_path / "a", boats, shard_bytes=5_000)
    whole = tree(tmp_path / "a")
    next((tmp_path / "a" / "train").rglob("*.mp4")).unlink()
    assert export.to(tmp_path / "a", boats, shard_bytes=5_000).shards_written == 1
    assert tree(tmp_path / "a") == whole


def test_shards_hold_every_clip_once_and_no_more_than_their_size(
    boats: Any, export: Any, tmp_path: Path
) -> None:
    """Sizes are kept, clips are the original bytes, and a split's shards together are the split."""
    export.to(tmp_path / "a", boats, splits=HALVES, shard_bytes=5_000)
    clips = list((tmp_path / "a").rglob("*.mp4"))
    assert sorted(path.read_bytes() for path in clips) == sorted(
        boats.clip(number).read_bytes() for number in range(40)
    )
    for folder in {path.parent for path in clips}:
        assert sum(path.stat().st_size for path in folder.glob("*.mp4")) <= 5_000
        table = pq.read_table(folder / "metadata.parquet")
        assert sorted(table["file_name"].to_pylist()) == sorted(path.name for path in folder.glob("*.mp4"))
        assert table["file_name"].to_pylist() == sorted(table["file_name"].to_pylist())


def test_tar_headers_say_nothing_of_the_machine(boats: Any, export: Any, tmp_path: Path) -> None:
    """Time 0, owner 0, no names; a document and a clip by turns, keys in order."""
    export.to(tmp_path / "a", boats, format="webdataset", columns=("seed", "meta_shelf"))
    with tarfile.open(tmp_path / "a" / "train-000000.tar") as tar:
        members = tar.getmembers()
        assert {(m.mtime, m.uid, m.gid, m.uname, m.gname, m.mode) for m in members} == {
            (0, 0, 0, "", "", 0o644)
        }
        names = [member.name for member in members]
        file = tar.extractfile(names[0])
        assert file is not None
        assert json.loads(file.read()).keys() == {"key", "seed", "meta_shelf"}
    assert names == sorted(names)
    assert [name.partition(".")[2] for name in names] == ["json", "mp4"] * 40


def test_a_filter_moves_nothing_between_splits(boats: Any, export: Any) -> None:
    """Groups are made over the whole manifest: what is left stands where it stood."""
    whole = {sample.key: sample.split for sample in export.plan(boats, splits=HALVES).samples}
    part = export.plan(boats, splits=HALVES, filter="seed % 2 = 0").samples
    assert len(part) == 20
    assert {sample.key: sample.split for sample in part}.items() <= whole.items()


def test_what_was_bought_once_is_exported_once(out: Any, export: Any) -> None:
    """Rows that share a request share a clip; what `reproduce` has repeated is no data of that gateway."""
    first = out.add()
    out.add(
        **{name: first[name] for name in ("request_fingerprint", "file_name", "sha256", "size_bytes")},
        shared=True,
    )
    again = out.add(in_plan=False)
    asked = {name: again[name] for name in ("gateway", "request_fingerprint")}
    elsewhere = out.add(in_plan=False, **{**asked, "gateway": "https://other.example.com/v1"})
    out.write()
    repeated = {"gateway": asked["gateway"], "again_request_fingerprint": asked["request_fingerprint"]}
    pq.write_table(pa.Table.from_pylist([repeated]), out.path / "reproduction.parquet")
    plan = export.plan(out)
    assert sorted(sample.sha256 for sample in plan.samples) == sorted([first["sha256"], elsewhere["sha256"]])
    assert (plan.num_shared, plan.num_repeated) == (1, 1)
    assert again["sha256"] != first["sha256"]


def test_rejected_clips_go_only_when_asked_for(out: Any, export: Any) -> None:
    """Content checks decide, unless --include-rejected; then the reasons go along."""
    out.add()
    out.add(accepted=False, reject_reason="black")
    out.write()
    assert len(export.plan(out).samples) == 1
    plan = export.plan(out, include_rejected=True)
    assert len(plan.samples) == 2
    assert {"accepted", "reject_reason"} <= set(plan.columns)
    assert not {"accepted", "reject_reason"} & set(export.plan(out).columns)


Bad = Callable[[Any], dict[str, Any]]


def missing(out: Any) -> dict[str, Any]:
    out.clip(3).unlink()
    return {}


def changed(out: Any) -> dict[str, Any]:
    clip = out.clip(3)
    clip.write_bytes(clip.read_bytes()[:-1] + b"X")
    return {}


def linked(out: Any) -> dict[str, Any]:
    clip = out.clip(3)
    clip.rename(clip.with_suffix(".real"))
    clip.symlink_to(clip.with_suffix(".real"))
    return {}


WRONG: dict[str, tuple[Bad, type[ReelsweepError], str]] = {
    "a missing clip": (missing, OutError, "is missing; nothing was written.*leave them out with --filter"),
    "a changed clip": (changed, OutError, "has changed; nothing was written"),
    "a link in place of a clip": (linked, OutError, "is missing; nothing was written"),
    "a wrong filter": (lambda _out: {"filter": "sed < 3"}, SettingsError, "Did you mean seed"),
    "a filter that leaves nothing": (lambda _out: {"filter": "seed < 0"}, OutError, "leaves none"),
    "an unknown column": (lambda _out: {"columns": ("promt",)}, SettingsError, "Did you mean prompt"),
    "a column for a video": (lambda _out: {"columns": ("file_name",)}, SettingsError, "the export's own"),
    "an unknown group": (lambda _out: {"group_by": ("scene",)}, SettingsError, "no column 'scene'"),
}


@pytest.mark.parametrize("case", WRONG)
@pytest.mark.parametrize("form", FORMATS)
def test_what_cannot_be_exported_leaves_no_trace(
    case: str, form: str, boats: Any, export: Any, tmp_path: Path
) -> None:
    """One line that says what is wrong, with a remedy, and the destination is not even made."""
    spoil, kind, words = WRONG[case]
    recipe = {"format": form, **spoil(boats)}
    with pytest.raises(kind, match=words) as refused:
        export.to(tmp_path / "a", boats, **recipe)
    assert "\n" not in str(refused.value)
    assert refused.value.remedy
    assert not (tmp_path / "a").exists()


def test_a_folder_with_something_else_is_refused(boats: Any, export: Any, tree: Tree, tmp_path: Path) -> None:
    """Somebody's files, another export, the OUT itself, a file: nothing in them is touched."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    export.to(tmp_path / "other", boats, filter="seed < 10")
    before = tree(tmp_path)
    cases = {
        "mine": "not empty: it has 'thesis.txt'",
        "other": "holds another export .*--filter seed < 10; 10 samples",
        "out/sub": "lie in each other",
        ".": "lie in each other",
        "mine/thesis.txt": "is a file",
    }
    for name, words in cases.items():
        with pytest.raises(ReelsweepError, match=words):
            export.to(tmp_path / name, boats)
    assert tree(tmp_path) == before


def test_a_folder_without_clips_says_so(out: Any, export: Any, tmp_path: Path) -> None:
    """No manifest, texts only, failures only: three different sentences."""
    with pytest.raises(OutError, match=r"has no manifest\.parquet"):
        export.plan(out)
    out.add(status="failed")
    with pytest.raises(OutError, match=r"None of the 1 rows .* has a clip"):
        export.plan(out.write())
    out.add(output="text", text="A boat.")
    with pytest.raises(OutError, match="holds texts"):
        export.plan(out.write())


@pytest.mark.parametrize("name", ["../secret.mp4", "/etc/passwd.mp4", "videos/../../x.mp4", "a b.mp4"])
def test_a_manifest_that_names_other_files_is_refused(name: str, out: Any, export: Any) -> None:
    """A manifest from elsewhere cannot make an export read outside its folder."""
    out.add(file_name=name, sha256="0" * 64, size_bytes=1)
    with pytest.raises(OutError, match="names a clip"):
        export.plan(out.write())


def test_a_clip_that_changes_while_it_is_copied_is_not_handed_over(
    boats: Any, export: Any, tmp_path: Path
) -> None:
    """The bytes are hashed again on their way; the shard has no marker and the clip no name."""
    plan = export.plan(boats)

    def spoil(what: str, _number: int) -> Callable[[int], None]:
        if what == "copying":
            changed(boats)
        return lambda _done: None

    with pytest.raises(TroubleError, match="has changed since it was checked"):
        write_export(plan, open_place(tmp_path / "a"), spoil)
    assert not list((tmp_path / "a" / ".reelsweep").glob("shards/*"))
    assert boats.rows[3]["sha256"] not in {
        hashlib.sha256(path.read_bytes()).hexdigest() for path in (tmp_path / "a").rglob("*.mp4")
    }


def test_two_exports_at_once_do_not_mix(boats: Any, export: Any, tmp_path: Path) -> None:
    """The folder belongs to one export at a time on this machine."""
    with LocalPlace(tmp_path / "a").claimed(), pytest.raises(OutError, match="Another export is writing"):
        export.to(tmp_path / "a", boats)


def test_the_figure_is_a_picture(boats: Any, export: Any, tmp_path: Path) -> None:
    """A PNG that opens, without a time or a program's version in it."""
    from PIL import Image

    export.to(tmp_path / "a", boats)
    with Image.open(io.BytesIO((tmp_path / "a" / "figures" / "overview.png").read_bytes())) as image:
        assert (image.format, image.size) == ("PNG", (1200, 744))
        assert set(image.info) == {"dpi"}


def test_what_is_said_of_the_run_is_of_the_rows_file(boats: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that replaces the manifest while it is read does not mix two states of it."""
    opened: list[str] = []
    plain = LocalPlace.open

    def counted(place: LocalPlace, name: str) -> BinaryIO:
        opened.append(name)
        return plain(place, name)

    monkeypatch.setattr(LocalPlace, "open", counted)
    source = read_source(LocalPlace(boats.path))
    assert opened.count("manifest.parquet") == 1
    assert source.facts["table_sha256"] == "a" * 64
