"""The options that decide what is made, checked before the table is.

Used by `plan`. Pure. What decides, strongest first: --grid, --sweep, --set, --seeds and --samples (one of
them at most gives a column), the row's cell, --model and --output, the defaults.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from reelsweep.prompts.cellreaders import check_fixed
from reelsweep.prompts.columns import find_column
from reelsweep.prompts.errors import SettingsError
from reelsweep.prompts.request import Json, Output
from reelsweep.prompts.seeds import parse_seeds
from reelsweep.prompts.sweep import MAX_CELLS, Sweep, grid_axis

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
    sweep: Sweep = field(default_factory=Sweep)
    """`--sweep FILE`: axes, fragments and seeds, crossed with those of `--grid`, which turn faster."""
    num_candidates: int = 0
    """Generations that each row and combination has at least: what it asks for, then fresh ones."""
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

    Raises SettingsError that names the option: a value its column does not take, a column given twice, a grid
    that is too large.
    """
    grid = tuple(grid_axis(name, values) for name, values in settings.grid)
    sweep = replace(settings.sweep, axes=(*settings.sweep.axes, *grid))
    given = [(name, cell, f"--set {name}") for name, cell in settings.set_.items()]
    if sweep.seeds is not None:
        given.append(("seed", sweep.seeds.values, "--sweep"))
    if settings.seeds is not None:
        given.append(("seed", settings.seeds, "--seeds"))
    if settings.samples is not None:
        given.append(("samples", str(settings.samples), "--samples"))
    options = _one_option_each(
        [
            *((axis.name, "--sweep") for axis in settings.sweep.axes),
            *((axis.name, f"--grid {axis.name}") for axis in grid),
            *((name, option) for name, _, option in given),
        ]
    )
    for axis in grid:
        for value in axis.values:
            _check(axis.name, value, options[axis.name])
    for name, cell, option in given:
        _check(name, cell, option)
    fixed = {name: cell for name, cell, _ in given}
    _check_size(sweep, fixed.get("seed"))
    if settings.num_candidates > MAX_CELLS:
        got = f"got {settings.num_candidates:,} candidates for each row, expected at most {MAX_CELLS:,}"
        raise SettingsError(f"--candidates: {got}.", "Nothing was sent.")
    return Overrides(fixed=fixed, options=options, sweep=sweep)


def _one_option_each(given: Iterable[tuple[str, str]]) -> dict[str, str]:
    """The option behind each name."""
    options: dict[str, str] = {}
    for name, option in given:
        if options.get(name) == option:
            raise SettingsError(f"{option} is given twice.", "Write all its values at once.")
        if name in options:
            raise SettingsError(f"{option} and {options[name]} both give `{name}`.", "Leave one of them out.")
        options[name] = option
    return options


def _check_size(sweep: Sweep, seeds: str | None) -> None:
    num_cells = sweep.num_crossed * (len(parse_seeds(seeds)) if seeds else 1)
    if num_cells > MAX_CELLS:
        sizes = [f"{len(group[0].values):,}" for group in sweep.groups()]
        sizes += [f"{len(parse_seeds(seeds)):,} seeds"] if seeds else []
        raise SettingsError(
            f"the grid has {num_cells:,} cells a row ({' x '.join(sizes)}), expected at most {MAX_CELLS:,}.",
            "Zip axes, shorten them, or split the sweep.",
        )
    if sweep.excluded and next(sweep.cells(), None) is None:
        raise SettingsError("--sweep: `exclude` leaves no combination.", "Leave out less.")


def _check(name: str, cell: str, option: str) -> None:
    try:
        find_column(name)
        check_fixed(name, cell)
    except ValueError as error:
        raise SettingsError(f"{option}: {error}.".replace("..", "."), "Nothing was sent.") from None
