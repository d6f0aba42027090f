"""A column that would silently not be sent is refused; one that is plainly the user's own is carried."""

from __future__ import annotations

import pytest
from reelsweep.prompts.columns import BY_NAME, markdown_table
from reelsweep.prompts.errors import TableError
from reelsweep.prompts.names import REQUEST_WORDS, meant_column


def test_the_refusal_shows_both_ways_on(planned):
    """The message is the documentation's, word for word."""
    with pytest.raises(TableError) as caught:
        planned("prompt,duration\na,4\n")
    assert caught.value.problems[0].message == (
        "'duration' is not sent. Did you mean `seconds`?"
        " To send it: `body.duration`; to carry it: `meta_duration`."
    )
    (sent,) = planned("prompt,body.duration\na,4\n").specs()
    assert sent.payload["duration"] == 4
    (carried,) = planned("prompt,meta_duration\na,4\n").specs()
    assert carried.meta == {"duration": "4"}
    assert "duration" not in carried.payload


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("temprature", "temperature"),
        ("Temperature", "temperature"),
        ("tempreture", "temperature"),
        ("topP", "top_p"),
        ("seeds", "seed"),
        ("Seed", "seed"),
        ("prompts", "prompt"),
        ("promt", "prompt"),
        ("max-tokens", "max_tokens"),
        ("maxTokens", "max_tokens"),
        ("N", "n"),
        ("sample", "samples"),
        ("imgae", "image"),
        ("negativePrompt", None),
        ("top_k", None),
    ],
)
def test_slips_and_other_tools_words_are_recognised(name, meant):
    """Case, hyphens and few wrong letters do not hide what was meant."""
    assert meant_column(name) == (True, meant)


@pytest.mark.parametrize(
    "name",
    [
        "subject",
        "style",
        "category",
        "note",
        "camera",
        "mood",
        "id",
        "title",
        "scene",
        "x",
        "light",
        "language",
    ],
)
def test_ordinary_words_are_carried(name):
    """A user's own columns need no prefix."""
    assert meant_column(name) == (False, None)


def test_every_word_of_the_list_points_at_a_column_that_exists():
    """A suggestion can be followed, and no known column is on the list."""
    assert {column for column in REQUEST_WORDS.values() if column} <= BY_NAME.keys()
    assert not REQUEST_WORDS.keys() & BY_NAME.keys()


def test_a_word_used_in_a_template_is_not_refused(planned):
    """`duration` in a template does reach the gateway: inside the prompt."""
    (spec,) = planned('prompt_template,duration\n"{{ duration }} long",ten seconds\n').specs()
    assert spec.prompt == "ten seconds long"
    assert spec.meta == {"duration": "ten seconds"}


@pytest.mark.parametrize(
    ("column", "complaint"), [("body.seed", "use the column `seed`"), ("body.", "is missing")]
)
def test_a_body_column_cannot_stand_for_a_known_one(planned, column, complaint):
    """One parameter has one column."""
    with pytest.raises(TableError, match=complaint):
        planned(f"prompt,{column}\na,1\n")


def test_two_columns_cannot_be_carried_under_one_name(planned):
    """`mood` and `meta_mood` would be one column of the manifest."""
    with pytest.raises(TableError, match="`mood` and `meta_mood` would be carried under one name"):
        planned("prompt,mood,meta_mood\na,b,c\n")


def test_the_readmes_table_has_every_column():
    """The generated table names each declared column once."""
    lines = markdown_table().splitlines()
    for name in BY_NAME:
        assert sum(line.startswith(f"| `{name}` |") for line in lines) == 1
    assert all(line.replace("\\|", "").count("|") == 5 for line in lines)
