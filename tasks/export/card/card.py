"""The dataset card: `README.md` with the header that hubs read, and its figure.

After `plan`, the last but one thing an export writes. Nothing in it depends on the clock or the machine.
"""

from __future__ import annotations

import json
import shlex
from functools import cache
from importlib.resources import files

from jinja2 import Environment, FunctionLoader, StrictUndefined, Template
from reelsweep.tasks.export.card import wording
from reelsweep.tasks.export.card.counts import CHECK, COLUMNS, Counts, count
from reelsweep.tasks.export.card.figures import draw
from reelsweep.tasks.export.card.limits import limits
from reelsweep.tasks.export.columns import FILE_NAME, KEY, meaning
from reelsweep.tasks.export.plan import ExportPlan
from reelsweep.tasks.export.recipe import show_splits

README = "README.md"
FIGURE = "figures/overview.png"
MAX_PROMPTS = 30


def render_card(plan: ExportPlan) -> dict[str, bytes]:
    """The card's files by name."""
    checks = [name for name in plan.source.columns if name.startswith(CHECK)]
    counts = count(plan.source.rows((*COLUMNS, *checks)), plan.samples)
    return {README: _readme(plan, counts).encode("utf-8", "replace"), FIGURE: draw(counts)}


def _readme(plan: ExportPlan, counts: Counts) -> str:
    recipe, facts = plan.recipe, plan.source.facts
    prompts = sorted(counts.prompts.items())
    return _template().render(
        title=_title(facts.get("table", "")),
        recipe=recipe,
        facts=facts,
        is_sandbox=facts.get("gateway_kind") == "sandbox",
        counts=counts,
        splits=[name for name, number in plan.counts.items() if number],
        show_splits=show_splits(recipe.splits),
        size_bytes=plan.size_bytes,
        num_shards=len(plan.shards),
        num_groups=plan.num_groups,
        pretty_name=json.dumps(_title(facts.get("table", "")), ensure_ascii=False),
        makers=sorted(counts.makers.items()),
        strata=sorted(counts.strata.items()),
        prompts=prompts[:MAX_PROMPTS],
        num_prompts=len(prompts),
        types={json.dumps(name, ensure_ascii=False): kind for name, kind in plan.document_types().items()},
        suffixes=sorted({sample.suffix.removeprefix(".") for sample in plan.samples}),
        columns=[(name, meaning(name)) for name in _columns(plan)],
        command=shlex.join(["reelsweep", "export", "OUT", "DEST", *recipe.words()]),
        figure=FIGURE,
        limits=limits(plan, counts),
    )


def _columns(plan: ExportPlan) -> tuple[str, ...]:
    own = (FILE_NAME, KEY) if plan.recipe.format == "videofolder" else (KEY,)
    return (*own, *plan.columns)


def _title(table: str) -> str:
    """The table's name without folder, scheme and suffix."""
    name = table.rstrip("/").rpartition("/")[2].partition(".")[0]
    return name.rpartition(":")[2] or name.rstrip(":") or "clips"


@cache
def _template() -> Template:
    environment = Environment(
        loader=FunctionLoader(lambda name: (files(__package__ or "") / name).read_text(encoding="utf-8")),
        autoescape=False,  # noqa: S701  Markdown: every foreign text goes through `text` or `code`
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    words = (wording.text, wording.code, wording.size, wording.length, wording.share, wording.dollars)
    environment.filters.update({each.__name__: each for each in (*words, wording.day, wording.size_category)})
    environment.filters["count_of"] = len
    return environment.get_template("README.md.j2")
