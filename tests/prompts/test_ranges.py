"""The short forms of an axis's values."""

from __future__ import annotations

import pytest
from reelsweep.prompts.ranges import parse_values


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("range(0, 1, 0.25)", ("0", "0.25", "0.5", "0.75", "1")),
        ("range(0, 1, 0.3)", ("0", "0.3", "0.6", "0.9")),
        ("range(0.1, 0.7, 0.1)", ("0.1", "0.2", "0.3", "0.4", "0.5", "0.6", "0.7")),
        ("range(2, 1, -0.5)", ("2", "1.5", "1")),
        ("range(5,5,1)", ("5",)),
        ("range(-1, 1, 1)", ("-1", "0", "1")),
        ("range(100, 1000, 450)", ("100", "550", "1000")),
        ("choice(a, b)", ("a", "b")),
        ('choice(golden hour, "rain, heavy")', ("golden hour", "rain, heavy")),
        ("0-3", ("0", "1", "2", "3")),
        (" -2 - 1 ", ("-2", "-1", "0", "1")),
    ],
)
def test_a_short_form_is_its_values(text, values):
    """Ranges have their last number where a step lands on it, and decimals stay exact."""
    assert parse_values(text) == values


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("640x360", "expected a list"),
        ("range(0, 1)", "three numbers"),
        ("range(0, 1, 0)", "a step that leads from 0 to 1"),
        ("range(0, 1, -0.1)", "a step that leads from 0 to 1"),
        ("range(0, 1e9, 1)", "three numbers"),
        ("range(0, 9999999999, 1)", "10,000,000,000 values"),
        ("range(0, inf, 1)", "three numbers"),
        ("9-0", "a range that goes up, as 0-9"),
        ('choice("a)', "commas between them"),
    ],
)
def test_what_is_no_short_form_is_refused(text, complaint):
    """What was got and what was expected are in the message; nothing is expanded before it is counted."""
    with pytest.raises(ValueError, match=complaint):
        parse_values(text)
