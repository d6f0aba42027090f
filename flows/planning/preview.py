"""The plan before money is spent: what is new, what is done, what it may cost, how long it may take.

Reads the ledger where there is one; writes nothing and sends nothing.
"""

from __future__ import annotations

import asyncio
from array import array
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from itertools import islice
from math import ceil
from pathlib import Path
from typing import Any

from reelsweep.flows.out.places import about_out
from reelsweep.flows.planning.grid import Grid, grid_of
from reelsweep.flows.planning.models import listed_models, model_warnings
from reelsweep.flows.planning.reach import Reach, reach_of, used_musd
from reelsweep.flows.planning.replay import replayable
from reelsweep.flows.planning.seeds import PlannedSeeds, planned_seeds
from reelsweep.flows.prepare import Prepared
from reelsweep.flows.selection.acceptance import Acceptance
from reelsweep.flows.selection.topup import acceptance_of, choose
from reelsweep.prompts.plan import Plan
from reelsweep.tasks.ledger.ledger import Ledger
from reelsweep.tasks.ledger.records import Standing

LOOK_FIRST = 1000
"""Generations whose models are looked up; a plan names few models, and names them early."""
TYPICAL_S = 180.0
"""A guess for an ETA before anything was measured: a clip takes 30 s to 10 minutes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """What `plan` prints."""

    table: str
    out: str
    gateway: str
    rows: int
    planned: int
    """Generations after expansion, rows that share a request counted each."""
    shared: int
    new: int
    done: int
    unbilled_failures: int
    billed_failures: int
    unknown: int
    in_progress: int
    made_elsewhere: int
    """Rows whose request is paid for at another gateway of this ledger."""
    to_make: int
    spare: int
    """Fresh candidates that are made beside them, should all others be rejected (`--accept`)."""
    sent: tuple[str, ...]
    templates: tuple[str, ...]
    carried: tuple[str, ...]
    price: str | None
    price_source: str
    cost_low_usd: float | None
    cost_high_usd: float | None
    max_purchases: int
    """How often a row may be bought in this run: once, but with `--on-unknown resubmit`."""
    most_posts: int
    """Purchases at most, should every row's stream be cut."""
    cost_most_usd: float | None
    """What those cost."""
    eta_s: float | None
    warnings: tuple[str, ...]
    grid: Grid | None
    """Axes and how they meet, where a sweep or a grid varies the rows."""
    budget: Reach | None
    """With `--budget`: what of it is used, and how far it reaches."""
    seeds: tuple[PlannedSeeds, ...]
    """Models that are asked with several seeds, and whether they honour them."""

    def describe_cost(self) -> str | None:
        """`2.40 USD`, or `2.40 to 4.80 USD` where it depends on the answers; None without a price."""
        if self.cost_low_usd is None or self.cost_high_usd is None:
            return None
        low, high = f"{self.cost_low_usd:.2f}", f"{self.cost_high_usd:.2f}"
        return f"{high} USD" if low == high else f"{low} to {high} USD"

    def describe_most(self) -> str:
        """What all cost where every stream is cut, ready to be appended; empty where it is no more."""
        if self.most_posts <= self.to_make + self.spare:
            return ""
        most = (
            f"{self.most_posts} purchases" if self.cost_most_usd is None else f"{self.cost_most_usd:.2f} USD"
        )
        why = f"with --on-unknown resubmit each may be bought up to {self.max_purchases} times"
        return f"; at most {most}: {why}"

    def as_json(self) -> dict[str, Any]:
        """The object `plan --json` prints."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class _Known:
    """What the ledger knows of the plan's generations."""

    standings: Mapping[str, Standing]
    elsewhere: frozenset[str]
    """Paid for at other gateways."""
    replayable: frozenset[str]
    """Of unknown fate, and asked for again under their keys."""
    acceptance: Acceptance | None
    """With `--accept`: which candidates are open."""
    used_musd: int = 0
    """Of the budget."""


