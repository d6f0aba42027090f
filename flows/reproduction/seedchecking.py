"""The smallest paid experiment on `seed`: three ordinary generations in an OUT of their own, and a verdict.

A and A' are two samples of one request with one seed, B is the same request with another seed. A round has
seeds of its own; the OUT of one gateway and model keeps them all and is the evidence.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from reelsweep.flows.access import named_gateway
from reelsweep.flows.options import RunOptions
from reelsweep.flows.out.outs import OpenOut, open_out
from reelsweep.flows.out.places import find_out
from reelsweep.flows.prepare import RUNS, Prepared, prepare
from reelsweep.prompts.records import ColumnRecords, Table
from reelsweep.prompts.settings import DEFAULT_MODEL
from reelsweep.tasks.ledger.records import FINAL, Line
from reelsweep.tasks.manifest.outfile import read_out
from reelsweep.tasks.reproduction.pairs import look_of
from reelsweep.tasks.seedcheck.echo import echoes_seed
from reelsweep.tasks.seedcheck.known import Known, home_folder, keep
from reelsweep.tasks.seedcheck.verdict import Made, judge

PROMPT = "A red paper boat drifts across a calm pond in the morning light."
SAME, OTHER = "same-seed", "other-seed"
FIRST_SEED = 4001
_UNSAFE = re.compile(r"[^A-Za-z0-9.]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Experiment:
    """One round, ready to be made."""

    prepared: Prepared
    model: str
    seed: int
    """Of A and A'; B's is the next."""


def plan_experiment(options: RunOptions, prompt: str, *, again: bool = False) -> Experiment:
    """The latest round of this gateway and model, or with `again` the one after it. Sends nothing."""
    model = options.model or DEFAULT_MODEL
    named = named_gateway(options)
    out = options.out or str(RUNS / "seedcheck" / f"{_slug(named.gateway)}-{_slug(model)}")
    options = replace(options, out=out, model=model, rebuy=True, keep_transcripts=True)
    seed = FIRST_SEED
    if read_out(find_out(out)) is not None:
        with open_out(out, options.ledger) as opened:
            seed = _next_seed(opened.ledger.lines(opened.facts.out_id), again=again)
    return Experiment(prepared=prepare(round_table(prompt, seed), options), model=model, seed=seed)


def round_table(prompt: str, seed: int) -> Table:
    """The three generations as a prompt table: a row with two samples, a row with the next seed."""
    columns = {
        "prompt_id": [SAME, OTHER],
        "prompt": [prompt, prompt],
        "seed": [seed, seed + 1],
        "samples": [2, 1],
    }
    return Table(
        name="seedcheck",
        stem="seedcheck",
        folder=None,
        sha256="",
        columns=tuple(columns),
        records=ColumnRecords(tuple(columns.values())),
    )


def conclude_experiment(experiment: Experiment) -> Known:
    """The verdict of what was made; kept for this user's `plan` and `run`."""
    prepared = experiment.prepared
    with open_out(str(prepared.storage), prepared.options.ledger) as opened:
        asked = frozenset(prepared.plan.fingerprints())
        lines = opened.ledger.lines(opened.facts.out_id)
        made = {_cell(line): line for line in lines if line.plan.request_fingerprint in asked}
        seed = experiment.seed
        cells = ((seed, 0), (seed, 1), (seed + 1, 0))
        names = ("A", "A'", "B")
        one, same, other = (_made(name, made[cell], opened) for name, cell in zip(names, cells, strict=True))
        ended = [line.attempt.completed_at for line in made.values() if line.attempt]
    finding = judge(one, same, other)
    known = Known(
        gateway=prepared.gateway,
        model=experiment.model,
        verdict=finding.verdict,
        reason=finding.reason,
        same=finding.same,
        other=finding.other,
        checked_at=max((end for end in ended if end is not None), default=datetime.now(UTC)),
        evidence=str(prepared.storage),
    )
    keep(home_folder(), known)
    return known


def _made(name: str, line: Line, opened: OpenOut) -> Made:
    attempt = line.attempt
    result = next((result for result in attempt.results if result.choice_idx == 0), None) if attempt else None
    if attempt is None or result is None:
        message = attempt.error_message if attempt else None
        return Made(name=name, status=line.status, message=message or "")
    body = opened.storage.read(f"transcripts/{attempt.transcript}") if attempt.transcript else None
    return Made(
        name=name,
        status=line.status,
        message=result.error_message or "",
        look=look_of(result),
        said=f"{result.text or ''}{result.tool_calls or ''}",
        job=attempt.gateway_task_id or attempt.completion_id,
        echoes_seed=echoes_seed(body or b"", line.plan.seed or 0),
    )


def _next_seed(lines: Iterable[Line], *, again: bool) -> int:
    """The first seed of the latest round, or of a new one: `again`, and the latest has ended."""
    rounds: dict[int, list[Line]] = defaultdict(list)
    for line in lines:
        if line.plan.seed is not None:
            rounds[(line.plan.seed - FIRST_SEED) // 2].append(line)
    latest = max(rounds, default=0)
    has_ended = all(line.status in FINAL for line in rounds[latest])
    return FIRST_SEED + 2 * (latest + (again and has_ended))


def _cell(line: Line) -> tuple[int | None, int]:
    return line.plan.seed, line.plan.sample_idx


def _slug(text: str) -> str:
    return _UNSAFE.sub("-", text.partition("://")[2] or text).strip("-")
