"""Images of a prompt table: from below its folder or through the door, and from nowhere else."""

from __future__ import annotations

import asyncio
import base64
import io
import os
from pathlib import Path

import pytest
from PIL import Image
from reelsweep.prompts.errors import UsageError
from reelsweep.tasks.artifacts.images import MAX_BYTES, data_url, load_image
from reelsweep.tasks.artifacts.store import Store

URL = "http://clips.example.com/cat.png?sig=SECRET"


def drawn(form: str) -> bytes:
    """A small picture in a format."""
    out = io.BytesIO()
    Image.new("RGB", (8, 8), "red").save(out, form)
    return out.getvalue()


PNG = drawn("PNG")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A table's folder with one image, and a secret beside it."""
    (tmp_path / "secret.png").write_bytes(PNG)
    (tmp_path / "table/pictures").mkdir(parents=True)
    (tmp_path / "table/pictures/cat.png").write_bytes(PNG)
    return tmp_path / "table"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Where inputs are kept."""
    return Store(tmp_path / "out")


@pytest.fixture
def load(net, folder, store):
    """`load(ref)`, off the event loop as planning does it."""

    async def load(ref: str, **options: object):
        settings = {"folder": folder, "door": net.door(), "store": store, **options}
        return await asyncio.to_thread(lambda: load_image(ref, **settings))

    return load


@pytest.mark.parametrize("ref", ["pictures/cat.png", "./pictures/cat.png", "pictures//cat.png"])
async def test_a_file_below_the_table_is_loaded_and_kept(load, store, ref: str) -> None:
    """Its hash, type and size come back; its bytes are in OUT/inputs and become a data URL."""
    image = await load(ref)
    assert (image.mime_type, image.size_bytes) == ("image/png", len(PNG))
    assert store.input_path(image.sha256).read_bytes() == PNG
    head, _, body = data_url(image.sha256, store).partition(",")
    assert head == "data:image/png;base64"
    assert base64.b64decode(body) == PNG


@pytest.mark.parametrize(
    ("form", "mime_type"), [("JPEG", "image/jpeg"), ("GIF", "image/gif"), ("WEBP", "image/webp")]
)
async def test_the_format_is_read_from_the_bytes(load, folder, form: str, mime_type: str) -> None:
    """A wrong name does not matter, the content does."""
    (folder / "x.png").write_bytes(drawn(form))
    assert (await load("x.png")).mime_type == mime_type


@pytest.mark.parametrize(
    "ref",
    [
        "/etc/passwd",
        "../secret.png",
        "pictures/../../secret.png",
        "pictures/../pictures/cat.png",
        "..\\secret.png",
        "C:\\secret.png",
        "\\\\host\\share\\x.png",
        "link.png",
        "linked/secret.png",
        "missing.png",
        "pictures",
        "pipe",
        "notes.txt",
        "",
        "x\0.png",
        "x" * 5000,
    ],
)
async def test_nothing_else_on_this_machine_is_read(load, folder, store, ref: str) -> None:
    """Absolute paths, parents, links that lead out, pipes and what is no image are refused, not kept."""
    (folder / "link.png").symlink_to(folder.parent / "secret.png")
    (folder / "linked").symlink_to(folder.parent)
    (folder / "notes.txt").write_text("root:x:0:0")
    os.mkfifo(folder / "pipe")
    with pytest.raises(UsageError) as refused:
        await load(ref)
    assert len(str(refused.value)) < 400
    assert not store.out.exists()


async def test_a_link_that_stays_below_the_folder_is_followed(load, folder) -> None:
    """Links are not forbidden, leaving is."""
    (folder / "alias.png").symlink_to("pictures/cat.png")
    assert (await load("alias.png")).size_bytes == len(PNG)


async def test_an_image_is_at_most_20_mb(load, folder) -> None:
    """Exactly the limit passes, one byte more does not."""
    (folder / "big.png").write_bytes(PNG + bytes(MAX_BYTES - len(PNG)))
    assert (await load("big.png")).size_bytes == MAX_BYTES
    (folder / "big.png").write_bytes(PNG + bytes(MAX_BYTES - len(PNG) + 1))
    with pytest.raises(UsageError, match="over 20 MB"):
        await load("big.png")


async def test_a_table_without_a_folder_has_no_files(load) -> None:
    """A table from memory or from a URL can name URLs only."""
    with pytest.raises(UsageError, match="no folder"):
        await load("pictures/cat.png", folder=None)


async def test_an_image_of_a_url_comes_through_the_door(load, server, answer, store) -> None:
    """Fetched from the judged address, checked and kept like a file."""
    server.handler = lambda request: answer(body=PNG)
    image = await load(URL)
    assert store.input_path(image.sha256).read_bytes() == PNG


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        ({"status": 302, "headers": {"Location": "http://169.254.169.254/latest"}}, "169.254.169.254"),
        ({"status": 404}, "HTTP 404"),
        ({"body": b"<html>"}, "not a PNG"),
        ({"body": PNG, "headers": {"Content-Encoding": "gzip"}}, "encoded"),
        ({"body": PNG + bytes(MAX_BYTES)}, "over 20971520 bytes"),
        ({"body": PNG, "announced": len(PNG) + 1, "cut_after": len(PNG)}, "cut"),
    ],
)
async def test_an_answer_that_is_no_image_is_an_error_of_the_table(
    load, net, server, answer, store, reply, reason: str
) -> None:
    """One line that says why, without the signed part of the URL; nothing is kept."""
    net.names["169.254.169.254"] = ["169.254.169.254"]
    server.handler = lambda request: answer(**reply)
    with pytest.raises(UsageError, match=reason) as refused:
        await load(URL)
    assert "SECRET" not in str(refused.value)
    assert not store.out.exists()


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "ftp://clips.example.com/x", "http://inside.example.com/x"]
)
async def test_a_url_the_door_refuses_is_an_error_of_the_table(load, net, url: str) -> None:
    """Other schemes and private names end before anything is connected."""
    net.names["inside.example.com"] = ["192.168.0.1"]
    with pytest.raises(UsageError):
        await load(url)
    assert net.connected == []


async def test_without_a_store_nothing_is_written(load, store) -> None:
    """A plan needs the hash only."""
    assert (await load("pictures/cat.png", store=None)).size_bytes == len(PNG)
    assert not store.out.exists()


async def test_a_kept_image_that_was_lost_or_changed_is_an_error(load, store) -> None:
    """What is sent is what was planned, or nothing is sent."""
    image = await load("pictures/cat.png")
    path = store.input_path(image.sha256)
    path.write_bytes(drawn("GIF"))
    with pytest.raises(UsageError, match="not in"):
        data_url(image.sha256, store)
    path.unlink()
    with pytest.raises(UsageError, match="not in"):
        data_url(image.sha256, store)