@dataclass(slots=True)
class _Sums:
    kinds: Counter[str]
    low_musd: int = 0
    high_musd: int = 0
    most_musd: int = 0
    most_posts: int = 0
    to_make: int = 0
    used_up: int = 0
    """Would be bought again, had they not had as many purchases as are allowed."""
    most_purchases: int = 0
    """The most that one of those has had."""
    spare: int = 0
    budget: Reach | None = None


async def preview(prepared: Prepared) -> Preview:
    """Expand the plan and hold it against the ledger."""
    known = await _look_up(prepared)
    sums = _sum(prepared, known)
    plan, price = prepared.plan, prepared.price
    concurrency = prepared.options.concurrency or 4
    return Preview(
        table=plan.table.name,
        out=str(prepared.storage),
        gateway=prepared.gateway,
        rows=plan.num_rows,
        planned=len(plan) if known.acceptance is None else len(known.acceptance.opened),
        shared=plan.num_shared,
        new=sums.kinds["new"],
        done=sums.kinds["done"],
        unbilled_failures=sums.kinds["unbilled"],
        billed_failures=sums.kinds["billed"],
        unknown=sums.kinds["unknown"],
        in_progress=sums.kinds["in_progress"],
        made_elsewhere=sums.kinds["elsewhere"],
        to_make=sums.to_make,
        spare=sums.spare,
        sent=plan.columns.sent,
        templates=plan.columns.templates,
        carried=plan.columns.carried,
        price=None if price is None else str(price),
        price_source=prepared.price_source,
        cost_low_usd=None if price is None else sums.low_musd / 1e6,
        cost_high_usd=None if price is None else sums.high_musd / 1e6,
        max_purchases=_max_purchases(prepared),
        most_posts=sums.most_posts,
        cost_most_usd=None if price is None else sums.most_musd / 1e6,
        eta_s=None if prepared.is_sandbox else ceil(sums.to_make / concurrency) * TYPICAL_S,
        grid=grid_of(plan) if isinstance(plan, Plan) else None,
        warnings=(
            *plan.warnings,
            *_about_replays(known),
            *_about_used_up(sums),
            *await _about_models(prepared),
        ),
        budget=sums.budget,
        seeds=await asyncio.to_thread(planned_seeds, prepared),
    )


def _about_replays(known: _Known) -> tuple[str, ...]:
    if not known.replayable:
        return ()
    return (
        f"{len(known.replayable)} unknown asked for again: the gateway's profile says that it sells once for"
        " a key.",
    )


def _about_used_up(sums: _Sums) -> tuple[str, ...]:
    if not sums.used_up:
        return ()
    return (
        f"{sums.used_up} not made again: they have been bought {sums.most_purchases} times; only"
        f" --max-purchases {sums.most_purchases + 1} lets them be bought once more.",
    )


async def _about_models(prepared: Prepared) -> tuple[str, ...]:
    """What is to be said about the plan's models; the sandbox serves them all."""
    if prepared.is_sandbox:
        return ()
    listed = await asyncio.to_thread(listed_models, prepared.profile, prepared.key)
    today = datetime.now(UTC).date()
    models = {spec.model for spec in islice(prepared.plan.specs(), LOOK_FIRST)}
    return tuple(model_warnings(prepared.profile, models, listed, today))


async def _look_up(prepared: Prepared) -> _Known:
    """What the ledger knows; nothing when there is none."""
    with about_out(prepared.storage, prepared.ledger_url):
        ledger = await asyncio.to_thread(_open_if_there, prepared.ledger_url)
        if ledger is None:
            return _Known({}, frozenset(), frozenset(), choose(prepared, {}))
        return await _ask(prepared, ledger)


async def _ask(prepared: Prepared, ledger: Ledger) -> _Known:
    try:
        out_id = prepared.facts.out_id if prepared.facts else ""
        here = await ledger.standings(prepared.gateway, None, out_id)
        elsewhere = await ledger.paid_elsewhere(prepared.gateway)
        key_ttl_s = prepared.profile.replay_s
        return _Known(
            here,
            elsewhere,
            await replayable(ledger, out_id, prepared.gateway, here, key_ttl_s, datetime.now(UTC)),
            await acceptance_of(prepared, ledger, out_id),
            await used_musd(ledger, prepared.options.budget),
        )
    finally:
        ledger.close()


