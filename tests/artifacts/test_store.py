"""Files of an OUT: whole, named by their hash, or not there."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest
from reelsweep.prompts.errors import TroubleError
from reelsweep.tasks.artifacts.disk import write_whole
from reelsweep.tasks.artifacts.store import Store

CLIP = b"a clip" * 1000
SHA = hashlib.sha256(CLIP).hexdigest()
NAME = f"videos/{SHA[:2]}/{SHA}.mp4"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """An empty OUT that does not exist yet."""
    return Store(tmp_path / "out")


def downloaded(store: Store, content: bytes = CLIP, attempt_id: str = "0192") -> Path:
    """A whole part with its note, as `download` leaves it."""
    part = store.part(attempt_id, 0)
    part.write_bytes(content)
    part.with_name(part.name + ".json").write_text("{}")
    return part


def files_of(store: Store) -> list[str]:
    """All files below OUT."""
    return sorted(path.relative_to(store.out).as_posix() for path in store.out.rglob("*") if path.is_file())


def test_a_part_lies_where_the_design_says(store: Store) -> None:
    """`videos/.part/<attempt>-<choice>`, in a folder that exists."""
    part = store.part("0192abcd", 2)
    assert part == store.out / "videos/.part/0192abcd-2"
    assert part.parent.is_dir()


def test_a_placed_clip_has_the_name_of_its_hash_and_its_part_is_gone(store: Store) -> None:
    """One file remains, under its final name."""
    assert store.place(downloaded(store), SHA, ".mp4") == NAME
    assert files_of(store) == [NAME]
    assert store.find(SHA) == NAME


def test_the_same_clip_twice_is_one_file(store: Store) -> None:
    """Two attempts with equal bytes share a file, which is not written again."""
    store.place(downloaded(store), SHA, ".mp4")
    before = (store.out / NAME).stat()
    assert store.place(downloaded(store, attempt_id="0193"), SHA, ".mp4") == NAME
    assert files_of(store) == [NAME]
    assert (store.out / NAME).stat().st_ino == before.st_ino


def test_a_clip_that_an_earlier_call_has_moved_is_found_in_place(store: Store) -> None:
    """Killed between the rename and the ledger: placing again succeeds without a part."""
    part = downloaded(store)
    store.place(part, SHA, ".mp4")
    assert store.place(part, SHA, ".mp4") == NAME


def test_a_damaged_file_under_the_name_is_replaced(store: Store) -> None:
    """The name promises bytes; a file that broke the promise does not block the right one."""
    (store.out / NAME).parent.mkdir(parents=True)
    (store.out / NAME).write_bytes(CLIP[:-1])
    store.place(downloaded(store), SHA, ".mp4")
    assert (store.out / NAME).read_bytes() == CLIP


def test_nothing_is_placed_without_its_bytes(store: Store) -> None:
    """No part and no file is a trouble, not a name."""
    with pytest.raises(TroubleError):
        store.place(store.part("0192", 0), SHA, ".mp4")
    assert files_of(store) == []


def test_bytes_reach_the_disk_before_the_name_and_the_name_before_the_end(store: Store, monkeypatch) -> None:
    """fsync of the file and of the new folder's parent, rename, fsync of the folder, in this order."""
    part, steps = downloaded(store), []
    fsync, replace = os.fsync, os.replace

    def recorded_fsync(descriptor: int) -> None:
        steps.append(("fsync", os.readlink(f"/proc/self/fd/{descriptor}")))
        fsync(descriptor)

    def recorded_replace(source: Path, target: Path) -> None:
        steps.append(("rename", str(target)))
        replace(source, target)

    monkeypatch.setattr("os.fsync", recorded_fsync)
    monkeypatch.setattr("os.replace", recorded_replace)
    store.place(part, SHA, ".mp4")
    target = store.out / NAME
    assert steps == [
        ("fsync", str(part)),
        ("fsync", str(target.parent.parent)),
        ("rename", str(target)),
        ("fsync", str(target.parent)),
    ]


def test_a_disk_that_fails_leaves_the_part_and_no_name(store: Store) -> None:
    """A file where a folder should be stands for any trouble: one clear error, the part is kept."""
    part = downloaded(store)
    (store.out / "videos" / SHA[:2]).write_text("in the way")
    with pytest.raises(TroubleError, match="cannot store") as trouble:
        store.place(part, SHA, ".mp4")
    assert trouble.value.remedy
    assert part.read_bytes() == CLIP
    assert store.find(SHA) is None


