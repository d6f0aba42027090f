"""Whether a ledger knows every POST that some files name."""

from __future__ import annotations

from typing import Any

import pytest
from reelsweep.tasks.ledger import lookups


async def test_one_unknown_post_among_many_is_noticed(
    database: Any, make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Oldest, newest or between, in whichever piece of the list; more than it names may be there."""
    monkeypatch.setattr(lookups, "_NAMES_AT_ONCE", 2)
    ledger = await make.start(database.open(), rows=6)
    known = [(await make.buy(ledger, number)).attempt_id for number in range(6)]
    for end in range(7):
        assert not await ledger.lacks_any(known[:end])
        assert not await ledger.lacks_any(known[end:])
        assert await ledger.lacks_any([*known[:end], "another", *known[end:]])


async def test_a_withdrawn_post_is_known(database: Any, make: Any) -> None:
    """The files may have been written while it was still thought of as sent."""
    ledger = await make.start(database.open())
    claim = await make.buy(ledger)
    await ledger.withdraw(claim.attempt_id, "never sent")
    assert not await ledger.lacks_any([claim.attempt_id])


async def test_hostile_names_are_only_unknown(database: Any, make: Any) -> None:
    """What a file says is no SQL and no JSON of ours."""
    ledger = await make.start(database.open())
    for name in ("", "'", '"]', "\\", "ü", "]; DROP TABLE attempts"):
        assert await ledger.lacks_any([name])
