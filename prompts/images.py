"""An image that goes with a prompt, as the plan knows it: by the sha256 of its bytes.

The bytes are read, checked and kept by the loader that `make_plan` is given. Pure.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from reelsweep.prompts.errors import UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedImage:
    """One image, checked and stored; `sha256` of its bytes is what the request says of it."""

    sha256: str
    mime_type: str
    size_bytes: int


ImageLoader = Callable[[str], LoadedImage]
"""Reads the image behind a reference; raises UsageError for one that cannot be used."""


class ImageDesk:
    """Loads each reference once and keeps the answer, also where it is a complaint."""

    def __init__(self, load: ImageLoader | None) -> None:
        self._load = load
        self._answers: dict[str, LoadedImage | str] = {}

    def image(self, reference: str) -> LoadedImage:
        """The image behind a reference. Raises ValueError in the words of the loader."""
        if reference not in self._answers:
            self._answers[reference] = self._ask(reference)
        answer = self._answers[reference]
        if isinstance(answer, str):
            raise ValueError(answer)
        return answer

    def _ask(self, reference: str) -> LoadedImage | str:
        if self._load is None:
            return f"got {reference.partition('?')[0][:60]!r}, but images cannot be loaded here"
        try:
            return self._load(reference)
        except UsageError as error:
            return str(error)
