"""The files of an OUT, published from the ledger.

After the ledger, before whoever looks at the result. Every file is replaced whole, and a file never speaks
of what is not there yet: attempts, plan, manifest and metadata are renamed in that order.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from reelsweep.tasks.artifacts.checklist import Checks
from reelsweep.tasks.ledger.records import AttemptRecord, Line, ManifestStatus
from reelsweep.tasks.manifest.beside import beside, in_trouble, replace_durably, sync_folder
from reelsweep.tasks.manifest.columns import ATTEMPTS, MANIFEST, PLAN
from reelsweep.tasks.manifest.metadata import write_metadata
from reelsweep.tasks.manifest.rows import Row, SeedHonoured, attempt_row, manifest_rows, plan_row
from reelsweep.tasks.manifest.selection import Selection
from reelsweep.tasks.manifest.settle import SETTLE_S, settle
from reelsweep.tasks.manifest.sink import Sink
from reelsweep.tasks.manifest.totals import Totals
from reelsweep.tasks.manifest.verdicts import Verdicts
from reelsweep.tasks.storage.out import Out, as_out

PARQUET = ("attempts.parquet", "plan.parquet", "manifest.parquet", "metadata.parquet")
"""In the order in which they are renamed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """What was published."""

    rows: int
    counts: Mapping[ManifestStatus, int]
    """Rows by status, all that were ever planned."""
    counts_in_plan: Mapping[ManifestStatus, int]
    """Of them, those the latest plan asks for."""
    cost_musd: int
    reserved_musd: int
    selection: Selection


def publish(
    out: Path | Out,
    lines: Iterable[Line],
    attempts: Iterable[AttemptRecord],
    facts: Mapping[str, str],
    *,
    seed_honoured: SeedHonoured | None = None,
    settle_s: float | None = SETTLE_S,
) -> Published:
    """Write manifest, attempts, plan and metadata of `out` from the ledger's state, on its desk.

    `facts` about the run go into the Parquet key-value metadata as `reelsweep.<name>`; `checks` among them
    are the content checks that judge the rows, as `--checks` takes them. The caller holds OUT's
    lock and reads `lines` after the last call returned, so no file goes back in time. Same input, same bytes;
    with `settle_s` None the files are left as a refresh leaves them, see `regions.py`.
    Raises TroubleError when the files cannot be written; the old ones are then as they were.
    """
    storage = as_out(out)
    desk = storage.desk
    with in_trouble(desk), ExitStack() as parts:
        desk.mkdir(parents=True, exist_ok=True)
        parts.callback(_discard, desk)
        totals = _write(storage, lines, attempts, facts, seed_honoured)
        for name in PARQUET:
            replace_durably(desk / name)
        sync_folder(desk)
        if settle_s is not None:
            settle([desk / name for name in PARQUET], settle_s)
    return Published(
        rows=totals.num_rows,
        counts=dict(totals.counts),
        counts_in_plan=dict(totals.counts_in_plan),
        cost_musd=totals.cost_musd,
        reserved_musd=totals.reserved_musd,
        selection=totals.selection,
    )


def _write(
    storage: Out,
    lines: Iterable[Line],
    attempts: Iterable[AttemptRecord],
    facts: Mapping[str, str],
    seed_honoured: SeedHonoured | None,
) -> Totals:
    """Write and fsync every file under its neighbour's name."""
    totals, out = Totals(), storage.desk
    checks = Checks.parse(facts.get("checks", "default"))
    with Sink(out / "manifest.parquet", MANIFEST) as manifest, Sink(out / "plan.parquet", PLAN) as plan:

        def rows() -> Iterator[Row]:
            for line in lines:
                plan.add(plan_row(line))
                totals.add_line(line)
                yield from manifest_rows(line, seed_honoured, checks)

        for row in Verdicts(checks).judge(rows()):
            manifest.add(row)
            totals.add_row(row)
        full = {**facts, "checks": str(checks), **totals.facts()}
        plan.finish(full)
        manifest.finish(full)
    write_metadata(storage, manifest.columns, full)
    with Sink(out / "attempts.parquet", ATTEMPTS) as sink:
        for record in attempts:
            sink.add(attempt_row(record))
        sink.finish(full)
    return totals


def _discard(out: Path) -> None:
    for name in PARQUET:
        beside(out / name).unlink(missing_ok=True)
