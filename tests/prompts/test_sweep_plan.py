"""A sweep over a table: what is asked, and what contradicts what."""

from __future__ import annotations

from hashlib import sha256

import pytest
from reelsweep.prompts.axes import parse_sweep
from reelsweep.prompts.errors import SettingsError, TableError
from reelsweep.prompts.seeds import derive_seed


@pytest.fixture
def swept(planned):
    """The plan of CSV text under a sweep."""

    def make(text, sweep, **settings):
        return planned(text, sweep=parse_sweep(sweep, "s.yaml"), **settings)

    return make


STYLES = 'fragments: {style: ["", in oil]}'


def prompts(plan):
    return [spec.prompt for spec in plan.specs()]


def test_a_fragment_follows_a_literal_prompt(swept):
    """Behind a comma; an empty one is the prompt byte for byte; its value is in the parameters."""
    plan = swept("prompt\nA fox\n", STYLES)
    assert prompts(plan) == ["A fox", "A fox, in oil"]
    assert [spec.params for spec in plan.specs()] == [{"style": ""}, {"style": "in oil"}]
    assert len({spec.prompt_id for spec in plan.specs()}) == 1


def test_fragments_stand_where_their_joints_say(swept):
    """Before or behind, with their own glue, in the order of the file."""
    sweep = """fragments:
  shot: {values: [Close-up, Aerial], join: ": ", at: start}
  lens: {values: [Wide], join: " / ", at: start}
  style: [in oil]
  light: {values: [at dawn], join: " "}
"""
    plan = swept("prompt\na fox\n", sweep)
    assert prompts(plan) == [
        "Close-up: Wide / a fox, in oil at dawn",
        "Aerial: Wide / a fox, in oil at dawn",
    ]


def test_a_template_places_a_fragment_itself(swept):
    """Where it names it; else the fragment is joined as to a literal prompt."""
    table = 'prompt_template,subject\n"{{ style }} {{ subject }}",fox\n{{ subject }}!,owl\n'
    assert prompts(swept(table, STYLES)) == [" fox", "in oil fox", "owl!", "owl!, in oil"]


def test_a_template_with_its_seed_has_its_fragments_too(swept):
    """Templates that are filled in for each seed apart."""
    plan = swept("prompt_template\nno. {{ seed }}\n", STYLES, seeds="1,2")
    assert prompts(plan) == ["no. 1", "no. 2", "no. 1, in oil", "no. 2, in oil"]


def test_a_conversation_takes_no_fragment(swept):
    """Nobody can say where in `messages` it should stand."""
    table = 'messages\n"[{""role"": ""user"", ""content"": ""hi""}]"\n'
    with pytest.raises(TableError, match="fragments go into `prompt` and `prompt_template`"):
        swept(table, STYLES)


def test_a_fragment_shares_its_name_with_no_column(swept):
    """Its value would be lost among the table's."""
    with pytest.raises(TableError, match="is a fragment of the sweep and there is a `style`"):
        swept("prompt,style\na,b\n", STYLES)
    with pytest.raises(TableError, match=r"there is a `body\.style`"):
        swept("prompt,body.style\na,b\n", STYLES)


def test_every_axis_is_in_the_parameters(swept):
    """Typed where it is a parameter, as text where it is a template variable."""
    sweep = "axes: {temperature: [0.5], body.steps: [20], light: [dawn]}"
    plan = swept('prompt_template\n"a fox, {{ light }}"\n', sweep)
    assert [spec.params for spec in plan.specs()] == [{"temperature": 0.5, "steps": 20, "light": "dawn"}]


def test_an_axis_that_varies_nothing_is_refused(swept):
    """A slip in its name would buy the same thing again and again."""
    with pytest.raises(TableError, match="Did you mean `temperature`"):
        swept("prompt\na\n", "axes: {temprature: [0, 1]}")
    with pytest.raises(TableError, match="this axis varies nothing"):
        swept("prompt\na\n", "axes: {light: [dawn, noon]}")


def test_derived_seeds_are_a_documented_hash_of_prompt_id_and_index(swept):
    """Whoever has the prompt id can compute them; prompts do not share them."""
    plan = swept("prompt_id,prompt\nfox,a\nowl,b\n", "seeds: {values: 0-1, mode: derived}")
    expected = [
        int.from_bytes(sha256(f"{name}\0{index}".encode()).digest()[:4], "big") % 2**31
        for name in ("fox", "owl")
        for index in (0, 1)
    ]
    assert [spec.seed for spec in plan.specs()] == expected
    assert expected[0] == derive_seed("fox", 0) == 2072867760
    assert [spec.params for spec in plan.specs()] == [{"seed_idx": 0}, {"seed_idx": 1}] * 2


def test_a_follower_takes_the_derived_seeds_of_its_parent(swept):
    """The seed of a conversation is that of its first prompt."""
    table = "prompt_id,prompt,follows\nfox,a,\nnight,make it night,fox\n"
    plan = swept(table, "seeds: {values: 0-1, mode: derived}")
    seeds = [spec.seed for spec in plan.specs()]
    assert seeds[:2] == seeds[2:] == [derive_seed("fox", 0), derive_seed("fox", 1)]


def test_the_grid_of_the_command_line_is_crossed_with_the_sweep(swept):
    """Its axes turn faster than the file's; both replace the table's cells, and the plan says so."""
    plan = swept("prompt,size\na,1x1\n", "axes: {size: [2x2, 3x3]}", grid=(("n", ("1", "2")),))
    assert [(spec.params["size"], spec.params["n"]) for spec in plan.specs()] == [
        ("2x2", 1),
        ("2x2", 2),
        ("3x3", 1),
        ("3x3", 2),
    ]
    assert "--sweep replaces the `size` cell of 1 row." in plan.warnings


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"grid": (("size", ("1x1",)),)}, "--grid size and --sweep both give `size`"),
        ({"set_": {"size": "1x1"}}, "--set size and --sweep both give `size`"),
        ({"set_": {"style": "x"}}, "--set style and --sweep both give `style`"),
        ({"seeds": "1"}, "--seeds and --sweep both give `seed`"),
    ],
)
def test_two_options_never_give_one_column(swept, settings, complaint):
    """Somebody's wish would not be met."""
    with pytest.raises(SettingsError, match=complaint):
        swept("prompt\na\n", f"axes: {{size: [2x2]}}\n{STYLES}\nseeds: 0-1", **settings)


def test_a_grid_that_nobody_can_mean_is_refused_before_it_is_expanded(swept):
    """A million cells a row, seeds counted, is the most."""
    axes = ", ".join(f"a{index}: 0-99" for index in range(4))
    with pytest.raises(SettingsError, match=r"100,000,000 cells a row \(100 x 100 x 100 x 100\)"):
        swept("prompt\na\n", f"axes: {{{axes}}}")
    with pytest.raises(SettingsError, match="1,000,100 cells"):
        swept("prompt\na\n", "axes: {n: 1-100}\nseeds: 0-10000")


def test_an_exclusion_of_everything_is_refused(swept):
    """An empty plan would look like a finished one."""
    with pytest.raises(SettingsError, match="leaves no combination"):
        swept("prompt\na\n", "axes: {n: [1, 2]}\nexclude: [{n: [1, 2]}]")
