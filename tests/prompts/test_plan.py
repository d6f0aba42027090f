"""A plan says what is made, in which order, under which names."""

from __future__ import annotations

import pytest
from reelsweep.prompts.errors import SettingsError, TableError, UsageError
from reelsweep.prompts.plan import PlanSettings, make_plan
from reelsweep.prompts.table import read_table


def told(plan, *names):
    return [tuple(getattr(spec, name) for name in names) for spec in plan.specs()]


def test_rows_axes_seeds_samples_turn_in_this_order(planned):
    """Rows are outermost, the last axis turns before the one given first, then seeds, then samples."""
    plan = planned("prompt\na\nb\n", seeds="1,2", samples=2, grid=(("n", ("1", "2")), ("top_p", ("0", "1"))))
    assert len(plan) == 2 * 2 * 2 * 2 * 2
    first = [(s.prompt, s.params["n"], s.params["top_p"], s.seed, s.sample_idx) for s in plan.specs()][:9]
    assert first == [
        ("a", 1, 0, 1, 0),
        ("a", 1, 0, 1, 1),
        ("a", 1, 0, 2, 0),
        ("a", 1, 0, 2, 1),
        ("a", 1, 1, 1, 0),
        ("a", 1, 1, 1, 1),
        ("a", 1, 1, 2, 0),
        ("a", 1, 1, 2, 1),
        ("a", 2, 0, 1, 0),
    ]
    assert [spec.ordinal for spec in plan.specs()] == list(range(32))


def test_options_replace_cells_and_the_plan_says_so(planned):
    """The command line beats the table, never silently."""
    plan = planned("prompt,seed,samples\na,5,3\nb,,\n", seeds="1-2", samples=1)
    assert told(plan, "prompt", "seed") == [("a", 1), ("a", 2), ("b", 1), ("b", 2)]
    assert plan.warnings == (
        "--seeds replaces the `seed` cell of 1 row.",
        "--samples replaces the `samples` cell of 1 row.",
    )


def test_the_model_is_the_rows_then_the_options_then_the_default(planned):
    """`--model` is for rows that name none; `--set model=` is for all."""
    table = "prompt,model\na,veo\nb,\n"
    assert told(planned(table), "model") == [("veo",), ("sora-2",)]
    plan = planned(table, model="kling")
    assert told(plan, "model") == [("veo",), ("kling",)]
    assert plan.warnings == ("--model leaves 1 row with a model as it is; --set model=… replaces it.",)
    assert told(planned(table, set_={"model": "kling"}), "model") == [("kling",), ("kling",)]


def test_the_output_is_the_rows_then_the_options(planned):
    """`--output text` is for rows that do not say."""
    assert told(planned("prompt,output\na,video\nb,\n", output="text"), "output") == [("video",), ("text",)]


def test_set_adds_replaces_and_takes_away(planned):
    """A set column is one for every row; an empty one is absent."""
    plan = planned("prompt,temperature\na,1\nb,2\n", set_={"temperature": "", "top_p": "0.5", "mood": "calm"})
    assert [spec.payload.keys() for spec in plan.specs()] == [{"model", "messages", "top_p"}] * 2
    assert told(plan, "meta") == [({"mood": "calm"},)] * 2


def test_an_axis_may_be_a_parameter_or_a_template_variable(planned):
    """Both are in `params`; the variable is in the prompt too."""
    plan = planned(
        'prompt_template,animal\n"{{ animal }} at {{ time }}",fox\n',
        grid=(("time", ("dawn", "night")), ("n", ("1",))),
    )
    assert told(plan, "prompt", "params") == [
        ("fox at dawn", {"n": 1, "time": "dawn"}),
        ("fox at night", {"n": 1, "time": "night"}),
    ]
    assert len({spec.prompt_id for spec in plan.specs()}) == 1


def test_each_seed_may_have_its_own_prompt(planned):
    """`{{ seed }}` in a template is the seed of the generation."""
    plan = planned('prompt_template,seed\n"take {{ seed }}",1-2\n')
    assert told(plan, "prompt", "seed") == [("take 1", 1), ("take 2", 2)]
    with pytest.raises(TableError, match=r"'{{ seed }}' is empty in this row"):
        planned('prompt_template,seed\n"take {{ seed }}",\n')


