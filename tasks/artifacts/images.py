"""Images that a prompt table names, checked and kept in OUT/inputs.

Called by `plan` while rows are read, so it is synchronous; URLs go through the door.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath, PureWindowsPath

from reelsweep.prompts.errors import UsageError
from reelsweep.prompts.images import LoadedImage
from reelsweep.tasks.artifacts.client import DownloadClient
from reelsweep.tasks.artifacts.door import Door
from reelsweep.tasks.artifacts.failures import DownloadError, host_of
from reelsweep.tasks.artifacts.fetch import Fetched, fetch
from reelsweep.tasks.artifacts.signature import ImageFormat, image_format
from reelsweep.tasks.artifacts.store import Store

MAX_BYTES = 20 * 1024 * 1024
REF_CHARS = 80


def load_image(ref: str, *, folder: Path | None, door: Door, store: Store | None) -> LoadedImage:
    """The image `ref` leads to, a PNG, JPEG, GIF or WebP; UsageError says what is wrong with it. Blocks.

    `ref` is a file below `folder`, the table's own (None: it has none), or an http(s) URL. Without a `store`
    nothing is kept, which is enough for a plan.
    """
    content = _from_url(ref, door) if "://" in ref else _from_file(ref, folder)
    if len(content) > MAX_BYTES:
        raise UsageError(f"image {_short(ref)}: over {MAX_BYTES // 1024**2} MB, which is the most allowed.")
    form = image_format(content)
    if form is None:
        raise UsageError(f"image {_short(ref)}: not a PNG, JPEG, GIF or WebP file.")
    return LoadedImage(sha256=_keep(content, form, store), mime_type=form.mime_type, size_bytes=len(content))


def data_url(sha256: str, store: Store) -> str:
    """The kept image as a data URL, as it is sent; UsageError when OUT has lost it."""
    path = store.input_path(sha256)
    content = path.read_bytes() if path else b""
    form = image_format(content)
    if form is None or hashlib.sha256(content).hexdigest() != sha256:
        remedy = "Run the same command again with the table's images in place."
        raise UsageError(f"the image {sha256[:12]}… is not in {store.storage}/inputs any more.", remedy)
    return f"data:{form.mime_type};base64,{base64.b64encode(content).decode('ascii')}"


def _keep(content: bytes, form: ImageFormat, store: Store | None) -> str:
    if store is None:
        return hashlib.sha256(content).hexdigest()
    return store.put_input(content, form.suffix)


def _from_file(ref: str, folder: Path | None) -> bytes:
    path = _path_below(ref, folder)
    try:
        # Not blocking: a pipe by that name would wait for a writer for ever.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise UsageError(f"image {_short(ref)}: not a file.")
            return file.read(MAX_BYTES + 1)
    except OSError as error:
        raise UsageError(f"image {_short(ref)}: {error.strerror}.") from None


def _path_below(ref: str, folder: Path | None) -> Path:
    """Where `ref` leads with all links resolved, which must be below `folder`."""
    if folder is None:
        raise UsageError(f"image {_short(ref)}: this table has no folder to look in; give a URL.")
    posix, windows = PurePosixPath(ref), PureWindowsPath(ref)
    if not ref or "\0" in ref or posix.is_absolute() or windows.anchor or ".." in windows.parts:
        raise UsageError(f"image {_short(ref)}: expected a file below the table's folder, or a URL.")
    try:
        root = folder.resolve(strict=True)
        path = (root / ref).resolve(strict=True)
    except (OSError, RuntimeError):
        raise UsageError(f"image {_short(ref)}: no such file below the table's folder.") from None
    if not path.is_relative_to(root):
        raise UsageError(f"image {_short(ref)}: leads out of the table's folder.")
    return path


def _from_url(url: str, door: Door) -> bytes:
    """The bytes of a URL, fetched in a thread of its own: the caller may be inside an event loop."""
    try:
        with ThreadPoolExecutor(1, thread_name_prefix="reelsweep-image") as thread:
            answer = thread.submit(lambda: asyncio.run(_fetched(url, door))).result()
    except DownloadError as error:
        raise UsageError(f"image: {error.message}", error.remedy) from None
    if answer.http_status != 200:
        raise UsageError(f"image {_short(url)}: the server answered HTTP {answer.http_status}.")
    return answer.body


async def _fetched(url: str, door: Door) -> Fetched:
    async with DownloadClient(door, size=1) as client:
        return await fetch(url, client=client, max_bytes=MAX_BYTES)


def _short(ref: str) -> str:
    """How messages call a reference: a file by its name, a URL by its host, since the rest may be signed."""
    if "://" in ref:
        return f"from {host_of(ref)}"
    return repr(ref if len(ref) <= REF_CHARS else f"{ref[:REF_CHARS]}…")
