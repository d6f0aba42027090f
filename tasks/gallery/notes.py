"""What a reader must know before trusting a sheet, in a sentence each. Pure.

Beside `cells.py`, for the head of the page: do seeds mean anything, and did one configuration make all?
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from reelsweep.tasks.gallery.encoded import NONE, Columns, Encoded
from reelsweep.tasks.gallery.words import shown

MAX_NAMED = 4
"""Configurations that are named; the axis `stratum` has all."""


def notes(columns: Columns) -> Sequence[str]:
    """The sentences; none where there is nothing to say."""
    return [*_about_seeds(columns), *_about_strata(columns)]


def _about_seeds(columns: Columns) -> Iterator[str]:
    """The verdicts of `seedcheck`, where a sheet has several seeds."""
    if len(columns["seed"].values) < 2 or "seed_honoured" not in columns:
        return
    said = {verdict: ", ".join(_models(columns, verdict)) for verdict in columns["seed_honoured"].values}
    if models := said.get("no"):
        yield f"Seeds are not honoured by {models}: its clips are plain samples."
    if models := said.get("unknown"):
        yield f"Whether {models} honours seeds is not known: reelsweep seedcheck finds out."
    if models := said.get("yes"):
        yield f"Seeds are honoured by {models}."


def _models(columns: Columns, verdict: str) -> list[str]:
    models, verdicts = columns["model"], columns["seed_honoured"]
    return sorted({shown(models.at(row)) for row in range(len(models)) if verdicts.at(row) == verdict})


def _about_strata(columns: Columns) -> Iterator[str]:
    """Several configurations of one model: the sheet compares them too."""
    if "stratum" not in columns:
        return
    for model in columns["model"].values:
        strata = _strata(columns["model"], columns["stratum"], model)
        if len(strata) > 1:
            named = ", ".join(shown(stratum) for stratum in strata[:MAX_NAMED])
            more = ", …" if len(strata) > MAX_NAMED else ""
            yield f"{len(strata)} configurations answered for {shown(model)} ({named}{more}): see stratum."


def _strata(models: Encoded, strata: Encoded, model: str) -> list[str]:
    code = list(models.values).index(model)
    pairs = zip(models.codes, strata.codes, strict=True)
    found = dict.fromkeys(stratum for asked, stratum in pairs if asked == code and stratum != NONE)
    return [strata.values[stratum] for stratum in found]
