"""The options that decide what is made, checked before the table is.

Used by `plan`. Pure. What decides, strongest first: --grid, --set, --seeds and --samples (one of them at
most gives a column), the row's cell, --model and --output, the defaults.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from reelsweep.prompts.columns import find_column
from reelsweep.prompts.errors import SettingsError
from reelsweep.prompts.request import Json, Output
from reelsweep.prompts.rows import check_fixed
from reelsweep.prompts.sweep import Axis, Sweep

DEFAULT_MODEL = "sora-2"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanSettings:
    """The options that decide what is made."""

    output: Output = "video"
    model: str | None = None
    """For rows that name none."""
    set_: Mapping[str, str] = field(default_factory=dict[str, str])
    """`--set column=value`: replaces or adds a column; an empty value takes it away."""
    seeds: str | None = None
    """`--seeds 0-9`: the seeds of every row, in place of its `seed` cell."""
    samples: int | None = None
    """`--samples N`: of every row, in place of its `samples` cell."""
    grid: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """`--grid column=a,b`: axes, crossed with every row, in place of its cell."""
    extra_body: Mapping[str, Json] = field(default_factory=dict[str, Json])
    """What the gateway's profile adds to the body; part of the fingerprint."""
    url_query: Mapping[str, str] = field(default_factory=dict[str, str])
    """What it adds to the URL; likewise."""
    gateway: str = ""
    """The gateway's name, for the record; no part of a fingerprint, so that gateways can be compared."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Overrides:
    """What the options put in place of the table's cells."""

    fixed: Mapping[str, str]
    options: Mapping[str, str]
    """The option behind each of them and behind each axis."""
    sweep: Sweep


def find_overrides(settings: PlanSettings) -> Overrides:
    """The settings' cells, each one checked.

    Raises SettingsError that names the option: a value its column does not take, a column given twice.
    """
    sweep = Sweep(axes=tuple(Axis(name=name, values=values) for name, values in settings.grid))
    options = {name: f"--grid {name}" for name in sweep.names}
    given = [(name, cell, f"--set {name}") for name, cell in settings.set_.items()]
    if settings.seeds is not None:
        given.append(("seed", settings.seeds, "--seeds"))
    if settings.samples is not None:
        given.append(("samples", str(settings.samples), "--samples"))
    for name, _, option in given:
        if name in options:
            raise SettingsError(f"{option} and {options[name]} both give `{name}`.", "Leave one of them out.")
        options[name] = option
    for name, cell, option in given:
        _check(name, cell, option)
    for axis in sweep.axes:
        for value in axis.values:
            _check(axis.name, value, options[axis.name])
    return Overrides(fixed={name: cell for name, cell, _ in given}, options=options, sweep=sweep)


def _check(name: str, cell: str, option: str) -> None:
    try:
        find_column(name)
        check_fixed(name, cell)
    except ValueError as error:
        raise SettingsError(f"{option}: {error}.".replace("..", "."), "Nothing was sent.") from None
