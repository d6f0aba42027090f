"""The breaker trips on lost money, not on bad luck."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from reelsweep.tasks.gateway.breaker import IN_A_ROW, REFUSALS_IN_A_ROW, WINDOW, Breaker, PurchaseEnd


def feed(*ends: PurchaseEnd) -> str | None:
    breaker = Breaker()
    trip: str | None = None
    for end in ends:
        trip = breaker.record(end)
    return trip


def test_ten_in_a_row_without_a_result_stop_the_run() -> None:
    """Nine lost purchases may be chance; the tenth in a row stops the run."""
    assert feed(*["no_result"] * (IN_A_ROW - 1)) is None
    assert feed(*["no_result"] * IN_A_ROW) is not None


def test_a_result_begins_the_count_again() -> None:
    """One result between them shows that the gateway works."""
    assert feed(*["no_result"] * 9, "result", *["no_result"] * 9) is None


def test_over_half_of_the_last_twenty_stop_the_run() -> None:
    """A gateway that loses most of what it bills is no gateway to go on with."""
    ends: list[PurchaseEnd] = ["no_result", "no_result", "no_result", "result"] * (WINDOW // 4)
    assert feed(*ends) is not None
    even: list[PurchaseEnd] = ["no_result", "result"] * WINDOW
    assert feed(*even) is None


def test_refusals_count_apart() -> None:
    """Refused prompts say nothing about the gateway, until fifty in a row came without one result."""
    assert feed(*["refused"] * (REFUSALS_IN_A_ROW - 1)) is None
    assert feed(*["refused"] * REFUSALS_IN_A_ROW) is not None


@given(st.lists(st.just("unbilled"), max_size=200))
def test_what_costs_nothing_never_trips(ends: list[PurchaseEnd]) -> None:
    """Throttling and refused connections are not the breaker's concern."""
    assert feed(*ends) is None
