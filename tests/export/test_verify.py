"""`verify` finds whatever is missing, changed or foreign, in an OUT as in an export, and nothing else."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from reelsweep.flows.commands.verify import verify as verify_command
from reelsweep.prompts.errors import OutError
from reelsweep.tasks.export.place import Entry, LocalPlace
from reelsweep.tasks.verify.findings import Report
from reelsweep.tasks.verify.verify import verify


def names(report: Report) -> dict[str, list[str]]:
    """What was found, by kind; kinds without findings are left out."""
    found = {"missing": report.missing, "changed": report.changed, "foreign": report.foreign}
    return {kind: [each.name for each in findings] for kind, findings in found.items() if findings}


@pytest.fixture
def boats(out: Any) -> Any:
    """Six clips, and what a run leaves beside them."""
    for _ in range(6):
        out.add()
    out.add(status="refused")
    for name in (
        "ledger.db",
        "ledger.db-wal",
        ".manifest.lock",
        ".facts.lock",
        ".ledger.db.runs/1.lock",
        "videos/.part/a-0",
    ):
        (out.path / name).parent.mkdir(parents=True, exist_ok=True)
        (out.path / name).write_bytes(b"x")
    return out.write()


def test_an_out_as_a_run_leaves_it_is_clean(boats: Any) -> None:
    """Clips by their hash; the ledger, its locks and parts of downloads belong there."""
    report = verify(boats.path)
    assert report.is_clean
    assert (report.kind, report.checked, report.notes) == ("out", 6, ())


Spoil = Callable[[Any], tuple[str, str]]


def gone(boats: Any) -> tuple[str, str]:
    boats.clip(2).unlink()
    return "missing", boats.rows[2]["file_name"]


def one_bit(boats: Any) -> tuple[str, str]:
    content = bytearray(boats.clip(2).read_bytes())
    content[-1] ^= 1
    boats.clip(2).write_bytes(content)
    return "changed", boats.rows[2]["file_name"]


def shorter(boats: Any) -> tuple[str, str]:
    os.truncate(boats.clip(2), 10)
    return "changed", boats.rows[2]["file_name"]


def stranger(boats: Any) -> tuple[str, str]:
    (boats.path / "videos" / "note\x1b[2J\n.txt").write_text("hello")
    return "foreign", "videos/note\x1b[2J\n.txt"


def unlisted(boats: Any) -> tuple[str, str]:
    return "foreign", boats.store(b"a clip nobody asked for")["file_name"]


def link_away(boats: Any) -> tuple[str, str]:
    boats.clip(2).unlink()
    boats.clip(2).symlink_to("/dev/zero")
    return "missing", boats.rows[2]["file_name"]


def folder_link(boats: Any) -> tuple[str, str]:
    (boats.path / "videos" / "zz").symlink_to(boats.path)
    return "foreign", "videos/zz"


def pipe(boats: Any) -> tuple[str, str]:
    os.mkfifo(boats.path / "videos" / "pipe.mp4")
    return "foreign", "videos/pipe.mp4"


def wrong_image(boats: Any) -> tuple[str, str]:
    (boats.path / "inputs").mkdir()
    (boats.path / "inputs" / f"{'0' * 64}.png").write_bytes(b"another picture")
    return "changed", f"inputs/{'0' * 64}.png"


def no_attempts(boats: Any) -> tuple[str, str]:
    (boats.path / "attempts.parquet").unlink()
    return "missing", "attempts.parquet"


def torn_table(boats: Any) -> tuple[str, str]:
    path = boats.path / "metadata.parquet"
    os.truncate(path, path.stat().st_size - 5)
    return "changed", "metadata.parquet"


def torn_attempts(boats: Any) -> tuple[str, str]:
    path = boats.path / "attempts.parquet"
    path.write_bytes(b"PAR1" + b"\0" * 40 + b"\x10\0\0\0PAR1")
    return "changed", "attempts.parquet"


def other_attempts(boats: Any) -> tuple[str, str]:
    shutil.copy(boats.path / "plan.parquet", boats.path / "attempts.parquet")
    return "changed", "attempts.parquet"


SPOILT = (gone, one_bit, shorter, stranger, unlisted, link_away, folder_link, pipe, wrong_image, no_attempts)


@pytest.mark.parametrize("spoil", [*SPOILT, torn_table, torn_attempts, other_attempts])
def test_one_wrong_file_is_found_and_named(spoil: Spoil, boats: Any) -> None:
    """Missing, changed or foreign, once, and nothing beside it; links and pipes are never followed."""
    kind, name = spoil(boats)
    assert names(verify(boats.path)) == {kind: [name]}


@pytest.mark.parametrize("name", ["../outside.mp4", "/etc/passwd", "reelsweep.json"])
def test_a_manifest_that_names_other_files_is_found_out(name: str, out: Any) -> None:
    """A name that no clip of ours has is not opened, wherever it leads."""
    out.add(file_name=name, sha256="0" * 64, size_bytes=1)
    report = verify(out.write().path)
    assert names(report) == {"changed": [name]}
    assert report.checked == 0


def test_what_a_run_adds_meanwhile_is_no_fault(boats: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that stores a clip and lists it while the folder is walked loses nothing."""
    boats.write(ended=False)
    walk = LocalPlace.entries

    def slow_walk(place: LocalPlace) -> Iterator[Entry]:
        found = list(walk(place))
        boats.add()
        boats.write(ended=False)
        yield from found

    monkeypatch.setattr(LocalPlace, "entries", slow_walk)
    assert verify(boats.path).is_clean


