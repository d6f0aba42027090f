"""Everything about a run that can be known before money is spent.

Table, profile, plan, price and OUT, checked together; a Prepared is a value that `plan` prints, the
money gate asks about and `open_run` makes live.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pandas as pd
from reelsweep.flows.access import SANDBOX, NamedGateway, key_of, named_gateway
from reelsweep.flows.options import RunOptions
from reelsweep.flows.out.places import (
    demand_ledger,
    find_out,
    ledger_elsewhere,
    nothing_sent,
    reconcile_with,
)
from reelsweep.flows.trust import remember
from reelsweep.prompts.errors import OutError, SettingsError
from reelsweep.prompts.given import GivenPlan
from reelsweep.prompts.plan import Plan, PlanSettings, make_plan
from reelsweep.prompts.pricing import Price, PriceList
from reelsweep.prompts.table import Table, read_table
from reelsweep.tasks.artifacts.door import Door
from reelsweep.tasks.artifacts.images import load_image
from reelsweep.tasks.artifacts.origin import origin_of
from reelsweep.tasks.artifacts.store import Store
from reelsweep.tasks.gateway.profiles import Profile
from reelsweep.tasks.manifest.outfile import OutFacts, read_out
from reelsweep.tasks.storage.out import Out, as_out

RUNS = Path("runs")
MANIFEST = "manifest.parquet"
PUBLISHED = (MANIFEST, "attempts.parquet")
"""What tells of POSTs where the ledger is gone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A run before its first POST."""

    options: RunOptions
    plan: Plan | GivenPlan
    """What a table asks for; or given generations, that come beside what the OUT's table asks for."""
    profile: Profile
    gateway: str
    """The ledger's name of the gateway."""
    is_sandbox: bool
    storage: Out
    """Where OUT is."""
    facts: OutFacts | None
    """What an earlier run wrote into OUT, None for a new one."""
    key: str | None = field(repr=False)
    price: Price | PriceList | None
    price_source: str
    """Where the price comes from: `--price`, the profile with its date, or empty."""
    door: Door

    @property
    def out(self) -> Path:
        """The folder of this machine where OUT's files are made: OUT itself, or its staging folder."""
        return self.storage.desk

    @property
    def extends(self) -> bool:
        """Whether the OUT's plan stays as it is."""
        return isinstance(self.plan, GivenPlan)

    @property
    def ledger_url(self) -> str:
        """The ledger's address."""
        return self.options.ledger or f"sqlite:///{self.out / 'ledger.db'}"

    @property
    def reconcile(self) -> str:
        """The command that asks about this run's unknown rows, as a shell takes it and without a password.

        A sandbox on a port is named in it; of one that ends with the run nobody can ask: empty.
        """
        named = self.options.gateway
        if self.is_sandbox and named == SANDBOX:
            return ""
        words = ("--gateway", named) if self.is_sandbox else ()
        return reconcile_with(self.storage, self.options.ledger, *words)


def prepare(
    table: str | Path | pd.DataFrame | Table, options: RunOptions, *, keep_inputs: bool = True
) -> Prepared:
    """Read and check everything; raises UsageError (all table problems at once) and sends nothing.

    `keep_inputs` stores the images that the table names in OUT/inputs, as a run needs them.
    """
    read = table if isinstance(table, Table) else read_table(table)
    named = named_gateway(options)
    out = out_of(read, options, is_sandbox=named.is_sandbox)
    demand_ledger(out, options.ledger)
    with nothing_sent(out):
        facts = read_out(out)
    check_out(out, facts, is_sandbox=named.is_sandbox, ledger=options.ledger)
    door = gateway_door(named.profile, options)
    store = Store(out) if keep_inputs else None
    load = partial(load_image, folder=read.folder, door=door, store=store)
    plan = make_plan(read, plan_settings(options, named.profile, named.gateway), load_image=load)
    return prepared_for(plan, named, options, out=out, facts=facts)


