"""What the published files say of an OUT as a whole, where its ledger cannot be asked."""

# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false, reportUnknownMemberType=false
# pyarrow ships no types; nothing of it is unknown outside this folder's Arrow modules.
from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from reelsweep.prompts.errors import OutError
from reelsweep.tasks.ledger.records import OpenAt, Picture, Tally
from reelsweep.tasks.manifest.read import existing, published_attempts

_COLUMNS = ("gateway", "request_fingerprint", "status", "in_plan", "cost_usd", "reserved_usd")


def read_published(out: str | Path) -> Picture:
    """Counts, money and what is open, as they were when the manifest was written last.

    Raises OutError where there is no manifest, or a damaged one.
    """
    try:
        rows = pq.read_table(existing(out, "manifest.parquet"), columns=list(_COLUMNS)).to_pylist()
    except (OSError, pa.ArrowException) as error:
        raise OutError(f"The manifest of {out} cannot be read.", "Run the table again.") from error
    counts = Counter(row["status"] for row in rows if row["in_plan"])
    return Picture(
        tally=Tally(
            counts=counts,
            posts=len(published_attempts(out)),
            cost_musd=_sum_musd(rows, "cost_usd"),
            reserved_musd=_sum_musd(rows, "reserved_usd"),
            in_flight=0,
        ),
        open_at=tuple(_open_at(rows)),
    )


def _sum_musd(rows: Iterable[Mapping[str, Any]], name: str) -> int:
    return round(sum(row[name] or 0 for row in rows) * 1e6)


def _open_at(rows: Iterable[Mapping[str, Any]]) -> Iterable[OpenAt]:
    """By gateway; a request that several rows share counts once."""
    open_rows = [row for row in rows if row["status"] in ("unknown", "failed_to_download")]
    planned = {(row["gateway"], row["request_fingerprint"]) for row in open_rows if row["in_plan"]}
    requests = {(row["gateway"], row["request_fingerprint"]): row["status"] for row in open_rows}
    for gateway in sorted({name for name, _ in requests}):
        mine = {asked: status for asked, status in requests.items() if asked[0] == gateway}
        unknown = sum(status == "unknown" for status in mine.values())
        yield OpenAt(
            gateway=gateway,
            unknown=unknown,
            waiting=len(mine) - unknown,
            num_left=len(mine.keys() - planned),
        )
