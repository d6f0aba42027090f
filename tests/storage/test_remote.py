"""An OUT in a bucket: made on the desk, handed over whole, and found again after a crash."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from reelsweep.prompts.errors import OutError, TroubleError
from reelsweep.tasks.artifacts.store import Store
from reelsweep.tasks.storage import out as storage_out
from reelsweep.tasks.storage.objects import Objects
from reelsweep.tasks.storage.out import FolderOut
from reelsweep.tasks.storage.remote import RemoteOut, checked_url, desk_of

CLIP = b"a clip" * 1000
SHA = hashlib.sha256(CLIP).hexdigest()
NAME = f"videos/{SHA[:2]}/{SHA}.mp4"


@pytest.fixture
def out(tmp_path: Path):
    """An OUT of a file system in memory, which behaves like a bucket."""
    place = RemoteOut(f"memory://{tmp_path.name}/out", tmp_path / "staging")
    place.begin()
    yield place
    place.close()


def downloaded(store: Store, attempt_id: str = "0192") -> Path:
    """A whole part, as `download` leaves it."""
    part = store.part(attempt_id, 0)
    part.write_bytes(CLIP)
    return part


def files_of(out: RemoteOut) -> list[str]:
    """What is on the desk."""
    return sorted(path.relative_to(out.desk).as_posix() for path in out.desk.rglob("*") if path.is_file())


def test_a_placed_clip_is_in_the_bucket_and_off_the_desk(out: RemoteOut) -> None:
    """Uploaded under the name of its hash and confirmed when `place` returns."""
    store = Store(out)
    assert store.place(downloaded(store), SHA, ".mp4") == NAME
    assert out.objects.read(NAME) == CLIP
    assert files_of(out) == []
    assert store.find(SHA) == NAME


def test_a_clip_that_could_not_be_uploaded_stays_and_is_handed_over_later(out: RemoteOut, tmp_path) -> None:
    """It has its final name on the desk, where the next run finds it."""
    broken = RemoteOut("broken://bucket/out", tmp_path / "staging", objects=Objects("broken://bucket/out"))
    store = Store(broken)
    with pytest.raises(TroubleError, match="cannot store"):
        store.place(downloaded(store), SHA, ".mp4")
    assert files_of(broken) == [NAME]
    assert Store(broken).find(SHA) == NAME
    (out.desk / NAME).parent.mkdir(parents=True)
    (broken.desk / NAME).replace(out.desk / NAME)
    out.hand_over(NAME)
    assert (files_of(out), out.objects.read(NAME)) == ([], CLIP)


def test_a_clip_found_in_the_bucket_comes_to_the_desk_and_leaves_it_without_an_upload(
    out: RemoteOut, monkeypatch
) -> None:
    """Uploaded and not noted: it is looked at once more, and not sent again."""
    out.objects.write(NAME, CLIP)
    store = Store(out)
    path = store.fetch(NAME)
    assert path.read_bytes() == CLIP
    monkeypatch.setattr(out.objects, "put", lambda *_: pytest.fail("sent again"))
    store.hand_over(NAME)
    assert files_of(out) == []


def test_rows_with_the_same_bytes_share_a_file(out: RemoteOut) -> None:
    """Whoever comes last finds it gone from the desk and there in the bucket."""
    store = Store(out)
    for attempt_id in ("0192", "0193"):
        store.place(downloaded(store, attempt_id), SHA, ".mp4")
    out._upload(NAME, SHA)
    assert out.objects.sizes(f"videos/{SHA[:2]}") == {NAME: len(CLIP)}
    assert out.is_whole(NAME, SHA, len(CLIP))
    assert not out.is_whole(NAME, SHA, 1)


def test_a_file_that_leaves_the_desk_while_it_is_compared_is_placed_again(
    out: RemoteOut, monkeypatch
) -> None:
    """Another row's upload may end just then: the part takes its place, and nothing fails."""
    store = Store(out)
    (out.desk / NAME).parent.mkdir(parents=True)
    (out.desk / NAME).write_bytes(CLIP)
    hashed = storage_out.sha256_of

    def leaving(path: Path) -> str:
        path.unlink()
        return hashed(path)

    monkeypatch.setattr(storage_out, "sha256_of", leaving)
    assert store.place(downloaded(store), SHA, ".mp4") == NAME
    assert out.objects.read(NAME) == CLIP


def test_what_is_on_neither_side_is_trouble(out: RemoteOut) -> None:
    """No name is given to bytes that nobody has."""
    with pytest.raises(TroubleError, match="not in memory://"):
        out._upload(NAME, SHA)
    with pytest.raises(TroubleError, match="not there any more"):
        out.fetch(NAME)


