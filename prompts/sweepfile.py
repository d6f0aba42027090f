"""A sweep file from wherever it is: a path, an fsspec URL, a mapping, or the shipped example.

Before `plan`. Reads; what the document says is decided by `axes`.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any, cast

import yaml
from reelsweep.prompts.axes import parse_sweep
from reelsweep.prompts.errors import SettingsError
from reelsweep.prompts.sweep import Sweep

EXAMPLE = "example:"


def read_sweep(source: str | Path | Mapping[str, Any]) -> Sweep:
    """The sweep in a file, at a URL, in a mapping of the same shape, or `example:` (the shipped one).

    Raises SettingsError with a line for every mistake.
    """
    if isinstance(source, Mapping):
        return parse_sweep(_written(source), "sweep")
    place = str(source)
    if place.startswith(EXAMPLE):
        return parse_sweep(_read_example(place.removeprefix(EXAMPLE) or "sweep"), place)
    return parse_sweep(_read_text(place), _shown(place))


def _written(source: Mapping[str, Any]) -> str:
    try:
        return yaml.safe_dump(dict(source), allow_unicode=True, sort_keys=False)
    except yaml.representer.RepresenterError as error:
        kind = type(error.args[-1]).__name__
        raise SettingsError(
            f"sweep: got a value of type {kind}.", "Expected texts, numbers, lists and mappings of them."
        ) from None


def _read_example(name: str) -> str:
    folder = files("reelsweep.prompts.examples")
    shipped = sorted(item.name[:-5] for item in folder.iterdir() if item.name.endswith(".yaml"))
    if name not in shipped:
        raise SettingsError(f"no example {name!r}.", f"Shipped are: {', '.join(shipped)}.")
    return (folder / f"{name}.yaml").read_text("utf-8")


def _read_text(place: str) -> str:
    try:
        return _fetch(place) if "://" in place else Path(place).read_text("utf-8-sig")
    except FileNotFoundError:
        raise SettingsError(
            f"no sweep file at {_shown(place)!r}.", "`--sweep example:` shows how one looks."
        ) from None
    except UnicodeDecodeError:
        raise SettingsError(f"{_shown(place)!r} is no UTF-8 text.", "Expected YAML.") from None
    except Exception as error:  # every file system has its own; their texts may hold keys
        kind = type(error).__name__
        raise SettingsError(f"cannot read {_shown(place)!r} ({kind}).", "Check the path.") from None


def _fetch(url: str) -> str:
    import fsspec  # only here: a local file needs none of it

    with cast("Any", fsspec.open(url, "r", encoding="utf-8-sig")) as stream:
        return stream.read()


def _shown(place: str) -> str:
    """Without what may be a secret in a URL."""
    scheme, there, rest = place.partition("://")
    return f"{scheme}{there}{rest.partition('/')[0].rpartition('@')[2]}/…" if there else place