def test_a_failed_fsync_gives_no_name(store: Store, monkeypatch) -> None:
    """What may not be on the disk is not called stored."""

    def broken(descriptor: int) -> None:
        raise OSError(5, "Input/output error")

    part = downloaded(store)
    monkeypatch.setattr("os.fsync", broken)
    with pytest.raises(TroubleError, match="Input/output error"):
        store.place(part, SHA, ".mp4")
    assert store.find(SHA) is None


@pytest.mark.parametrize("attempt_id", ["../x", "a/b", "", ".", "a b", "x" * 65])
def test_only_ids_of_our_own_become_paths(store: Store, attempt_id: str) -> None:
    """Nothing from a table or a gateway can name a file."""
    with pytest.raises(ValueError, match="not fit"):
        store.part(attempt_id, 0)
    with pytest.raises(ValueError, match="not fit"):
        store.write_transcript(attempt_id, b"")


@pytest.mark.parametrize(
    ("sha256", "suffix"), [("../../x", ".mp4"), (SHA.upper(), ".mp4"), (SHA, "/../x"), (SHA, "")]
)
def test_only_hashes_and_plain_suffixes_become_names(store: Store, sha256: str, suffix: str) -> None:
    """The name of a clip is 64 hex digits and a short suffix."""
    with pytest.raises(ValueError, match="not fit"):
        store.place(downloaded(store), sha256, suffix)


def test_the_name_is_known_before_the_clip_has_it(store: Store) -> None:
    """What is recorded before the rename is what the rename gives."""
    assert store.file_name(SHA, ".mp4") == store.place(downloaded(store), SHA, ".mp4")


def test_bytes_that_are_no_clip_are_kept_apart(store: Store) -> None:
    """What was paid for can be looked at, and no data set picks it up."""
    name = store.reject(downloaded(store), SHA)
    assert files_of(store) == [name] == [f"rejected/{SHA}"]
    assert store.find(SHA) is None


def test_sweeping_keeps_what_is_still_wanted(store: Store) -> None:
    """Parts and notes of finished attempts go, those of unfinished ones stay."""
    for attempt_id in ("0001", "0002", "00020"):
        downloaded(store, attempt_id=attempt_id)
    assert store.sweep_parts(keep=[("0002", 0)]) == 4
    assert files_of(store) == ["videos/.part/0002-0", "videos/.part/0002-0.json"]


def test_sweeping_an_out_without_parts_does_nothing(store: Store) -> None:
    """An OUT that has never downloaded is no trouble."""
    assert store.sweep_parts() == 0


def test_a_discarded_part_is_gone_with_its_note(store: Store) -> None:
    """The next download starts from nothing; discarding twice is fine."""
    part = downloaded(store)
    store.discard(part)
    store.discard(part)
    assert files_of(store) == []


def test_an_input_is_kept_once_under_its_hash(store: Store) -> None:
    """The same image from two rows is one file."""
    assert store.put_input(CLIP, ".png") == store.put_input(CLIP, ".png") == SHA
    assert files_of(store) == [f"inputs/{SHA}.png"]
    assert store.input_path(SHA) == store.out / f"inputs/{SHA}.png"
    assert store.input_path("0" * 64) is None


def test_a_transcript_is_replaced_whole(store: Store) -> None:
    """Writing it again leaves the new one and nothing beside it."""
    assert store.write_transcript("0192", b"first") == "0192.sse"
    store.write_transcript("0192", b"second")
    assert (store.out / "transcripts/0192.sse").read_bytes() == b"second"
    assert files_of(store) == ["transcripts/0192.sse"]


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path, monkeypatch) -> None:
    """Old content or new content, never half of it, and no leftovers."""

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    path = tmp_path / "file"
    write_whole(path, b"old")
    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(TroubleError, match="No space left") as trouble:
        write_whole(path, b"new")
    assert "Free some space" in trouble.value.remedy
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_only_transcripts_of_ours_are_read(store: Store) -> None:
    """A ledger that somebody else wrote cannot name a file outside the folder."""
    store.write_transcript("0192", b"kept")
    (store.out / "secret.sse").write_bytes(b"secret")
    assert store.read_transcript("0192.sse") == b"kept"
    for name in ("../secret.sse", str(store.out / "secret.sse"), "0192", "", None, "0193.sse"):
        assert store.read_transcript(name) is None