def test_transcripts_and_rejected_bytes_go_before_what_names_them(out: RemoteOut, monkeypatch) -> None:
    """Order of publication: all else, then the named files; clips have gone their own way."""
    store, sent = Store(out), []
    store.write_transcript("0192", b"data: [DONE]\n\n")
    store.reject(downloaded(store), SHA)
    store.put_input(b"picture", ".png")
    for name in ("attempts.parquet", "manifest.parquet", "index.html"):
        (out.desk / name).write_text(name)
    put = out.objects.put
    monkeypatch.setattr(
        out.objects, "put", lambda path, name, sha: (sent.append(name), put(path, name, sha))[1]
    )
    out.publish(("attempts.parquet", "manifest.parquet", "index.html"))
    assert sent == [
        f"inputs/{hashlib.sha256(b'picture').hexdigest()}.png",
        f"rejected/{SHA}",
        "transcripts/0192.sse",
        "attempts.parquet",
        "manifest.parquet",
        "index.html",
    ]
    sent.clear()
    out.publish(("attempts.parquet", "manifest.parquet", "index.html"))
    assert sent == [], "what has not changed is not sent again"
    assert store.read_transcript("0192.sse") == b"data: [DONE]\n\n"
    assert not (out.desk / "transcripts/0192.sse").exists()


def test_a_successor_builds_on_what_another_machine_has_published(out: RemoteOut, tmp_path: Path) -> None:
    """The desk's copy is replaced where the bucket has another; its own is left alone."""
    other = RemoteOut(str(out), tmp_path / "elsewhere")
    for place, text in ((out, "first"), (other, "second, longer")):
        place.begin()
        place.bring(("manifest.parquet",))
        (place.desk / "manifest.parquet").write_text(text)
        place.publish(("manifest.parquet",))
    out.bring(("manifest.parquet",))
    assert (out.desk / "manifest.parquet").read_text() == "second, longer"
    other.close()


def test_an_image_that_another_machine_has_kept_is_found(out: RemoteOut, tmp_path: Path) -> None:
    """A row with an image is made again wherever the bucket is reached."""
    sha256 = Store(out).put_input(b"picture", ".png")
    out.publish(())
    other = RemoteOut(str(out), tmp_path / "elsewhere")
    path = Store(other).input_path(sha256)
    assert path is not None
    assert path.read_bytes() == b"picture"
    assert Store(other).input_path("0" * 64) is None
    other.close()


def test_an_older_report_on_the_desk_does_not_replace_the_buckets(out: RemoteOut, tmp_path: Path) -> None:
    """What lies beside the tables is handed over by who writes it, not by every later run."""
    name = "reproduction.parquet"
    (out.desk / name).write_text("of the first night")
    out.hand_over(name)
    other = RemoteOut(str(out), tmp_path / "elsewhere")
    other.begin()
    (other.desk / name).write_text("of the second night")
    other.hand_over(name)
    RemoteOut(str(out), tmp_path / "staging").publish(())
    assert out.objects.read(name) == b"of the second night"
    other.close()


def test_a_later_run_does_not_send_every_poster_again(out: RemoteOut, tmp_path: Path, monkeypatch) -> None:
    """What its hash names and the bucket has in the same size stays; what it has not goes."""
    old, new = (f"gallery/posters/ab/{digit * 64}.jpg" for digit in "ab")
    for name in (old, new):
        (out.desk / name).parent.mkdir(parents=True, exist_ok=True)
        (out.desk / name).write_bytes(b"poster")
    out.hand_over(old)
    later = RemoteOut(str(out), tmp_path / "staging")
    put, sent = later.objects.put, list[str]()
    monkeypatch.setattr(
        later.objects, "put", lambda path, name, sha: (sent.append(name), put(path, name, sha))[1]
    )
    later.publish(())
    assert sent == [new]


def test_two_who_fetch_one_file_do_not_write_into_each_others(out: RemoteOut, monkeypatch) -> None:
    """Each brings it under a name of its own, and both get the whole of it."""
    out.objects.write(NAME, CLIP)
    fetch, second = out.objects.fetch, [True]

    def torn(name: str, path: Path) -> bool:
        path.write_bytes(CLIP[:10])
        if second.pop() if second else False:
            assert out.fetch(NAME).read_bytes() == CLIP
        return fetch(name, path)

    monkeypatch.setattr(out.objects, "fetch", torn)
    assert out.fetch(NAME).read_bytes() == CLIP
    assert files_of(out) == [NAME]


def test_the_desk_is_this_users_and_the_same_for_every_run(out: RemoteOut, tmp_path: Path) -> None:
    """Its name comes from the URL alone; nobody else may look into it."""
    assert desk_of("s3://bucket/a b/clips", tmp_path) == desk_of("s3://bucket/a b/clips", tmp_path)
    assert desk_of("s3://bucket/clips", tmp_path) != desk_of("s3://other/clips", tmp_path)
    assert out.desk.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(
    "url",
    [
        "s3://key:secret@bucket/out",
        "s3://bucket/out?versionId=1",
        "zip://a::s3://bucket/b.zip",
        "https://x.example/out",
    ],
)
def test_an_address_with_a_secret_or_of_no_bucket_is_refused(url: str) -> None:
    """And the refusal repeats no secret."""
    with pytest.raises(OutError) as refused:
        checked_url(url)
    assert "secret" not in str(refused.value)


def test_a_folder_needs_no_handing_over(tmp_path: Path) -> None:
    """Its desk is itself, and what is on it is in OUT."""
    folder = FolderOut(tmp_path)
    assert folder.create("reelsweep.json", b"{}")
    assert not folder.create("reelsweep.json", b"other")
    assert (folder.read("reelsweep.json"), folder.read("none")) == (b"{}", None)
    assert folder.fetch("reelsweep.json") == tmp_path / "reelsweep.json"
