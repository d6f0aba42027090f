"""What a user of a dataset must know before trusting it, as far as the manifest shows it. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from reelsweep.prompts.wording import count
from reelsweep.tasks.export.card.counts import Counts
from reelsweep.tasks.export.card.wording import code, share
from reelsweep.tasks.export.plan import ExportPlan


def limits(plan: ExportPlan, counts: Counts) -> list[str]:
    """One sentence each, in Markdown."""
    return [*_of_seeds(counts), *_of_selection(plan, counts), *_of_clips(plan, counts)]


def _of_seeds(counts: Counts) -> Iterator[str]:
    for (_, model), maker in sorted(counts.makers.items()):
        if not maker.seeds:
            continue
        if "no" in maker.honoured:
            yield f"{code(model)} does not follow `seed`: clips of different seeds are plain samples."
        elif "unknown" in maker.honoured:
            yield f"Whether {code(model)} follows `seed` was not tested (`reelsweep seedcheck` does)."
    if len(counts.strata) > len({(gateway, model) for gateway, model, _, _ in counts.strata}):
        yield "A model changed while the clips were made: see the strata, and compare within one only."


def _of_selection(plan: ExportPlan, counts: Counts) -> Iterator[str]:
    refused = counts.statuses["refused"]
    answered = sum(maker.answered for maker in counts.makers.values())
    if refused:
        rate = share(refused / answered)
        yield f"{refused:,} of {answered:,} answered rows ({rate}) were refused: such prompts are rare here."
    if counts.rejected and not plan.recipe.include_rejected:
        yield f"{counts.rejected:,} of {counts.judged:,} clips were rejected by content checks and left out."
    if plan.recipe.filter:
        yield "A filter chose the clips (above): it is part of what this dataset shows."
    left = counts.statuses["unknown"] + counts.statuses["planned"] + counts.statuses["in_progress"]
    if left:
        yield f"{count(left, 'row')} had no final answer when this was exported."
    if counts.texts:
        yield f"{count(counts.texts, 'row')} asked for text; only clips are here."
    if plan.num_repeated:
        yield f"{count(plan.num_repeated, 'clip')} made only to compare (`reelsweep reproduce`) left out."
    if plan.num_shared:
        yield f"{count(plan.num_shared, 'row')} asked for the same as another: its clip is here once."


def _of_clips(plan: ExportPlan, counts: Counts) -> Iterator[str]:
    if counts.same_looks:
        yield f"{count(counts.same_looks, 'clip')} with the very frames of another (equal `frames_sha256`)."
    if len(counts.sizes) > 1 or len(counts.rates) > 1:
        yield "Frame sizes or rates differ between clips."
    empty = [name for name, number in plan.counts.items() if not number]
    if empty:
        yield f"No group of prompts fell into {', '.join(empty)}: there are only {plan.num_groups:,}."
    if plan.source.facts.get("gateway_kind") == "sandbox":
        yield "The sandbox drew these clips: they are test pictures, made by no model."
    yield "Everything is synthetic: nothing in a clip is evidence of anything but the model that made it."
