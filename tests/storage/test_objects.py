"""Objects of a bucket: whole, confirmed, tried again when that may help, and told of without keys."""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Callable
from pathlib import Path

import pytest
from reelsweep.prompts.errors import TroubleError
from reelsweep.tasks.storage import objects
from reelsweep.tasks.storage.objects import Objects, UnreachableError

CLIP = b"a clip" * 1000
SHA = hashlib.sha256(CLIP).hexdigest()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file to put."""
    path = tmp_path / "clip.mp4"
    path.write_bytes(CLIP)
    return path


def refuse(times: int, status: int, method: str = "PUT") -> Callable[..., int | None]:
    """Refuses the first requests of a method."""
    left = [times]

    def answer(call: object) -> int | None:
        if call.method != method or not left[0]:
            return None
        left[0] -= 1
        return status

    return answer


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses that a test can wait for."""
    monkeypatch.setattr(objects, "PAUSES_S", (0.01,))


def test_what_is_put_is_there_whole_with_its_type_and_its_checksum(bucket, file: Path) -> None:
    """The bytes, their type by the name, their sha256 checked by the server, their size confirmed."""
    assert Objects(f"{bucket.url}/out").put(file, "videos/ab/clip.mp4", SHA)[0] == len(CLIP)
    assert bucket.objects() == {"out/videos/ab/clip.mp4": CLIP}
    head = bucket.server.client().head_object(Bucket=bucket.name, Key="out/videos/ab/clip.mp4")
    assert head["ContentType"] == "video/mp4"
    assert bucket.server.calls[0].checksum == base64.b64encode(bytes.fromhex(SHA)).decode()


def test_what_is_not_there_is_none_and_no_trouble(bucket, tmp_path: Path) -> None:
    """A missing object and an empty folder are answers."""
    place = Objects(bucket.url)
    assert (place.read("x"), place.tag("x"), place.sizes("videos")) == (None, None, {})
    assert not place.fetch("x", tmp_path / "x")


@pytest.mark.usefixtures("quick")
def test_a_server_that_is_down_for_a_while_is_waited_for(bucket, file: Path) -> None:
    """Five refusals, one note when it begins to last and one when it is over."""
    notes: list[str] = []
    bucket.server.answer = refuse(5, 503)
    place = Objects(bucket.url, on_note=notes.append)
    place.put(file, "clip.mp4")
    assert bucket.objects() == {"clip.mp4": CLIP}
    assert len(notes) == 2
    assert "trying again" in notes[0]
    assert "answers again" in notes[1]


@pytest.mark.usefixtures("quick")
def test_a_server_that_stays_down_is_trouble_after_a_time(bucket, file: Path) -> None:
    """One line with the object, the kind of failure and a remedy."""
    bucket.server.answer = refuse(10_000, 503)
    with pytest.raises(TroubleError, match=r"cannot store s3://.*/clip\.mp4") as trouble:
        Objects(bucket.url, put_patience_s=0.05).put(file, "clip.mp4")
    assert "Run the same command again" in trouble.value.remedy


def test_who_has_given_up_tries_no_more(bucket, file: Path) -> None:
    """A run that is cut off does not wait for a server that is down."""
    bucket.server.answer = refuse(10_000, 503)
    place = Objects(bucket.url)
    place.give_up()
    with pytest.raises(TroubleError):
        place.put(file, "clip.mp4")
    assert len(bucket.server.calls) == 2, "the client repeats a request once by itself"


def test_a_refused_key_is_not_tried_again_and_not_told(bucket, file: Path) -> None:
    """Access that is denied stays so: one request, and no secret in the words."""
    bucket.server.answer = lambda _call: 403
    with pytest.raises(TroubleError, match="access is denied") as trouble:
        Objects(bucket.url).put(file, "clip.mp4")
    assert len(bucket.server.calls) == 1
    assert "never-to-be-seen" not in repr(trouble.value) + str(trouble.value.__cause__)


def test_a_bucket_that_is_not_there_is_trouble_also_to_ask(bucket) -> None:
    """Unlike an object that is not there."""
    with pytest.raises(TroubleError, match="no such bucket"):
        Objects("s3://there-is-none/out").read("reelsweep.json")


def test_without_credentials_it_says_which_variables_to_set(bucket, monkeypatch) -> None:
    """The remedy names the variables."""
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(TroubleError, match="no credentials") as trouble:
        Objects(bucket.url).read("reelsweep.json")
    assert "AWS_ACCESS_KEY_ID" in trouble.value.remedy


@pytest.mark.usefixtures("quick")
def test_an_upload_that_arrives_short_is_made_again(bucket, file: Path) -> None:
    """The size is asked for after each upload; another one is no success."""
    place, wrong = Objects(bucket.url), [True]

    def truncate(call: object) -> int | None:
        if call.method == "HEAD" and wrong.pop():
            bucket.put("clip.mp4", CLIP[:-1])
            wrong.append(False)
        return None

    bucket.server.answer = truncate
    place.put(file, "clip.mp4")
    assert bucket.objects() == {"clip.mp4": CLIP}


def test_of_two_who_create_an_object_one_has_made_it(bucket) -> None:
    """The second is told so, and the first one's bytes stay, also when both look before either writes."""
    first, second = Objects(bucket.url), Objects(bucket.url)
    assert first.create("reelsweep.json", b"first")
    assert not second.create("reelsweep.json", b"second")
    bucket.remove("reelsweep.json")
    bucket.server.answer = lambda call: (
        None if call.method != "PUT" else bucket.put("reelsweep.json", b"third") and None
    )
    assert not second.create("reelsweep.json", b"second")
    assert bucket.objects() == {"reelsweep.json": b"third"}


@pytest.mark.parametrize("scheme", ["memory"])
def test_another_file_system_of_fsspec_does_as_well(scheme: str, file: Path) -> None:
    """Nothing but the checksum is S3's own."""
    place = Objects(f"{scheme}://reelsweep-test/out")
    place.put(file, "videos/clip.mp4", SHA)
    place.write("reelsweep.json", b"{}")
    assert place.read("videos/clip.mp4") == CLIP
    assert place.sizes("videos") == {"videos/clip.mp4": len(CLIP)}
    assert not place.create("reelsweep.json", b"other")


def test_a_stream_that_breaks_is_one_line(bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a file system raises while an object is read is said in our words, and without its own."""

    class Torn(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            raise RuntimeError("signature=secret")

    place = Objects(bucket.url)
    bucket.put("clip.mp4", CLIP)
    monkeypatch.setattr(place._files, "open", lambda *_: Torn())
    with place.open("clip.mp4") as file, pytest.raises(UnreachableError, match="cannot read") as caught:
        file.read()
    assert "secret" not in str(caught.value)
