"""`reelsweep seedcheck`: does this gateway honour `seed`?"""

from __future__ import annotations

import asyncio
import os
import sys
from typing import Annotated, Any

from cyclopts import Parameter
from reelsweep.flows.access import SANDBOX
from reelsweep.flows.bulk import bulk
from reelsweep.flows.commands.screen import cost_line, print_grid, print_json
from reelsweep.flows.commands.spending import SpendingFlags, outlive_server, stage
from reelsweep.flows.execution.progress import DISPLAY
from reelsweep.flows.execution.run import DECIDED, PREPARED
from reelsweep.flows.options import parse_pairs
from reelsweep.flows.planning.gate import pass_gate
from reelsweep.flows.planning.preview import Preview, preview
from reelsweep.flows.reporting.display import Display, escape_terminal
from reelsweep.flows.reporting.terminal import LogFormat
from reelsweep.flows.reproduction.seedchecking import PROMPT, Experiment, conclude_experiment, plan_experiment
from reelsweep.flows.summary import RunStopped, RunSummary
from reelsweep.prompts.errors import SettingsError
from reelsweep.prompts.request import Output
from reelsweep.prompts.wording import count
from reelsweep.tasks.seedcheck.known import Known

MEANING = {
    "honoured": "the same seed gives the same result; manifests say seed_honoured yes",
    "ignored": "results do not follow the seed; manifests say seed_honoured no",
    "echoed only": "the gateway repeats the seed and does not follow it; manifests say seed_honoured no",
    "cannot tell": "this says nothing either way; manifests say seed_honoured unknown",
}


def seedcheck(
    *,
    flags: Annotated[SpendingFlags, Parameter(name="*")] = SpendingFlags(),  # noqa: B008
    model: str | None = None,
    prompt: str = PROMPT,
    output: Output = "video",
    size: str | None = None,
    seconds: str | None = None,
    set_: Annotated[tuple[str, ...], Parameter(name="--set", negative=())] = (),
    out: str | None = None,
    again: Annotated[bool, Parameter(negative=())] = False,
    yes: Annotated[bool, Parameter(negative=())] = False,
    json: Annotated[bool, Parameter(negative=())] = False,
    log_format: LogFormat = "text",
) -> int:
    """Buy three generations, two of them with one seed, and tell whether the gateway honours `seed`.

    The verdict is kept (below REELSWEEP_HOME, else ~/.reelsweep): `plan` shows it, and `run` writes it into
    the manifest as seed_honoured. The same command again answers from the evidence and buys nothing.

    Try it: reelsweep seedcheck

    Parameters
    ----------
    model
        The model; sora-2 when not given.
    prompt
        What is asked for, three times.
    output
        What the model yields.
    size
        The size of the clips, such as 320x180: small ones are cheap.
    seconds
        Their length.
    set_
        COLUMN=VALUE, as for run; repeatable.
    out
        Where the evidence is kept; runs/seedcheck/GATEWAY-MODEL when not given.
    again
        Buy three more, with other seeds.
    yes
        Do not ask before spending.
    json
        Print one JSON object on stdout.
    log_format
        How stderr is written when it is no terminal.
    """
    fixed = parse_pairs("set", set_) | {
        name: text for name, text in (("size", size), ("seconds", seconds)) if text
    }
    for name in ("seed", "samples", "prompt_id"):
        if name in fixed:
            raise SettingsError(f"--set {name}: the experiment chooses it.", "Leave it out.")
    prompt = fixed.pop("prompt", prompt)
    gateway = flags.gateway or os.environ.get("REELSWEEP_GATEWAY", "").strip() or SANDBOX
    options = flags.options(gateway=gateway, model=model, output=output, set_=fixed, out=out)
    experiment = plan_experiment(options, prompt, again=again)
    shown = asyncio.run(preview(experiment.prepared))
    print_grid(experiment_lines(experiment, prompt, shown), sys.stderr)
    run: RunSummary | None = None
    if shown.done + shown.billed_failures < shown.planned:
        if not pass_gate(experiment.prepared, shown, yes=yes):
            sys.stderr.write("Nothing was sent.\n")
            return 0
        with stage(experiment.prepared, log_format) as display:
            run = asyncio.run(_run(experiment, display))
    known = conclude_experiment(experiment)
    if json:
        print_json(known_json(known, run))
    else:
        print_known(known, run)
    return 0 if run is None else run.exit_code


async def _run(experiment: Experiment, display: Display) -> RunSummary:
    decided: list[RunSummary] = []
    DISPLAY.set(display)
    PREPARED.set(experiment.prepared)
    DECIDED.set(decided)
    try:
        return await outlive_server(bulk("seedcheck"), decided)
    except RunStopped as stopped:
        return stopped.summary


def experiment_lines(experiment: Experiment, prompt: str, shown: Preview) -> list[tuple[str, str]]:
    """What is about to be bought: a name and a value each."""
    seed = experiment.seed
    return [
        ("experiment", f"A and A' with seed {seed}, B with seed {seed + 1}: {experiment.model}, {prompt!r}"),
        ("gateway", shown.gateway),
        ("out", shown.out),
        ("to make", str(shown.to_make)),
        ("cost", cost_line(shown) if shown.to_make else "nothing"),
    ]


def known_json(known: Known, run: RunSummary | None) -> dict[str, Any]:
    """The object `seedcheck --json` prints."""
    return {
        **known.model_dump(mode="json"),
        "seed_honoured": known.honoured or "unknown",
        "posts": 0 if run is None else run.posts,
        "stopped": None if run is None else run.stopped,
    }


def print_known(known: Known, run: RunSummary | None) -> None:
    """The verdict in words; what stopped the run on stderr."""
    lines = [
        f"{known.model} at {known.gateway}: seed {known.verdict}",
        f"  {known.reason}",
        f"  {MEANING[known.verdict]}",
        f"  evidence: {known.evidence}; {count(0 if run is None else run.posts, 'POST')} now",
    ]
    sys.stdout.write("".join(escape_terminal(line) + "\n" for line in lines))
    if run is not None and run.stopped is not None:
        sys.stderr.write(f"stopped: {escape_terminal(run.stopped)}\n")
