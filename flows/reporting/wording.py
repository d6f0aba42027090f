"""Progress and summary in words and figures, for every display (pure)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from reelsweep.prompts.wording import count

if TYPE_CHECKING:
    from reelsweep.flows.reporting.display import Progress
    from reelsweep.flows.summary import RunSummary

REMEDIES: Mapping[str, str] = {
    "unknown": "what became of them is not known, so they count as paid; `RECONCILE` asks, or"
    " with --bill reads the provider's bill, and `--on-unknown resubmit` buys again",
    "failed": "the same command again sends what was not billed, with `--retry-failed` also what was",
    "failed_to_download": "they are paid for; the same command again downloads them",
    "invalid_output": "they are paid for; `--retry-failed` buys them again",
    "planned": "they were not sent; the same command again continues",
    "cancelled": "they were not sent; the same command again continues",
}
"""What to do about rows that ended so; RECONCILE stands for the command."""

NOBODY_TELLS = (
    "what became of them is not known and their cost is settled: neither the gateway nor a bill tells more;"
    " `--on-unknown resubmit` buys again"
)
"""About unknown rows that a bill has decided and that have no task id."""

NOBODY_KNOWS = (
    "what became of them is not known, so they count as paid; the same command with"
    " `--on-unknown resubmit` makes them again"
)
"""About unknown rows of a sandbox that has ended with its run."""


MOST_PROMPTS = 4
"""Prompts that are named because few of their clips are accepted; likewise."""
MOST_STRATA = 6
"""Strata that are named at the end of a run; the summary's JSON has all."""

UNITS = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))


def describe_duration(seconds: float) -> str:
    """`42 s`, `3 min 20 s`, `2 h 5 min`, `3 d 4 h`: the two largest units, without zeros."""
    rest = max(0, round(seconds))
    parts: list[str] = []
    for unit, size in UNITS:
        if parts or rest >= size:
            parts.append(f"{rest // size} {unit}")
        rest %= size
    return " ".join(part for part in parts[:2] if not part.startswith("0 ")) or "0 s"


def describe_usd(amount: float) -> str:
    """`$12.40`; below a dollar with what is needed to not be zero, `$0.0035`."""
    if 0 < abs(amount) < 0.995:
        return f"${amount:.4f}".rstrip("0").ljust(5, "0")
    return f"${amount:,.2f}"


def describe_counts(progress: Progress) -> list[tuple[str, str]]:
    """The counts worth saying, each with the name of its status: `("done", "60 done")`."""
    pairs = (
        ("done", progress.done),
        ("failed", progress.failed),
        ("refused", progress.refused),
        ("unknown", progress.unknown),
    )
    return [(name, f"{number} {name}") for name, number in pairs if number or name == "done"]


def describe_pace(progress: Progress) -> list[str]:
    """What is going on and how fast: in flight, rate, time left."""
    parts = [f"{progress.in_flight} in flight"] if progress.in_flight else []
    if progress.rate_per_min:
        rate = progress.rate_per_min
        parts.append(f"{rate:.1f}/min" if rate < 10 else f"{rate:.0f}/min")
    if progress.eta_s is not None and progress.ended < progress.planned:
        parts.append(f"{describe_duration(progress.eta_s)} left")
    return parts


def describe_money(progress: Progress) -> str | None:
    """What the ledger holds: spent and, where something is open, reserved."""
    if progress.spent_usd is None:
        return None
    text = f"{describe_usd(progress.spent_usd)} spent"
    if progress.reserved_usd:
        text += f", {describe_usd(progress.reserved_usd)} reserved"
    return text


def describe_line(progress: Progress) -> str:
    """All of it in one line."""
    counts = ", ".join(text for _, text in describe_counts(progress))
    parts = [f"{progress.ended} of {progress.planned}: {counts}", *describe_pace(progress)]
    parts += filter(None, (describe_money(progress), progress.waiting))
    return "; ".join(parts)


