"""`reelsweep show OUT ROW`: everything known about one row."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import asdict
from itertools import chain
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter
from reelsweep.flows.commands.screen import print_json
from reelsweep.flows.out.again import COMPLETE, NOT_WHOLE, command_for
from reelsweep.flows.out.outs import OpenOut, open_out
from reelsweep.flows.reporting.display import escape_terminal
from reelsweep.prompts.errors import UsageError
from reelsweep.tasks.gateway.transcript import scrub_text
from reelsweep.tasks.ledger.records import AttemptRecord, Line

FINGERPRINT_MIN = 6
"""Digits of a fingerprint that are enough to look for."""


def show(
    out: str,
    row: str,
    *,
    ledger: str | None = None,
    json: Annotated[bool, Parameter(negative=())] = False,
) -> int:
    """Show rows by prompt id, fingerprint (its beginning will do) or file name, with every attempt.

    Parameters
    ----------
    out
        An output folder.
    row
        A prompt id, a request fingerprint or a file name.
    ledger
        Its ledger, when that is not OUT/ledger.db.
    json
        Print one JSON object on stdout.
    """
    with open_out(out, ledger) as opened, opened.ledger.state(opened.facts.out_id) as state:
        lines = [line for line in state.lines() if matches(line, row)]
        if not lines:
            raise UsageError(
                f"{out} has no row {row!r}.",
                f"The names are in the columns prompt_id, request_fingerprint and file_name of"
                f" {opened.storage}/manifest.parquet, and on {opened.storage}/index.html.",
            )
        wanted = {line.plan.request_fingerprint for line in lines}
        attempts = [attempt for attempt in state.attempts() if attempt.request_fingerprint in wanted]
        document = {"rows": [record_of(opened, line, attempts) for line in lines]}
    if json:
        print_json(document)
    else:
        for record in document["rows"]:
            _print(record)
    return 0


def matches(line: Line, row: str) -> bool:
    """Whether `row` names this line."""
    plan = line.plan
    results = line.attempt.results if line.attempt else ()
    names = {Path(result.file_name).name for result in results if result.file_name}
    names |= {result.file_name for result in results if result.file_name}
    by_hash = len(row) >= FINGERPRINT_MIN and plan.request_fingerprint.startswith(row)
    return plan.prompt_id == row or by_hash or row in names


def record_of(opened: OpenOut, line: Line, attempts: list[AttemptRecord]) -> dict[str, Any]:
    """The record, its attempts, its transcripts and the command that makes it again."""
    asked = (line.gateway, line.plan.request_fingerprint)
    mine = [attempt for attempt in attempts if (attempt.gateway, attempt.request_fingerprint) == asked]
    return {
        "row": {**asdict(line.plan), "params": dict(line.plan.params), "meta": dict(line.plan.meta)},
        "status": line.status,
        "in_plan": line.in_plan,
        "cost_usd": None if line.cost_musd is None else line.cost_musd / 1e6,
        "attempts": [
            {
                **_scrubbed(asdict(attempt)),
                "results": [_scrubbed(asdict(result)) for result in attempt.results],
            }
            for attempt in mine
        ],
        "transcripts": [f"{opened.storage}/transcripts/{a.transcript}" for a in mine if a.transcript],
        "again": again(opened, line),
    }


def _scrubbed(known: dict[str, Any]) -> dict[str, Any]:
    """Without the signatures of addresses: what is shown may be sent to somebody."""
    texts = {name: scrub_text(value) for name, value in known.items() if isinstance(value, str)}
    return {**known, **texts}


def again(opened: OpenOut, line: Line) -> str | None:
    """The command that makes exactly this row again; None where its request is not wholly known."""

    def payload(fingerprint: str) -> str:
        return asyncio.run(opened.ledger.payload(line.gateway, fingerprint))

    def image(sha256: str) -> str | None:
        return opened.storage.find("inputs", sha256)

    return command_for(line.plan, line.gateway, str(opened.storage), payload, image)


def _print(record: dict[str, Any]) -> None:
    row = record["row"]
    lines = [
        f"{row['prompt_id']}  {record['status']}  {row['request_fingerprint']}",
        f"  prompt    {row['prompt']}",
        f"  model     {row['model']}   seed {row['seed']}   sample {row['sample_idx']}",
        *(_attempt_line(attempt) for attempt in record["attempts"]),
        *(f"  transcript {name}" for name in record["transcripts"]),
        f"  again     {record['again'] or f'{NOT_WHOLE}. {COMPLETE}'}",
    ]
    sys.stdout.write("\n".join(escape_terminal(line) for line in lines) + "\n")


def _attempt_line(attempt: dict[str, Any]) -> str:
    """One attempt; what kept a result from being stored stands where its file would."""
    parts = (attempt["state"], attempt["kind"], attempt["error_type"], attempt["error_message"])
    ends = (
        (it["file_name"],) if it["file_name"] else (it["error_type"], it["error_message"])
        for it in attempt["results"]
    )
    told = dict.fromkeys(part for part in (*parts, *chain.from_iterable(ends)) if part)
    return f"  attempt   {attempt['attempt_id']}  " + "  ".join(told)