def _open_if_there(url: str) -> Ledger | None:
    if url.startswith("sqlite:///") and not Path(url.removeprefix("sqlite:///")).exists():
        return None
    return Ledger.open(url)


def _sum(prepared: Prepared, known: _Known) -> _Sums:
    sums = _Sums(Counter())
    seen: set[str] = set()
    to_make, limit, purchases = array("Q"), prepared.options.limit, array("Q")
    max_purchases = prepared.options.max_purchases
    for ordinal, fingerprint in enumerate(prepared.plan.fingerprints()):
        if fingerprint in seen or not _is_planned(ordinal, known):
            continue
        seen.add(fingerprint)
        standing = known.standings.get(fingerprint)
        kind = kind_of(standing)
        sums.kinds[kind] += 1
        sums.kinds["elsewhere"] += standing is None and fingerprint in known.elsewhere
        is_made = _is_made(kind, prepared) or _may_be_resubmitted(standing, prepared)
        is_made = is_made or fingerprint in known.replayable
        bought = 0 if standing is None else standing.num_purchases
        if is_made and bought >= max_purchases:
            sums.used_up += 1
            sums.most_purchases = max(sums.most_purchases, bought)
        elif is_made and (limit is None or len(to_make) < limit):
            to_make.append(ordinal)
            purchases.append(max(1, _max_purchases(prepared) - bought))
    sums.to_make = len(to_make)
    left = None if limit is None else limit - len(to_make)
    spare = () if known.acceptance is None else tuple(islice(known.acceptance.spare(), left))
    sums.spare = len(spare)
    sums.most_posts = sum(purchases) + _max_purchases(prepared) * len(spare)
    _add_costs(sums, to_make, purchases, spare, prepared)
    if prepared.options.budget is not None and prepared.price is not None:
        specs = prepared.plan.specs_at(to_make)
        sums.budget = reach_of(prepared.options.budget, known.used_musd, prepared.price, specs, purchases)
    return sums


def _is_planned(ordinal: int, known: _Known) -> bool:
    return known.acceptance is None or ordinal in known.acceptance.opened


def _max_purchases(prepared: Prepared) -> int:
    """How often one run may buy a row: once more each time when it does not learn what became of it."""
    options = prepared.options
    return options.max_purchases if options.on_unknown == "resubmit" else 1


def _add_costs(
    sums: _Sums, to_make: Sequence[int], purchases: Sequence[int], spare: Sequence[int], prepared: Prepared
) -> None:
    if prepared.price is None:
        return
    for spec, most in zip(prepared.plan.specs_at(to_make), purchases, strict=True):
        sums.most_musd += most * prepared.price.high_musd(spec)
        sums.low_musd += prepared.price.low_musd(spec)
        sums.high_musd += prepared.price.high_musd(spec)
    for spec in prepared.plan.specs_at(spare):
        sums.most_musd += _max_purchases(prepared) * prepared.price.high_musd(spec)
        sums.high_musd += prepared.price.high_musd(spec)


def kind_of(standing: Standing | None) -> str:
    """How `plan` counts a generation."""
    if standing is None:
        return "new"
    match standing.next_step:
        case "buy":
            return "unbilled" if standing.status == "failed" else "new"
        case "hold":
            return "unknown"
        case "none":
            return "billed" if standing.status == "failed" else "done"
        case "recover" | "fetch" | "wait":
            return "in_progress"


def _may_be_resubmitted(standing: Standing | None, prepared: Prepared) -> bool:
    """Asked for first, but bought again where nobody knows the job any more."""
    lost = standing is not None and standing.next_step == "recover" and standing.status == "unknown"
    return lost and prepared.options.on_unknown == "resubmit"


def _is_made(kind: str, prepared: Prepared) -> bool:
    options = prepared.options
    return (
        kind in ("new", "unbilled")
        or (kind == "billed" and options.retry_failed)
        or (kind == "unknown" and options.on_unknown == "resubmit")
    )