def prepared_for(
    plan: Plan | GivenPlan,
    named: NamedGateway,
    options: RunOptions,
    *,
    out: Path | Out,
    facts: OutFacts | None,
) -> Prepared:
    """The run of a plan, with its price, its key and its door; raises UsageError.

    That this user has named the gateway is remembered (`trust`).
    """
    price, price_source = price_of(options, named.profile, plan)
    if options.budget is not None and price is None:
        raise SettingsError(
            "--budget needs a price to reserve, and none is known.",
            "Give --price, such as --price 0.80 or --price 0.10/s.",
        )
    key = key_of(named, options)
    remember(named, options)
    return Prepared(
        options=options,
        plan=plan,
        profile=named.profile,
        gateway=named.gateway,
        is_sandbox=named.is_sandbox,
        storage=as_out(out),
        facts=facts,
        key=key,
        price=price,
        price_source=price_source,
        door=gateway_door(named.profile, options),
    )


def plan_settings(options: RunOptions, profile: Profile, gateway: str) -> PlanSettings:
    """What the plan needs of the options and the profile."""
    return PlanSettings(
        output=options.output,
        model=options.model,
        set_=options.set_,
        seeds=options.seeds,
        samples=options.samples,
        grid=options.grid,
        sweep=options.sweep,
        num_candidates=options.num_candidates,
        extra_body=profile.extra_body,
        url_query=profile.url_query,
        gateway=gateway,
    )


def gateway_door(profile: Profile, options: RunOptions) -> Door:
    """The door through which everything is fetched; the gateway's own origin may be anywhere."""
    try:
        return Door(own_origins=[origin_of(str(profile.base_url))], allow_hosts=options.allow_hosts)
    except ValueError as error:
        raise SettingsError(f"--allow-host: {error}", "Expected HOST or HOST:PORT.") from error


def out_of(table: Table, options: RunOptions, *, is_sandbox: bool) -> Out:
    """`--out`, or `runs/<table stem>` (`runs/sandbox/<table stem>` for the sandbox)."""
    return find_out(options.out or (RUNS / "sandbox" / table.stem if is_sandbox else RUNS / table.stem))


def check_out(out: Path | Out, facts: OutFacts | None, *, is_sandbox: bool, ledger: str | None) -> None:
    """Refuse an OUT that would lead to a second purchase or mix what must not be mixed."""
    if facts is None:
        if (published := _published(out)) is not None:
            raise OutError(
                f"{out} has {published}, which cannot be read, and no reelsweep.json.",
                "Restore one of them; another --out would pay for everything again.",
            )
        return
    if (facts.gateway_kind == "sandbox") != is_sandbox:
        kind = "sandbox" if facts.gateway_kind == "sandbox" else "real"
        raise OutError(f"{out} holds {kind} results; an OUT never holds both.", "Choose another --out.")
    is_lost = ledger is None and not as_out(out).has("ledger.db")
    if is_lost and facts.ledger == "named":
        raise ledger_elsewhere(as_out(out))
    if is_lost:
        raise OutError(
            f"{out} has {_published(out) or 'reelsweep.json'} but no ledger: running on could pay twice.",
            "Restore ledger.db from a backup, with ledger.db-wal where there is one, or make it anew:"
            f" `{reconcile_with(str(out), None, '--rebuild')}`.",
        )


def _published(out: Path | Out) -> str | None:
    return next((name for name in PUBLISHED if as_out(out).has(name)), None)


def price_of(
    options: RunOptions, profile: Profile, plan: Plan | GivenPlan
) -> tuple[Price | PriceList | None, str]:
    """`--price`, else what the profile lists; unknown as soon as one model of the plan is not listed."""
    if options.price is not None:
        return options.price, "--price"
    if not profile.prices:
        return None, ""
    if not plan.models or not plan.models <= profile.prices.keys():
        return None, ""
    listed = {model: profile.prices[model] for model in sorted(plan.models)}
    prices = {model: Price.parse(entry.price) for model, entry in listed.items()}
    source = f"profile {profile.name}, {max(entry.date for entry in listed.values())}"
    only = set(prices.values())
    return (only.pop() if len(only) == 1 else PriceList(prices=prices)), source
