"""A sample of an OUT's requests, and the run that makes them again: what `reproduce` knows before money.

The repetitions are rows of the same OUT and ledger, under the next `sample_idx` and with `in_plan` false:
they count in the budget, are never bought twice, and become rows of the plan if the table asks for them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from reelsweep.flows.access import named_gateway
from reelsweep.flows.options import RunOptions, parse_share
from reelsweep.flows.out.again import COMPLETE, NOT_WHOLE
from reelsweep.flows.out.outs import OpenOut, open_out
from reelsweep.flows.out.places import find_out
from reelsweep.flows.out.planned import spec_of
from reelsweep.flows.prepare import Prepared, check_out, prepared_for
from reelsweep.flows.trust import with_gateway
from reelsweep.prompts.errors import OutError, SettingsError
from reelsweep.prompts.given import given_plan
from reelsweep.tasks.reproduction.sample import (
    Request,
    count_partial,
    draw,
    population,
    requests_of,
    sample_size,
    to_make,
)

_AGE = re.compile(r"(\d+)\s*([hdw])")
_HOURS = {"h": 1, "d": 24, "w": 168}


@dataclass(frozen=True, slots=True, kw_only=True)
class Repetition:
    """A sample drawn from an OUT, and the run that makes what is missing of it."""

    prepared: Prepared
    population: int
    sampled: int

    @property
    def num_missing(self) -> int:
        """Generations to buy or to bring to their end."""
        return len(self.prepared.plan)


def draw_repetition(
    out: str | Path,
    options: RunOptions,
    *,
    sample: str,
    fresh: str | None = None,
    now: datetime | None = None,
) -> Repetition:
    """The sample and its run, nothing sent. Raises UsageError for an OUT or an option that does not fit."""
    number = parse_sample(sample)
    since = None if fresh is None else (now or datetime.now(UTC)) - parse_age(fresh)
    with open_out(out, options.ledger) as opened:
        options = with_gateway(opened, options)
        named = named_gateway(options)
        check_out(opened.storage, opened.facts, is_sandbox=named.is_sandbox, ledger=options.ledger)
        lines = list(opened.ledger.lines(opened.facts.out_id))
        if num_partial := count_partial(lines, named.gateway):
            raise OutError(f"{opened.storage}: {num_partial} of its requests are {NOT_WHOLE}.", COMPLETE)
        requests = requests_of(lines)
        asked = population(requests, named.gateway)
        if not asked:
            raise _nothing_to_draw(opened, requests, named.gateway)
        drawn = draw(asked, sample_size(number, len(asked)))
        rows = [row for one in drawn if (row := to_make(one, since)) is not None]
        plan = given_plan(opened.facts.table, map(spec_of, rows))
        prepared = prepared_for(plan, named, options, out=find_out(out), facts=opened.facts)
    return Repetition(prepared=prepared, population=len(asked), sampled=len(drawn))


def parse_sample(text: str) -> int | float:
    """`20` requests, or the share that `5%` or `0.05` means. Raises SettingsError."""
    raw = str(text).strip()
    if raw.isdigit() and int(raw) > 0:
        return int(raw)
    share = parse_share("sample", raw) if not raw.isdigit() else None
    if not share:
        raise SettingsError(f"--sample: got {text!r}, expected a share such as 5% or a number such as 20.")
    return share


def parse_age(text: str) -> timedelta:
    """`12h`, `6d`, `1w`. Raises SettingsError."""
    found = _AGE.fullmatch(text.strip())
    if found is None:
        raise SettingsError(f"--fresh: got {text!r}, expected an age such as 12h, 6d or 1w.")
    return timedelta(hours=int(found[1]) * _HOURS[found[2]])


def _nothing_to_draw(opened: OpenOut, requests: Sequence[Request], gateway: str) -> OutError:
    others = sorted({one.first.gateway for one in requests} - {gateway})
    if others:
        return OutError(
            f"nothing in {opened.storage} was made by {gateway}; it holds rows of {', '.join(others)}.",
            f"Give --gateway {others[0]}.",
        )
    return OutError(f"{opened.storage} has no row that succeeded.", "Run its table first.")
