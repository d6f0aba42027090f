"""An edit follows the finished turn of another row, and the plan is complete before anything is sent."""

from __future__ import annotations

import json

import pytest
from reelsweep.prompts.errors import TableError
from reelsweep.prompts.request import wire_body


def by_key(plan):
    return {(spec.prompt_id, spec.seed, spec.sample_idx): spec for spec in plan.specs()}


def test_a_chain_of_three_turns_is_sent_as_one_conversation(planned):
    """Each edit holds every turn before it; the finished ones are filled in unmodified."""
    plan = planned("prompt_id,prompt,system,follows\na,a fox,be brief,\nb,make it red,,a\nc,add snow,,b\n")
    a, b, c = plan.specs()
    assert (a.follows, b.follows, c.follows) == (None, a.request_fingerprint, b.request_fingerprint)
    said = {
        a.request_fingerprint: "![fox](https://example.com/a.mp4) ID: `s_1`\n",
        b.request_fingerprint: "red",
    }
    assert json.loads(wire_body(c.payload, turns=said))["messages"] == [
        {"role": "system", "content": "be brief"},
        {"role": "user", "content": "a fox"},
        {"role": "assistant", "content": said[a.request_fingerprint]},
        {"role": "user", "content": "make it red"},
        {"role": "assistant", "content": "red"},
        {"role": "user", "content": "add snow"},
    ]
    assert c.prompt == "add snow"


def test_the_order_of_the_rows_does_not_matter(planned):
    """A follower may stand before its parent; fingerprints are the same."""
    rows = ["a,a fox,", "b,make it red,a", "c,add snow,b"]
    forward = planned("prompt_id,prompt,follows\n" + "\n".join(rows) + "\n")
    backward = planned("prompt_id,prompt,follows\n" + "\n".join(reversed(rows)) + "\n")
    assert [spec.request_fingerprint for spec in forward.specs()] == [
        spec.request_fingerprint for spec in reversed(list(backward.specs()))
    ]


def test_an_edit_has_its_parents_seed_and_sample(planned):
    """Without seeds and samples of its own a follower takes its parents', one to one."""
    specs = by_key(planned('prompt_id,prompt,seed,samples,follows\na,fox,"1,2",2,\nb,red,,,a\n'))
    assert len(specs) == 8
    for seed in (1, 2):
        for sample in (0, 1):
            assert specs["b", seed, sample].follows == specs["a", seed, sample].request_fingerprint
            assert specs["b", seed, sample].payload["seed"] == seed


def test_an_edit_may_take_some_of_its_parents_seeds(planned):
    """A follower's own seeds choose among its parent's."""
    specs = by_key(planned("prompt_id,prompt,seed,follows\na,fox,0-9,\nb,red,7,a\n"))
    assert specs["b", 7, 0].follows == specs["a", 7, 0].request_fingerprint
    assert len(specs) == 11


def test_an_axis_pairs_each_edit_with_the_parent_of_the_same_value(planned):
    """Under a sweep the chains stay apart."""
    specs = list(
        planned("prompt_id,prompt,follows\na,fox,\nb,red,a\n", grid=(("temperature", ("0", "1")),)).specs()
    )
    parents = {spec.params["temperature"]: spec for spec in specs if spec.prompt_id == "a"}
    for spec in specs:
        if spec.prompt_id == "b":
            assert spec.follows == parents[spec.params["temperature"]].request_fingerprint


def test_two_rows_of_one_id_are_told_apart_by_their_seeds(planned):
    """An id may stand in several rows as long as each edit has one parent."""
    specs = by_key(planned("prompt_id,prompt,seed,follows\na,fox,1,\na,owl,2,\nb,red,,a\n"))
    assert specs["b", 1, 0].payload["messages"][0]["content"] == "fox"
    assert specs["b", 2, 0].payload["messages"][0]["content"] == "owl"


def test_an_edit_of_a_picture_keeps_the_pictures_of_the_parent(planned, image_loader):
    """The images of the whole conversation are named by the follower."""
    a, b = planned(
        "prompt_id,prompt,image,follows\na,fox,a.png,\nb,red,b.png,a\n", load_image=image_loader
    ).specs()
    assert b.images[0] == a.images[0]
    assert len(b.images) == 2


def test_a_change_in_the_parent_changes_every_edit_of_it(planned):
    """The parent's fingerprint is in its followers', so an edited chain is bought again from there on."""
    table = "prompt_id,prompt,follows\na,{},\nb,red,a\nc,blue,b\nd,apart,\n"
    one = by_key(planned(table.format("fox")))
    other = by_key(planned(table.format("owl")))
    changed = {key[0] for key in one if one[key].request_fingerprint != other[key].request_fingerprint}
    assert changed == {"a", "b", "c"}


def test_a_chain_longer_than_any_stack_is_planned(planned):
    """A thousand edits of edits, the last first, are a plan and no recursion error."""
    rows = [f"p{i},x,p{i - 1}" for i in range(1050, 0, -1)]
    plan = planned("prompt_id,prompt,follows\n" + "\n".join(rows) + "\np0,x,\n")
    last = next(plan.specs())
    assert len(last.payload["messages"]) == 2101


@pytest.mark.parametrize(
    ("rows", "complaints"),
    [
        ("a,x,,b\n", ["row 1, follows: got 'b', which is no prompt_id of this table"]),
        ("a,x,,a\n", ["row 1, follows: goes in a circle: 'a' is this row itself"]),
        ("a,x,,b\nb,x,,c\nc,x,,a\n", ["row 3, follows: goes in a circle: 'a' is row 1"]),
        (
            "a,x,,\na,y,,\nb,x,,a\n",
            ["row 3, follows: 'a' is ambiguous: rows 1 and 2 both make no seed, sample 0"],
        ),
        ("a,x,1,\nb,y,2,a\n", ["row 2, follows: 'a' has no generation of seed 2, sample 0"]),
        ("a,x,,\nb,y,2,a\n", ["row 2, follows: 'a' has no generation of seed 2, sample 0"]),
        ("a,x,nix,\nb,y,,a\n", ["row 1, seed: got 'nix'"]),
        ("a,x,,\nb,y,,c\nc,y,,d\n", ["row 3, follows: got 'd'"]),
    ],
)
def test_parents_that_are_missing_ambiguous_or_circular_are_table_errors(planned, rows, complaints):
    """Each is named at the follower; what only follows from another problem is not repeated."""
    with pytest.raises(TableError) as caught:
        planned("prompt_id,prompt,seed,follows\n" + rows)
    assert len(caught.value.problems) == len(complaints)
    for problem, complaint in zip(caught.value.problems, complaints, strict=True):
        assert str(problem).startswith(complaint)


@pytest.mark.parametrize("column", ["system", "messages"])
def test_an_edit_brings_no_conversation_of_its_own(planned, column):
    """The conversation is the parent's."""
    cell = '"[{""role"": ""user"", ""content"": ""x""}]"'
    prompt = "" if column == "messages" else "x"
    with pytest.raises(
        TableError, match=f"row 2, {column}: a row that follows another takes the conversation"
    ):
        planned(f"prompt_id,prompt,{column},follows\na,x,,\nb,{prompt},{cell},a\n")