def describe_summary(summary: RunSummary) -> list[tuple[str, str]]:
    """The end of a run as rows of a small table: counts, cost, where things are."""
    counts = ", ".join(f"{number} {status}" for status, number in summary.counts.items() if number)
    made_by, selected = describe_strata(summary), describe_selection(summary)
    cost = "no price known" if summary.cost_usd is None else f"{describe_usd(summary.cost_usd)} settled"
    rows = [
        ("rows", counts or "none"),
        ("sent", f"{count(summary.posts, 'POST')} in {describe_duration(summary.elapsed_s)}; {cost}"),
        *([("accepted", selected)] if selected else []),
        *([("made by", made_by)] if made_by else []),
        ("manifest", summary.manifest),
        ("look at it", f"{summary.out.rstrip('/')}/index.html"),
    ]
    if summary.changes is not None:
        rows.insert(0, ("table", str(summary.changes)))
    if summary.stopped:
        rows.insert(0, ("stopped", summary.stopped))
    return rows


def describe_selection(summary: RunSummary) -> str:
    """What the content checks made of the clips; empty where nothing was rejected and nothing wanted."""
    if not summary.rejected and summary.num_short is None:
        return ""
    text = f"{summary.accepted} of {summary.accepted + sum(summary.rejected.values())} clips"
    if summary.rejected:
        reasons = ", ".join(f"{number} {check}" for check, number in summary.rejected.items())
        text += f"; rejected: {reasons}"
    if summary.num_short:
        lowest = [f"{name} ({share[0]} of {share[1]})" for name, share in summary.acceptance.items()]
        text += f"; too few of {count(summary.num_short, 'prompt')}: {', '.join(lowest[:MOST_PROMPTS])}"
    return text


def describe_strata(summary: RunSummary) -> str:
    """The strata of this OUT's results, the largest first: `12 sora-2@fp_1, 4 sora-2@fp_2`."""
    counts = [(rows, name) for strata in summary.strata.values() for name, rows in strata.items()]
    counts.sort(key=lambda pair: -pair[0])
    more = f" and {len(counts) - MOST_STRATA} more" if len(counts) > MOST_STRATA else ""
    return ", ".join(f"{rows} {name}" for rows, name in counts[:MOST_STRATA]) + more


def describe_again(num_unknown: int, num_used_up: int, num_purchases: int) -> str:
    """What buys unknown rows again; `num_used_up` of them have had all purchases that were allowed.

    `num_purchases` is the most that one of those had.
    """
    more = f"--max-purchases {num_purchases + 1}"
    if not num_used_up:
        return "`reelsweep run` with --on-unknown resubmit buys them again"
    if num_used_up == num_unknown:
        return f"only `reelsweep run` with --on-unknown resubmit {more} buys them again"
    return (
        f"`reelsweep run` with --on-unknown resubmit buys them again, {num_used_up} of them only with {more}"
    )


def list_remedies(summary: RunSummary) -> list[str]:
    """One line per status that somebody can do something about."""
    counts, said = summary.counts, {**REMEDIES}
    said["unknown"] = _about_unknown(summary)
    return [f"{counts[status]} {status}: {text}" for status, text in said.items() if counts.get(status)]


def _about_unknown(summary: RunSummary) -> str:
    unknown = summary.counts.get("unknown", 0)
    text = REMEDIES["unknown"].replace("RECONCILE", summary.reconcile)
    if summary.num_mute and summary.num_mute >= unknown:
        text = NOBODY_TELLS
    elif not summary.reconcile:
        text = NOBODY_KNOWS
    if not summary.num_used_up:
        return text
    resubmit, more = "`--on-unknown resubmit`", f"--max-purchases {summary.most_purchases + 1}"
    if summary.num_used_up >= unknown:
        only = "" if text == NOBODY_KNOWS else "only "
        return text.replace(resubmit, f"{only}`--on-unknown resubmit {more}`")
    return f"{text}, {summary.num_used_up} of them only with `{more}`"
