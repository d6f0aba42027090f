"""A sweep from its file to the manifest."""

from __future__ import annotations

import pandas as pd
from reelsweep.flows.options import RunOptions, parse_sweep
from reelsweep.flows.planning.preview import preview
from reelsweep.flows.prepare import prepare
from reelsweep.prompts.pricing import Price

SWEEP = {
    "axes": {"size": ["64x64", "96x64"], "light": ["dawn", "dusk"]},
    "fragments": {"style": ["", "in oil"]},
    "zip": [["size", "light"]],
    "exclude": [{"size": "96x64", "style": "in oil"}],
    "seeds": {"values": "0-1", "mode": "derived"},
}
TABLE = pd.DataFrame(
    {"prompt_id": ["fox", "owl"], "prompt_template": ["A fox, {{ light }}", "An owl, {{ light }}"]}
)


async def test_every_axis_is_a_column_of_the_manifest(make, sandbox):
    """Parameters, template variables, fragments, numbers of derived seeds; a second run buys nothing."""
    summary = await make(TABLE, sweep=SWEEP)
    rows = summary.frame()
    assert summary.counts == {"success": 12}
    assert sorted(column for column in rows if column.startswith("param_")) == [
        "param_light",
        "param_seed_idx",
        "param_size",
        "param_style",
    ]
    fox = rows[(rows["prompt_id"] == "fox") & (rows["param_seed_idx"] == 0)]
    assert list(zip(fox["param_size"], fox["param_style"], fox["prompt"], strict=True)) == [
        ("64x64", "", "A fox, dawn"),
        ("64x64", "in oil", "A fox, dawn, in oil"),
        ("96x64", "", "A fox, dusk"),
    ]
    assert fox["seed"].nunique() == 1
    assert rows["seed"].nunique() == 4
    again = await make(TABLE, sweep=SWEEP)
    assert again.posts == 0


async def test_the_plan_tells_the_grid_and_its_price(tmp_path):
    """In figures for programs; the words are the README's, which a test holds."""
    options = RunOptions(out=str(tmp_path / "out"), sweep=parse_sweep(SWEEP), price=Price.parse("0.80"))
    shown = (await preview(prepare(TABLE, options, keep_inputs=False))).as_json()
    assert (shown["cost_low_usd"], shown["cost_high_usd"]) == (9.6, 9.6)
    axes = shown["grid"].pop("axes")
    assert [(axis["name"], axis["kind"], len(axis["values"])) for axis in axes] == [
        ("size", "column", 2),
        ("light", "column", 2),
        ("style", "fragment", 2),
    ]
    assert shown["grid"] == {
        "zipped": (("size", "light"),),
        "crossed": 4,
        "excluded": 1,
        "combinations": 3,
        "seeds": {"values": "0-1", "mode": "derived", "count": 2},
        "prompts": 2,
        "generations": 12,
        "candidates": 0,
    }
