"""What is known of seeds: does this gateway's model honour them, and who says so.

For `plan`, which shows it, and for every publication, which writes it into `seed_honoured`. Strongest first:
this user's `seedcheck`, the gateway's profile (which goes where workers go), what the OUT's manifest says.
"""

from __future__ import annotations

import shlex
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Literal

from reelsweep.flows.prepare import Prepared
from reelsweep.tasks.gateway.profiles import Profile
from reelsweep.tasks.manifest.read import read_seeds
from reelsweep.tasks.manifest.rows import SeedHonoured
from reelsweep.tasks.seedcheck.known import home_folder, read_known
from reelsweep.tasks.storage.out import Out

LOOK_FIRST = 1000
"""Generations whose seeds are looked at: a plan with several seeds shows two of them early."""


@dataclass(frozen=True, slots=True)
class SeedFact:
    """What is known of one gateway's model."""

    honoured: Literal["yes", "no"]
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedSeeds:
    """A model for which a plan asks with several seeds, and whether it honours them."""

    model: str
    honoured: Literal["yes", "no", "unknown"]
    source: str
    """Who says so; where it is unknown, the command that finds it out."""


def seed_honoured(storage: Out, gateway: str = "", profile: Profile | None = None) -> SeedHonoured:
    """What a manifest of this OUT says, by (gateway, model). Raises SettingsError for a damaged record."""
    return {key: fact.honoured for key, fact in seed_facts(storage, gateway, profile).items()}


def seed_facts(
    storage: Out, gateway: str = "", profile: Profile | None = None
) -> Mapping[tuple[str, str], SeedFact]:
    """All that is known, by (gateway, model); `profile` is that of `gateway`."""
    facts: dict[tuple[str, str], SeedFact] = {}
    if storage.has("manifest.parquet"):
        told = read_seeds(str(storage))
        facts |= {key: SeedFact(honoured, "as its manifest says") for key, honoured in told.items()}
    if profile is not None:
        for model, about in profile.models.items():
            if about.seed is not None:
                honoured = "yes" if about.seed == "honoured" else "no"
                facts[gateway, model] = SeedFact(honoured, f"profile {profile.name}")
    for known in read_known(home_folder()):
        if known.honoured is not None:
            source = f"seedcheck of {known.checked_at:%Y-%m-%d}: {known.verdict}"
            facts[known.gateway, known.model] = SeedFact(known.honoured, source)
    return facts


def planned_seeds(prepared: Prepared) -> tuple[PlannedSeeds, ...]:
    """The plan's models that are asked with several seeds, and what is known of each."""
    seeds: dict[str, set[int]] = defaultdict(set)
    for spec in islice(prepared.plan.specs(), LOOK_FIRST):
        if spec.seed is not None:
            seeds[spec.model].add(spec.seed)
    models = [model for model, several in seeds.items() if len(several) > 1]
    if not models:
        return ()
    facts = seed_facts(prepared.storage, prepared.gateway, prepared.profile)
    return tuple(_planned(prepared, model, facts.get((prepared.gateway, model))) for model in models)


def _planned(prepared: Prepared, model: str, fact: SeedFact | None) -> PlannedSeeds:
    if fact is not None:
        return PlannedSeeds(model=model, honoured=fact.honoured, source=fact.source)
    options = prepared.options
    words = ["reelsweep", "seedcheck", "--model", model]
    words += [] if prepared.is_sandbox else ["--gateway", options.gateway]
    words += [] if options.output == "video" else ["--output", options.output]
    return PlannedSeeds(model=model, honoured="unknown", source=shlex.join(words))
