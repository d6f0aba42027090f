"""What should be there, looked for, and read to its end where a size or a hash is known."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from reelsweep.prompts.errors import TroubleError
from reelsweep.tasks.export.clips import hash_file
from reelsweep.tasks.export.place import Entry, Place
from reelsweep.tasks.export.threads import in_threads
from reelsweep.tasks.storage.objects import UnreachableError
from reelsweep.tasks.verify.findings import Expected, Finding, find_changed, find_missing

Meter = Callable[[str, int], Callable[[int], None]]
"""Opens a count: what is done, and of how many; what comes back is told of each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What became of the files that should be there."""

    files: int
    """Files that were read."""
    size_bytes: int
    missing: tuple[Finding, ...]
    changed: tuple[Finding, ...]


def check_files(
    place: Place, entries: Mapping[str, Entry], expected: Mapping[str, Expected], meter: Meter
) -> Checked:
    """Hold every expected file against what is there; one that cannot be read counts as changed.

    Raises UnreachableError for a store that fails, of which nothing can be said.
    """
    missing = find_missing(expected, entries)
    absent = {finding.name for finding in missing}
    known = sorted(name for name in expected if name not in absent and expected[name] != Expected())
    tick = meter("checking", len(known))

    def check(name: str) -> Finding | None:
        try:
            size_bytes, sha256 = hash_file(place, name)
        except UnreachableError:
            raise
        except TroubleError as error:
            return Finding(name, error.message)
        finally:
            tick(1)
        return find_changed(name, expected[name], size_bytes, sha256)

    return Checked(
        files=len(known),
        size_bytes=sum(entries[name].size_bytes for name in known),
        missing=tuple(missing),
        changed=tuple(found for found in in_threads(check, known) if found),
    )
