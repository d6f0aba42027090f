"""Seed cells: what they may be, and what a spreadsheet made of them."""

from __future__ import annotations

import pytest
from reelsweep.prompts.seeds import parse_seeds


@pytest.mark.parametrize(
    ("cell", "seeds"),
    [
        ("7", [7]),
        ("0", [0]),
        ("007", [7]),
        ("-3", [-3]),
        (" 7 ", [7]),
        ("42.0", [42]),
        ("1,2,3", [1, 2, 3]),
        ("3, 1", [3, 1]),
        ("[1, 2, 3]", [1, 2, 3]),
        ("0-9", list(range(10))),
        ("5-5", [5]),
        ("-2--1", [-2, -1]),
        ("1,5,10-12", [1, 5, 10, 11, 12]),
        (str(2**63 - 1), [2**63 - 1]),
        (str(-(2**63)), [-(2**63)]),
        (7, [7]),
        (7.0, [7]),
        ([1, 2.0, "3"], [1, 2, 3]),
        (2**63 - 1, [2**63 - 1]),
    ],
)
def test_a_seed_cell_gives_its_seeds_in_order(cell, seeds):
    """One number, lists and ranges, as text or typed, exact to 64 bits."""
    assert list(parse_seeds(cell)) == seeds


@pytest.mark.parametrize(
    "cell",
    ["9-Jan", "Jan-09", "1-Sep", "9. Jan", "01/09/2026", "2026-01-09", "9.1.2026", "2026-01-09T00:00:00"],
)
def test_a_date_says_what_excel_did(cell):
    """A range that became a date is explained, with the way to put it right."""
    with pytest.raises(ValueError, match="Excel made out of a range") as caught:
        parse_seeds(cell)
    assert f"got {cell!r}" in str(caught.value)
    assert "format the column as text" in str(caught.value)


@pytest.mark.parametrize("cell", ["9.22337E+18", "1,23E+12", "1e5"])
def test_a_shortened_number_says_that_its_digits_are_lost(cell):
    """A seed in scientific form is not the seed that was typed."""
    with pytest.raises(ValueError, match="its digits are lost"):
        parse_seeds(cell)


@pytest.mark.parametrize(
    ("cell", "complaint"),
    [
        ("x", "expected a whole number, a list 1,2,3 or a range 0-9"),
        ("1.5", "expected a whole number"),
        ("1,,2", "expected a whole number"),
        ("9-0", "a range that goes up, as 0-9"),
        ("1,1", "seed 1 stands there twice; to get several results of one request use `samples`"),
        ("1,0-3", "seed 1 stands there twice"),
        (str(2**63), "64 bits"),
        ("0-99999999999", "at most 1,000,000 seeds"),
        (f"0-{2**63 - 1}", "at most 1,000,000 seeds"),
        (True, "expected a whole number"),
        (1.5, "expected a whole number"),
        (float(2**60), "no longer exact"),
        ([], "empty list"),
        ([1, None], "expected a whole number"),
        ({"a": 1}, "expected a whole number"),
        ("٣", "expected a whole number"),
    ],
)
def test_what_is_no_seed_is_refused(cell, complaint):
    """Nothing is rounded, cut or guessed."""
    with pytest.raises(ValueError, match=r"expected|exact|twice|up|list") as caught:
        parse_seeds(cell)
    assert complaint in str(caught.value)
