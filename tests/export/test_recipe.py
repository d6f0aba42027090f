"""Options are read as they are meant, or refused with what was received and a remedy."""

from __future__ import annotations

from fractions import Fraction

import pytest
from reelsweep.prompts.errors import SettingsError
from reelsweep.tasks.export.recipe import (
    Recipe,
    Share,
    parse_license,
    parse_names,
    parse_size,
    parse_splits,
)


def test_splits_are_exact_shares() -> None:
    """Shares are fractions: three times a third of a hundredth is no surprise at the borders."""
    assert parse_splits("train=0.9, val=0.05,test=0.05") == (
        Share("train", Fraction(9, 10)),
        Share("val", Fraction(1, 20)),
        Share("test", Fraction(1, 20)),
    )
    assert parse_splits(None) == (Share("train", Fraction(1)),)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "train",
        "train=0.9",
        "train=0.5,train=0.5",
        "a=1.5,b=-0.5",
        "a=nan,b=1",
        "../x=1",
        "Train=1",
        "a=1,b=0",
    ],
)
def test_bad_splits_are_refused(text: str) -> None:
    """A share that is none, shares that do not add up, a name that is no folder's."""
    with pytest.raises(SettingsError, match="--splits: "):
        parse_splits(text)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("500MB", 500_000_000),
        ("2GiB", 2 * 2**30),
        ("1.5 kB", 1_500),
        ("1000000", 1_000_000),
        ("3g", 3 * 10**9),
    ],
)
def test_sizes_are_read(text: str, wanted: int) -> None:
    """Decimal and binary units, as people write them."""
    assert parse_size("shard-size", text) == wanted


@pytest.mark.parametrize("text", ["", "0", "12", "-1MB", "1XB", "MB", "1e9"])
def test_bad_sizes_are_refused(text: str) -> None:
    """What is no size, or too small for any clip."""
    with pytest.raises(SettingsError, match="--shard-size: "):
        parse_size("shard-size", text)


def test_names_and_licenses_are_checked() -> None:
    """Empty and repeated names, and licenses that would break the card's header, are refused."""
    assert parse_names("columns", "seed, prompt") == ("seed", "prompt")
    assert parse_license("CC-BY-4.0") == "cc-by-4.0"
    for text in ("", "a,,b", "a,a"):
        with pytest.raises(SettingsError):
            parse_names("columns", text)
    for text in ("my own", "a\nb: c", "-x", ""):
        with pytest.raises(SettingsError):
            parse_license(text)


def test_a_recipe_says_what_is_not_usual() -> None:
    """The words of a recipe are the options that make it, and no more."""
    assert Recipe(format="videofolder").words() == ["--format", "videofolder"]
    recipe = Recipe(
        format="webdataset", filter="seed < 3", splits=parse_splits("a=0.5,b=0.5"), include_rejected=True
    )
    assert recipe.words() == [
        *("--format", "webdataset", "--filter", "seed < 3", "--splits", "a=0.5,b=0.5", "--include-rejected"),
    ]
