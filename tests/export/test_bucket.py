"""To a bucket and from one: the same bytes as on a disk, through refusals, and no half of anything."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from reelsweep.prompts.errors import OutError, SettingsError, TroubleError
from reelsweep.tasks.export.places import open_place
from reelsweep.tasks.export.plan import plan_export
from reelsweep.tasks.export.recipe import Recipe
from reelsweep.tasks.export.source import read_source
from reelsweep.tasks.export.write import write_export
from reelsweep.tasks.storage import objects
from reelsweep.tasks.verify.verify import verify


def silent(_what: str, _number: int) -> Callable[[int], None]:
    return lambda _done: None


@pytest.fixture
def boats(out: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Six clips; waits are short."""
    monkeypatch.setattr(objects, "PAUSES_S", (0.01,))
    for _ in range(6):
        out.add()
    return out.write()


def test_a_bucket_gets_what_a_folder_gets(
    boats: Any, export: Any, bucket: Any, tree: Callable[[Path], dict[str, bytes]], tmp_path: Path
) -> None:
    """Through a server that refuses now and then: equal to the last byte, and verified."""
    asked: list[object] = []

    def answer(call: object) -> int | None:
        asked.append(call)
        return 503 if len(asked) in (2, 9) else None

    bucket.server.answer = answer
    url = f"{bucket.url}/sets/boats"
    made = export.to(url, boats)
    export.to(tmp_path / "a", boats)
    assert {name.removeprefix("sets/boats/"): found for name, found in bucket.objects().items()} == tree(
        tmp_path / "a"
    )
    assert export.to(url, boats) == type(made)(
        **{name: getattr(made, name) for name in made.__slots__} | {"shards_written": 0}
    )
    assert verify(url).is_clean
    bucket.put("sets/boats/mine.txt", b"x")
    bucket.remove("sets/boats/README.md")
    report = verify(url)
    assert [each.name for each in report.foreign] == ["mine.txt"]
    assert [each.name for each in report.missing] == ["README.md"]


def test_an_out_in_a_bucket_is_exported_and_verified(
    boats: Any, export: Any, bucket: Any, tree: Callable[[Path], dict[str, bytes]], tmp_path: Path
) -> None:
    """What a run left in a bucket gives the same dataset as in a folder."""
    for name, content in tree(boats.path).items():
        bucket.put(f"out/{name}", content)
    assert verify(f"{bucket.url}/out").is_clean
    plan = plan_export(read_source(open_place(f"{bucket.url}/out")), Recipe(format="webdataset"))
    write_export(plan, open_place(tmp_path / "a"), silent)
    export.to(tmp_path / "b", boats, format="webdataset")
    assert tree(tmp_path / "a") == tree(tmp_path / "b")


def test_a_bucket_that_refuses_is_one_line(boats: Any, export: Any, bucket: Any) -> None:
    """No access, no bucket, a key in the address: said without a key, and nothing is there afterwards."""
    bucket.server.answer = lambda call: 403 if call.method == "PUT" else None
    with pytest.raises(TroubleError, match="access is denied"):
        export.to(f"{bucket.url}/a", boats)
    assert bucket.objects() == {}
    with pytest.raises(TroubleError, match="no such bucket"):
        export.to("s3://nowhere/a", boats)
    with pytest.raises(SettingsError, match="Give credentials by the environment") as refused:
        export.to("s3://key:secret@bucket/a", boats)
    assert "secret" not in str(refused.value)


def test_a_bucket_that_fails_is_not_a_changed_file(boats: Any, bucket: Any, tree: Any) -> None:
    """Of clips that nobody could read, `verify` says nothing: it ends, in one line."""
    for name, content in tree(boats.path).items():
        bucket.put(f"out/{name}", content)
    bucket.server.answer = lambda call: 503 if call.method == "GET" and call.name.endswith(".mp4") else None
    with pytest.raises(TroubleError, match="cannot read"):
        verify(f"{bucket.url}/out")


def test_going_on_asks_for_a_list_and_not_for_every_clip(boats: Any, export: Any, bucket: Any) -> None:
    """A finished export of many clips is known again at the cost of a few requests."""
    export.to(f"{bucket.url}/a", boats)
    bucket.server.calls.clear()
    export.to(f"{bucket.url}/a", boats)
    assert [call for call in bucket.server.calls if call.name.endswith(".mp4")] == []


def test_an_export_does_not_land_in_its_own_output(boats: Any, bucket: Any, tree: Any) -> None:
    """In a bucket as in a folder: it would be foreign there."""
    for name, content in tree(boats.path).items():
        bucket.put(f"out/{name}", content)
    plan = plan_export(read_source(open_place(f"{bucket.url}/out")), Recipe(format="webdataset"))
    with pytest.raises(OutError, match="lie in each other"):
        write_export(plan, open_place(f"{bucket.url}/out/export"), silent)
