"""`reelsweep verify PATH`: every file of an OUT or an export against what is written about it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated

from cyclopts import Parameter
from reelsweep.flows.commands.meter import metering
from reelsweep.flows.commands.screen import print_json
from reelsweep.flows.reporting.display import escape_terminal
from reelsweep.tasks.export.card.wording import size
from reelsweep.tasks.verify.findings import Finding, Report
from reelsweep.tasks.verify.verify import verify as verify_files

SHOWN = 50
"""Files of a kind that are listed; `--json` lists all."""


def verify(path: str, *, json: Annotated[bool, Parameter(negative=())] = False) -> int:
    """Check every file of an output folder, or of an export, by size and sha256. Offline.

    Files that are missing, changed or foreign are listed, and the exit code is 1 if there are any. Of an
    output folder the clips are held against manifest.parquet, images and rejected files against the hash in
    their name; of an export every file against the hashes in .reelsweep/.

    Parameters
    ----------
    path
        An output folder or an export; a path, or a URL such as s3://bucket/export.
    json
        Print one JSON object on stdout, with every file.
    """
    with metering() as meter:
        report = verify_files(path, meter)
    if json:
        print_json({**asdict(report), "clean": report.is_clean})
    else:
        sys.stdout.write("".join(f"{escape_terminal(line)}\n" for line in report_lines(report)))
    return 0 if report.is_clean else 1


def report_lines(report: Report) -> list[str]:
    """The report for a person; the verdict last."""
    lists = (("missing", report.missing), ("changed", report.changed), ("foreign", report.foreign))
    lines = [line for word, findings in lists for line in _list(word, findings)]
    lines += [f"note: {note}" for note in report.notes]
    if report.pending:
        lines.append(f"note: {len(report.pending):,} whole clips are not in the manifest yet")
    counts = ", ".join(f"{len(findings):,} {word}" for word, findings in lists if findings)
    what = f"{report.checked:,} files, {size(report.size_bytes)}"
    verdict = "everything is there, as written, and nothing else" if report.is_clean else counts
    return [*lines, f"{report.where}: {what} checked; {verdict}"]


def _list(word: str, findings: Sequence[Finding]) -> list[str]:
    more = len(findings) - SHOWN
    tail = [f"{word}: and {more:,} more (--json lists all)"] if more > 0 else []
    return [f"{word}: {finding}" for finding in findings[:SHOWN]] + tail
