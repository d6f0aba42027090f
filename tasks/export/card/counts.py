"""What a dataset's card says in figures: of the clips that were exported, and of all that was asked. Pure.

Refusals, costs and rejections are counted over the whole manifest: a filter must not make a model look tame.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from reelsweep.tasks.export.shards import Sample

Row = Mapping[str, Any]
COLUMNS = (
    *("gateway", "model", "served_model", "system_fingerprint", "status", "output", "refused_at"),
    *("accepted", "prompt_id", "prompt", "seed", "seed_honoured", "frames_sha256", "sha256"),
    *("width", "height", "fps", "duration_s", "has_audio", "cost_usd", "reserved_usd", "completed_at"),
)
"""What is counted, beside the columns that begin with `CHECK`; one that is not there is null in every row."""
CHECK = "check_"
ANSWERED = frozenset({"success", "refused", "failed", "invalid_output", "failed_to_download"})
"""Statuses of rows a gateway has answered for good."""


@dataclass(slots=True)
class Maker:
    """One model at one gateway."""

    statuses: Counter[str] = field(default_factory=Counter[str])
    clips: int = 0
    seeds: set[int] = field(default_factory=set[int])
    honoured: set[str] = field(default_factory=set[str])

    @property
    def answered(self) -> int:
        """Rows that came to an end at the gateway."""
        return sum(self.statuses[status] for status in ANSWERED)

    @property
    def refused(self) -> int:
        """Rows it refused."""
        return self.statuses["refused"]

    @property
    def refusal_rate(self) -> float | None:
        """Of the rows that came to an end, the part that was refused."""
        return self.refused / self.answered if self.answered else None

    @property
    def seed_honoured(self) -> str:
        """What is known about seeds: yes, no, unknown, or a mixture; a dash without seeds."""
        return ", ".join(sorted(self.honoured)) or "–"


@dataclass(slots=True)
class Stratum:
    """Clips made under one configuration of a gateway, as far as it says."""

    clips: int = 0
    first_at: datetime | None = None
    last_at: datetime | None = None

    def add(self, at: datetime | None) -> None:
        """Count one clip."""
        self.clips += 1
        if at is not None:
            self.first_at = min(self.first_at or at, at)
            self.last_at = max(self.last_at or at, at)


@dataclass(slots=True)
class Prompt:
    """One prompt and its clips."""

    text: str
    split: str
    clips: int = 0


@dataclass(slots=True, kw_only=True)
class Counts:
    """Everything the card counts."""

    rows: int = 0
    texts: int = 0
    """Rows that ask for text, which no export holds."""
    makers: dict[tuple[str, str], Maker] = field(
        default_factory=lambda: defaultdict[tuple[str, str], Maker](Maker)
    )
    statuses: Counter[str] = field(default_factory=Counter[str])
    refused_at: Counter[str] = field(default_factory=Counter[str])
    judged: int = 0
    """Clips the content checks have spoken of."""
    rejected: int = 0
    failed_checks: Counter[str] = field(default_factory=Counter[str])
    """A clip may fail several."""
    cost_usd: float | None = None
    reserved_usd: float = 0.0

    clips: int = 0
    clips_by_split: Counter[str] = field(default_factory=Counter[str])
    seconds_by_split: Counter[str] = field(default_factory=Counter[str])
    bytes_by_split: Counter[str] = field(default_factory=Counter[str])
    prompts: dict[tuple[str, str], Prompt] = field(default_factory=dict[tuple[str, str], Prompt])
    strata: dict[tuple[str, str, str, str], Stratum] = field(
        default_factory=lambda: defaultdict[tuple[str, str, str, str], Stratum](Stratum)
    )
    durations: list[float] = field(default_factory=list[float])
    sizes: Counter[str] = field(default_factory=Counter[str])
    rates: Counter[str] = field(default_factory=Counter[str])
    with_audio: int = 0
    looks: Counter[str] = field(default_factory=Counter[str])
    """Clips by what is to be seen in them, frame by frame."""

    @property
    def same_looks(self) -> int:
        """Clips that show exactly what another one shows."""
        return sum(number - 1 for number in self.looks.values())

    @property
    def per_clip_usd(self) -> float | None:
        """All that was paid, over the clips of the export."""
        return None if self.cost_usd is None else self.cost_usd / self.clips


def count(rows: Sequence[Row], samples: Iterable[Sample]) -> Counts:
    """Count a manifest's rows, and of them the samples'."""
    counts = Counts()
    for row in rows:
        _count_row(counts, row)
    for sample in samples:
        _count_clip(counts, rows[sample.row], sample)
    return counts


def _count_row(counts: Counts, row: Row) -> None:
    counts.rows += 1
    counts.texts += row["output"] == "text"
    counts.statuses[row["status"]] += 1
    maker = counts.makers[row["gateway"], row["model"]]
    maker.statuses[row["status"]] += 1
    if row["seed"] is not None:
        maker.honoured.add(row["seed_honoured"] or "unknown")
    if row["status"] == "refused":
        counts.refused_at[row["refused_at"] or "unspecified"] += 1
    if row["accepted"] is not None:
        counts.judged += 1
        counts.rejected += not row["accepted"]
        counts.failed_checks.update(name for name in row if name.startswith(CHECK) and row[name] is False)
    if row["cost_usd"] is not None:
        counts.cost_usd = (counts.cost_usd or 0.0) + row["cost_usd"]
    counts.reserved_usd += row["reserved_usd"] or 0.0


def _count_clip(counts: Counts, row: Row, sample: Sample) -> None:
    counts.clips += 1
    counts.clips_by_split[sample.split] += 1
    counts.bytes_by_split[sample.split] += sample.size_bytes
    counts.seconds_by_split[sample.split] += row["duration_s"] or 0
    maker = counts.makers[row["gateway"], row["model"]]
    maker.clips += 1
    if row["seed"] is not None:
        maker.seeds.add(row["seed"])
    name = (row["prompt_id"], row["prompt"] or "")
    counts.prompts.setdefault(name, Prompt(row["prompt"] or "", sample.split)).clips += 1
    mark = (row["gateway"], row["model"], row["served_model"] or "", row["system_fingerprint"] or "")
    counts.strata[mark].add(row["completed_at"])
    if row["duration_s"] is not None:
        counts.durations.append(row["duration_s"])
    if row["width"] and row["height"]:
        counts.sizes[f"{row['width']}×{row['height']}"] += 1
    if row["fps"]:
        counts.rates[f"{row['fps']:g}"] += 1
    counts.with_audio += bool(row["has_audio"])
    counts.looks[row["frames_sha256"] or sample.sha256] += 1
