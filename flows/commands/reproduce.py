"""`reelsweep reproduce OUT`: would I get this again?"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal, cast

from cyclopts import Parameter
from reelsweep.flows.commands.screen import cost_line, print_grid, print_json
from reelsweep.flows.commands.spending import SpendingFlags, outlive_server, stage
from reelsweep.flows.execution.progress import DISPLAY
from reelsweep.flows.options import parse_concurrency
from reelsweep.flows.planning.gate import pass_gate
from reelsweep.flows.planning.preview import Preview, preview
from reelsweep.flows.reporting.display import Display, escape_terminal
from reelsweep.flows.reporting.terminal import LogFormat
from reelsweep.flows.reproduce import reproduce as reproduce_flow
from reelsweep.flows.reproduction.repetition import Repetition, draw_repetition
from reelsweep.flows.reproduction.reproducing import CONCLUDED, DRAWN, Reproduction, conclude
from reelsweep.flows.summary import RunStopped
from reelsweep.prompts.wording import count
from reelsweep.tasks.reproduction.verdicts import LIKENESSES

MOST_SHOWN = 20


def reproduce(
    out: str,
    *,
    sample: str = "5%",
    fresh: str | None = None,
    flags: Annotated[SpendingFlags, Parameter(name="*")] = SpendingFlags(),  # noqa: B008
    max_posts: int | None = None,
    concurrency: str = "auto",
    rpm: float | None = None,
    on_unknown: Literal["hold", "resubmit"] = "hold",
    yes: Annotated[bool, Parameter(negative=())] = False,
    json: Annotated[bool, Parameter(negative=())] = False,
    log_format: LogFormat = "text",
) -> int:
    """Make a sample of an OUT's requests again and compare: would I get this again?

    The repetitions are bought under the next sample_idx, into the same OUT and ledger. Requests that were
    made more than once already are compared as they are; a second call buys nothing. Without --gateway they
    are asked of the gateway of the OUT's latest run, where you have named it on this machine before.

    Try it: reelsweep run example: && reelsweep reproduce runs/sandbox/example --sample 25%

    Parameters
    ----------
    out
        An output folder.
    sample
        How many of its requests: a share such as 5%, or a number such as 20.
    fresh
        Repetitions older than this (12h, 6d, 1w) do not count and are made anew.
    max_posts
        Send at most N POSTs.
    concurrency
        Generations in flight.
    rpm
        POSTs a minute at most.
    on_unknown
        What to do with repetitions whose purchase has an unknown fate.
    yes
        Do not ask before spending.
    json
        Print one JSON object on stdout.
    log_format
        How stderr is written when it is no terminal.
    """
    options = flags.options(
        max_posts=max_posts,
        concurrency=parse_concurrency(concurrency),
        rpm=rpm,
        on_unknown=on_unknown,
        rebuy=True,
    )
    drawn = draw_repetition(out, options, sample=sample, fresh=fresh)
    shown = asyncio.run(preview(drawn.prepared))
    print_grid(sample_lines(drawn, shown), sys.stderr)
    if not shown.to_make + shown.in_progress + shown.unknown:
        found = conclude(drawn, None)
    elif pass_gate(drawn.prepared, shown, yes=yes):
        with stage(drawn.prepared, log_format) as display:
            found = asyncio.run(_run(out, drawn, display))
    else:
        sys.stderr.write("Nothing was sent.\n")
        return 0
    if json:
        print_json(found_json(found))
    else:
        print_found(found)
    return found.exit_code


async def _run(out: str, drawn: Repetition, display: Display) -> Reproduction:
    """What was found, also when the run was stopped before its end."""
    concluded: list[Reproduction] = []
    DISPLAY.set(display)
    DRAWN.set(drawn)
    CONCLUDED.set(concluded)
    try:
        return await outlive_server(reproduce_flow(out), concluded)
    except RunStopped:
        return concluded[-1]


def sample_lines(drawn: Repetition, shown: Preview) -> list[tuple[str, str]]:
    """What is about to be bought: a name and a value each."""
    made = drawn.sampled - drawn.num_missing
    already = f"; {made} of them made again before" if made else ""
    return [
        ("sample", f"{drawn.sampled} of {drawn.population} requests{already}"),
        ("gateway", shown.gateway),
        ("out", shown.out),
        ("to make", str(shown.to_make)),
        ("cost", cost_line(shown) if shown.to_make else "nothing"),
    ]


def found_json(found: Reproduction) -> dict[str, Any]:
    """The object `reproduce --json` prints."""
    run = found.run
    return {
        **found.model_dump(exclude={"run", "reconcile"}),
        "posts": 0 if run is None else run.posts,
        "cost_usd": None if run is None else run.cost_usd,
        "stopped": None if run is None else run.stopped,
    }


def print_found(found: Reproduction) -> None:
    """The verdicts on stdout, what stopped the run on stderr."""
    several = len({str(verdict["gateway"]) for verdict in found.verdicts}) > 1
    for verdict in found.verdicts[:MOST_SHOWN]:
        where = f"{verdict['gateway']}, " if several else ""
        lines = (escape_terminal(line) for line in verdict_lines(verdict))
        sys.stdout.write(escape_terminal(where) + "\n".join(lines) + "\n")
    if (more := len(found.verdicts) - MOST_SHOWN) > 0:
        sys.stdout.write(f"and {more} more, in --json\n")
    if len(found.verdicts) > 1:
        sys.stdout.write(total_line(found.verdicts) + "\n")
    posts = 0 if found.run is None else found.run.posts
    sys.stdout.write(f"{count(posts, 'POST')} now; every pair: {found.report}\n")
    if found.run is not None and found.run.stopped is not None:
        sys.stderr.write(f"stopped: {escape_terminal(found.run.stopped)}\n")
    elif found.exit_code:
        asks = f"`{found.reconcile}` asks for them; " if found.reconcile else ""
        remedy = f"{asks}--on-unknown resubmit buys them again."
        sys.stderr.write(f"Some are open: {escape_terminal(remedy)}\n")


def verdict_lines(verdict: Mapping[str, Any]) -> Iterator[str]:
    """One model, one gateway, one fingerprint: a headline, and a line per likeness with its interval."""
    before, after = verdict["system_fingerprint"], verdict["again_system_fingerprint"]
    mark = (before or "no fingerprint") if before == after else f"{before or 'none'}, then {after or 'none'}"
    seeds = "" if verdict["seeded"] else ", no seed"
    yield f"{verdict['model']}, {mark}{seeds}: {count(verdict['compared'], 'pair')} compared"
    for name in LIKENESSES if verdict["compared"] else ():
        share = cast(Mapping[str, Any], verdict[name])
        yield f"  {name:<16}{share['pairs']:>5}   {share['low']:>4.0%} to {share['high']:>4.0%}"
    for name in ("failed", "open"):
        if verdict[name]:
            yield f"  {name:<16}{verdict[name]:>5}"


def total_line(verdicts: Sequence[Mapping[str, Any]]) -> str:
    """All groups together, as counts alone: an interval over different gateways would say nothing."""
    counts = {name: sum(verdict[name]["pairs"] for verdict in verdicts) for name in LIKENESSES}
    counts |= {name: sum(verdict[name] for verdict in verdicts) for name in ("failed", "open")}
    return "in all: " + ", ".join(f"{number} {name}" for name, number in counts.items() if number)
