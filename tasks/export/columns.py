"""The columns an export carries beside its clips. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches

from reelsweep.prompts.errors import SettingsError
from reelsweep.tasks.export.recipe import Format
from reelsweep.tasks.manifest.columns import MANIFEST, META, METADATA, PARAM

KEY = "key"
"""The sample's name, first column of every export."""
FILE_NAME = "file_name"

_REJECTION = ("accepted", "reject_reason")
_LEFT_OUT = frozenset({FILE_NAME, "in_plan", "shared", *_REJECTION})
_USUAL = ("seed_honoured", *(column.name for column in METADATA if column.name not in _LEFT_OUT))
_TAKEN_FOR_FILES = ("_file_name", "_file_names")
"""`datasets` opens columns that end so as videos."""
_MEANINGS = {column.name: column.meaning for column in MANIFEST}


def usual_columns(manifest: Sequence[str], *, include_rejected: bool) -> tuple[str, ...]:
    """What is carried when nobody says: prompt, seed, model, hashes, the clip's facts, `param_`, `meta_`."""
    wanted = {*_USUAL, *(_REJECTION if include_rejected else ())}
    brought = [name for name in manifest if name.startswith((PARAM, META))]
    named = [name for name in manifest if name in wanted]
    return (*named, *(name for name in brought if not name.endswith(_TAKEN_FOR_FILES)))


def check_columns(
    option: str, names: Sequence[str], manifest: Sequence[str], form: Format | None = None
) -> None:
    """Raises SettingsError for a name the manifest has not, or that the format cannot carry."""
    for name in names:
        if name not in manifest:
            near = get_close_matches(name, manifest, 3)
            remedy = (
                f"Did you mean {' or '.join(near)}?" if near else "The README lists the manifest's columns."
            )
            raise SettingsError(f"--{option}: the manifest has no column {name!r}.", remedy)
        if form is not None and name == FILE_NAME:
            raise SettingsError(
                f"--{option}: file_name is the export's own.",
                "Leave it out: the clips are always there, by key.",
            )
        if form == "videofolder" and name.endswith(_TAKEN_FOR_FILES):
            raise SettingsError(
                f"--{option}: `datasets` takes a column {name!r} for the name of a video.",
                "Leave it out, rename it in the table, or use --format webdataset.",
            )


def meaning(name: str) -> str:
    """What a carried column holds, in words."""
    match name:
        case "key":
            return "names the sample; the same in every export of the same result"
        case "file_name":
            return "the clip, beside this table"
        case _ if name.startswith(META):
            return "from the prompt table"
        case _ if name.startswith(PARAM):
            return "parameter of the request, or axis of the sweep"
        case _:
            return _MEANINGS.get(name, "")
