"""Write to the ledger what has happened, until it is written: an answer that is paid for comes only once.

Between the verbs of a purchase and the ledger. One failed write (a disk that fills up, a server that is
started anew, a file that somebody holds) ends the run's buying, and not what it has bought.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from reelsweep.prompts.errors import TroubleError
from reelsweep.tasks.purchase.context import RunContext

T = TypeVar("T")
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.2, 5.0


async def insist(
    context: RunContext, write: Callable[[], Awaitable[T]], keep: Callable[[], object] = lambda: None
) -> T:
    """Call `write`, again after each TroubleError for `policy.insist_s` seconds; nothing more is bought then.

    `write` may have been heard when it fails, so it must come to the same when it is called again. `keep` is
    called once, at the first failure. Raises the last TroubleError when time is up.
    """
    give_up_at, pause_s = None, FIRST_PAUSE_S
    while True:
        try:
            return await write()
        except TroubleError as error:
            now = context.clock()
            if give_up_at is None:
                give_up_at = now + context.policy.insist_s
                context.hold_on(error)
                keep()
            if now >= give_up_at:
                raise
        await asyncio.sleep(pause_s)
        pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
