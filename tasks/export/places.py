"""A place, by what a person calls it."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from reelsweep.prompts.remote import is_remote
from reelsweep.tasks.export.place import LocalPlace, Place
from reelsweep.tasks.export.remote import RemotePlace


def open_place(where: str | Path) -> Place:
    """The folder at a path or an fsspec URL. Raises TroubleError for a URL nobody can open."""
    text = str(where)
    if is_remote(text):
        return RemotePlace(text)
    return LocalPlace(Path(urlsplit(text).path if text.startswith("file://") else text))
