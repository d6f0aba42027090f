"""Axes and assignments as the command line writes them."""

from __future__ import annotations

import pytest
from reelsweep.prompts.errors import SettingsError
from reelsweep.prompts.sweep import Axis, Sweep, parse_assignment, parse_axis


@pytest.mark.parametrize(
    ("text", "axis"),
    [
        ("temperature=0,0.5", ("temperature", ("0", "0.5"))),
        ("style = oil, ink", ("style", ("oil", "ink"))),
        ('prompt="a fox, red",owl', ("prompt", ("a fox, red", "owl"))),
        ("size=1280x720", ("size", ("1280x720",))),
        ("body.q=a=b", ("body.q", ("a=b",))),
    ],
)
def test_an_axis_is_a_column_and_its_values(text, axis):
    """Values are cut at commas; quotes keep one together."""
    assert parse_axis(text) == axis


@pytest.mark.parametrize("text", ["temperature", "=1,2", "", 'a="b', 'a="b"c'])
def test_what_is_no_axis_is_refused(text):
    """The form is in the message."""
    with pytest.raises(SettingsError, match="column="):
        parse_axis(text)


def test_an_assignment_keeps_its_value_as_it_is():
    """`--set` takes everything after the first equals sign."""
    assert parse_assignment("prompt= a, b=c ") == ("prompt", " a, b=c ")
    assert parse_assignment("seed=") == ("seed", "")


def test_a_sweep_is_the_product_with_the_last_axis_fastest():
    """Every combination once, in order; no axes are one empty combination."""
    sweep = Sweep(axes=(Axis(name="a", values=("1", "2")), Axis(name="b", values=("x", "y"))))
    assert [tuple(cells.values()) for cells in sweep.cells()] == [
        ("1", "x"),
        ("1", "y"),
        ("2", "x"),
        ("2", "y"),
    ]
    assert len(sweep) == 4
    assert (len(Sweep()), list(Sweep().cells())) == (1, [{}])