def test_an_unknown_name_in_a_template_lists_the_columns(planned):
    """The complaint shows what could have been meant."""
    with pytest.raises(TableError, match=r"got {{ subjct }}, expected one of the columns and axes: subject"):
        planned('prompt_template,subject\n"{{ subjct }}",fox\n')


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"set_": {"temperature": "3"}}, "--set temperature: got '3', expected a number from 0 to 2"),
        ({"set_": {"body.seed": "3"}}, "use the column `seed`"),
        ({"seeds": "9-0"}, "--seeds: got '9-0'"),
        ({"seeds": "9-Jan"}, "--seeds: got '9-Jan'"),
        ({"samples": 0}, "--samples: got '0', expected a whole number from 1"),
        ({"grid": (("n", ("1", "x")),)}, "--grid n: got 'x', expected a whole number from 1"),
        ({"grid": (("n", ("1",)), ("n", ("2",)))}, "--grid n is given twice"),
        ({"grid": (("n", ("1", "1")),)}, "a value stands there twice"),
        ({"grid": (("n", ()),)}, "a value is missing"),
        ({"grid": (("prompt_id", ("a",)),)}, "`prompt_id` cannot be varied"),
        ({"grid": (("seed", ("1",)),), "seeds": "2"}, "--seeds and --grid seed both give `seed`"),
        ({"set_": {"seed": "1"}, "seeds": "2"}, "--seeds and --set seed both give `seed`"),
    ],
)
def test_a_wrong_option_is_named(planned, settings, complaint):
    """An option's mistake is not a mistake of the table."""
    with pytest.raises(SettingsError) as caught:
        planned("prompt\na\n", **settings)
    assert complaint in str(caught.value)
    assert caught.value.remedy


def test_an_axis_that_varies_nothing_is_refused(planned):
    """A variable that no template uses would buy the same again under another name."""
    with pytest.raises(TableError, match="style: this axis varies nothing"):
        planned("prompt\na\n", grid=(("style", ("x", "y")),))


def test_identical_requests_are_counted_and_samples_suggested(planned):
    """Rows that ask for the same stay in the plan, are bought once, and the plan says what to do instead."""
    plan = planned("prompt,user\na,u1\na,u2\nb,\na,\n")
    assert (len(plan), plan.num_rows, plan.num_shared) == (4, 4, 2)
    assert len({spec.request_fingerprint for spec in plan.specs()}) == 2
    assert "2 generations asked for already" in plan.warnings[0] and "`samples`" in plan.warnings[0]


def test_one_request_cannot_be_video_and_text(planned):
    """A result bought once cannot be judged in two ways; both rows are named."""
    with pytest.raises(TableError, match="row 3, output: rows 1 and 3 ask for the same request"):
        planned("prompt,output\na,video\nb,text\na,text\n")


def test_columns_are_sorted_by_what_becomes_of_them(planned):
    """Sent, used in templates, only carried, planning: every column is in its place."""
    use = planned(
        'prompt_template,prompt_id,animal,note,seed,body.hd\n"{{ animal }}",p1,fox,x,1,true\n',
        set_={"n": "1"},
    ).columns
    assert use.sent == ("prompt_template", "seed", "body.hd", "n")
    assert use.templates == ("animal",)
    assert use.carried == ("note",)
    assert use.planning == ("prompt_id",)


def test_what_is_carried_is_text_or_absent(tmp_path, planned):
    """Template variables and other columns go to the manifest as they stand, empty ones as null."""
    (spec,) = planned('prompt_template,animal,note,meta_size\n"{{ animal }}",fox,,L\n').specs()
    assert spec.meta == {"animal": "fox", "note": None, "size": "L"}


def test_an_id_is_derived_from_the_content(planned):
    """Without a prompt_id the same prompt has one name, wherever it stands and whatever its parameters."""
    one = told(planned("prompt,seed\na,1\nb,2\n"), "prompt_id")
    other = told(planned("prompt,temperature\nb,1\na,0\n"), "prompt_id")
    assert one == list(reversed(other))
    assert one[0] != one[1]


def test_a_plan_of_more_generations_than_meant_is_refused_at_once(planned):
    """A slip in the seeds is an error in a moment, not after ten million rows."""
    with pytest.raises(UsageError, match="row 1 takes the plan beyond 10,000,000 generations"):
        planned("prompt,seed,samples\na,0-999999,10000\n")


def test_images_are_loaded_once_each(planned, image_loader):
    """A reference is read once however many generations use it, on the second reading too."""
    asked = []

    def load(reference):
        asked.append(reference)
        return image_loader(reference)

    plan = planned("prompt,image\na,x.png\nb,x.png\n", load_image=load, seeds="0-4")
    assert len({spec.images for spec in plan.specs()}) == 1
    assert asked == ["x.png"]


def test_images_without_a_loader_are_a_problem(planned):
    """A plan that cannot read an image does not leave it out."""
    with pytest.raises(TableError, match=r"row 1, image: got 'x.png', but images cannot be loaded here"):
        planned("prompt,image\na,x.png\n")


def test_an_empty_table_is_an_empty_plan(planned):
    """A header alone is a table that asks for nothing, as a nightly table may on its first night."""
    plan = planned("prompt_template,duration\n")
    assert (len(plan), plan.num_rows, list(plan.specs())) == (0, 0, [])


def test_the_shipped_example_is_planned_without_a_warning():
    """The demo asks for at least twelve different clips, one of them from a template."""
    plan = make_plan(read_table("example:"), PlanSettings())
    assert plan.warnings == ()
    assert len({spec.request_fingerprint for spec in plan.specs()}) == len(plan) >= 12
    assert plan.columns.templates