def test_a_run_that_is_going_may_be_ahead_of_its_manifest(boats: Any) -> None:
    """Whole clips that are not listed yet are no fault while no run has ended; damaged ones are."""
    whole = boats.store(b"just arrived")["file_name"]
    boats.write(ended=False)
    report = verify(boats.path)
    assert report.is_clean
    assert [each.name for each in report.pending] == [whole]
    assert "has not ended" in report.notes[0]
    (boats.path / whole).write_bytes(b"torn")
    assert names(verify(boats.path)) == {"changed": [whole]}


@pytest.fixture(scope="module")
def made(new_out: Any, export: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six clips in both formats."""
    folder = tmp_path_factory.mktemp("exports")
    out = new_out(folder / "out")
    for _ in range(6):
        out.add()
    out.write()
    for form in ("videofolder", "webdataset"):
        export.to(folder / form, out, format=form)
    return folder


@pytest.fixture(params=["videofolder", "webdataset"])
def exported(request: pytest.FixtureRequest, made: Path, tmp_path: Path) -> Path:
    """An export of one's own, to spoil."""
    return Path(shutil.copytree(made / request.param, tmp_path / "a"))


def test_an_export_is_held_against_its_own_hashes(exported: Path) -> None:
    """Every clip, table, tar, card and marker: one byte more is found, and so is its absence."""
    assert verify(exported).is_clean
    records = {".reelsweep/export.json", ".reelsweep/complete.json"}
    for path in [path for path in exported.rglob("*") if path.is_file()]:
        name, content = path.relative_to(exported).as_posix(), path.read_bytes()
        if name in records:
            continue
        path.write_bytes(content + b" ")
        assert names(verify(exported)) == {"changed": [name]}
        path.unlink()
        report = verify(exported)
        assert name in names(report)["missing"]
        assert "reelsweep export OUT " in report.notes[0]
        path.write_bytes(content)
    assert verify(exported).is_clean


def test_what_others_leave_in_an_export_is_foreign(exported: Path) -> None:
    """A file of one's own is listed; what git and hubs leave is passed over."""
    (exported / ".gitattributes").write_text("*.mp4 filter=lfs")
    (exported / ".git").mkdir()
    (exported / ".git" / "HEAD").write_text("ref: refs/heads/main")
    assert verify(exported).is_clean
    (exported / "train.txt").write_text("mine")
    assert names(verify(exported)) == {"foreign": ["train.txt"]}


def test_an_unfinished_export_says_so(exported: Path) -> None:
    """Without its last word an export is not whole, and its own card and markers are not called foreign."""
    (exported / ".reelsweep" / "complete.json").unlink()
    report = verify(exported)
    assert names(report) == {"missing": [".reelsweep/complete.json"]}
    assert "not finished" in report.notes[0]


def test_a_record_cannot_lead_out_of_its_folder(exported: Path) -> None:
    """A marker from elsewhere that names other files is refused unread."""
    marker = next((exported / ".reelsweep" / "shards").iterdir())
    record = json.loads(marker.read_text())
    record["files"][0]["name"] = "../../../etc/passwd"
    marker.write_text(json.dumps(record))
    with pytest.raises(OutError, match="is damaged"):
        verify(exported)


def test_a_folder_that_is_neither_is_refused(tmp_path: Path) -> None:
    """One line and a remedy for any other folder, and for none."""
    for path in (tmp_path, tmp_path / "not there"):
        with pytest.raises(OutError, match="neither an output folder"):
            verify(path)


def test_the_command_lists_and_fails(boats: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 0 for a clean folder, 1 with every finding on a line of its own; `--json` is one object."""
    assert verify_command(str(boats.path)) == 0
    assert capsys.readouterr().out.endswith("everything is there, as written, and nothing else\n")
    _, clip = gone(boats)
    stranger(boats)
    assert verify_command(str(boats.path)) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == [f"missing: {clip}", "foreign: videos/note .txt"]
    assert lines[2].endswith("5 files, 1.5 kB checked; 1 missing, 1 foreign")
    assert verify_command(str(boats.path), json=True) == 1
    document = json.loads(capsys.readouterr().out)
    assert (document["clean"], document["missing"]) == (False, [{"name": clip, "reason": ""}])
