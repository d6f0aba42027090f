"""Money is counted in whole micro-dollars, exactly."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reelsweep.prompts.errors import SettingsError
from reelsweep.prompts.pricing import Price
from reelsweep.prompts.request import GenerationSpec


def spec(**payload):
    return GenerationSpec(
        ordinal=0,
        prompt_id="fox",
        row_idx=0,
        sample_idx=0,
        output="video",
        model="m",
        payload=payload,
        request_fingerprint="0" * 64,
        prompt="a fox",
    )


def test_a_price_is_per_generation_or_per_second():
    """The two forms, and what they reserve and settle."""
    each, second = Price.parse("0.80"), Price.parse("0.10/s")
    assert each.max_musd(spec()) == 800_000
    assert each.max_musd(spec(n=3)) == each.high_musd(spec(n=3)) == 2_400_000
    assert each.low_musd(spec(n=3)) == 800_000
    assert second.max_musd(spec(seconds=4, n=2)) == 800_000
    assert second.max_musd(spec(seconds=0.7)) == 70_000
    assert second.cost_musd(4.04, 1) == 404_000
    assert each.cost_musd(None, 2) == each.cost_musd(9.5, 2) == 1_600_000


def test_a_price_by_the_second_needs_the_seconds():
    """Nothing is reserved by guess."""
    with pytest.raises(SettingsError, match=r"prompt 'fox' asks for none.*--set seconds=8"):
        Price.parse("0.10/s").max_musd(spec())
    with pytest.raises(ValueError, match="needs the seconds"):
        Price.parse("0.10/s").cost_musd(None, 1)


@pytest.mark.parametrize(
    "text", ["", "free", "-1", "$1", "1,50", "1e3", "0.80/min", "nan", "1.0000001", "٣", "inf"]
)
def test_another_form_is_refused_with_the_two_that_are_read(text):
    """The message shows how a price is written."""
    with pytest.raises(SettingsError, match=r"0\.80 \(a generation\) or 0\.10/s \(a second of video\)"):
        Price.parse(text)


@given(musd=st.integers(0, 10**12), per_second=st.booleans())
def test_a_price_is_written_as_it_is_read(musd, per_second):
    """Writing and reading a price gives it back."""
    price = Price(musd=musd, per_second=per_second)
    assert Price.parse(str(price)) == price


@given(
    musd=st.integers(0, 10**9),
    per_second=st.booleans(),
    seconds=st.floats(0.001, 3600, allow_nan=False),
    n=st.integers(1, 128),
)
def test_what_is_asked_never_costs_more_than_was_reserved(musd, per_second, seconds, n):
    """A settled cost is at most the worst case, and at least the low estimate for full choices."""
    price = Price(musd=musd, per_second=per_second)
    asked = spec(seconds=seconds, n=n)
    assert price.low_musd(asked) <= price.cost_musd(seconds, n) <= price.max_musd(asked)
    assert price.max_musd(asked) - price.cost_musd(seconds, n) <= 1
