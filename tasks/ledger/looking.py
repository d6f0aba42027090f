"""A ledger file that may not be written to, looked at: on a read-only disk, or in somebody else's folder.

Beside `ledger`, for who only asks. Nothing is made, migrated or declared dead.
"""

from __future__ import annotations

import os

from reelsweep.prompts.errors import SettingsError
from reelsweep.tasks.ledger.clock import uptime_s, utc_now
from reelsweep.tasks.ledger.migrate import read_checked_id, read_steps
from reelsweep.tasks.ledger.place import FilePlace, parse_place
from reelsweep.tasks.ledger.reading import Reading


class Looking(Reading):
    """The half of a ledger that changes nothing, of a file that cannot be changed."""

    @classmethod
    def open(cls, url: str) -> Looking:
        """The ledger at `sqlite:///path`.

        Raises OutError where it is none or has another schema, TroubleError where it cannot be read: also
        where there is a log beside it without its index, which only a writer could make.
        """
        place = parse_place(url)
        if not isinstance(place, FilePlace):
            raise SettingsError("Only a ledger file is looked at; a server's ledger is opened.")
        looking, num_steps = cls(place, utc_now, uptime_s, "look"), len(read_steps())
        try:
            looking.ledger_id = looking._reader.submit(lambda conn: read_checked_id(conn, num_steps)).result()
        except BaseException:
            looking.close()
            raise
        return looking

    def close(self) -> None:
        """Let go of the file."""
        self._reader.close()


def may_only_look(url: str) -> bool:
    """Whether the URL names a file that is there and that this process may not write to, or not beside it."""
    place = parse_place(url)
    if not isinstance(place, FilePlace) or not place.path.exists():
        return False
    return not os.access(place.path, os.W_OK) or not os.access(place.path.parent, os.W_OK)
