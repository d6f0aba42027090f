"""Words that every layer says the same way."""

from __future__ import annotations

from reelsweep.prompts.wording import count


def test_one_is_said_without_an_s() -> None:
    assert [count(number, "row") for number in (0, 1, 2, 2_000)] == [
        "0 rows",
        "1 row",
        "2 rows",
        "2,000 rows",
    ]
