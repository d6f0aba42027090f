"""Files that are there, held against files that should be. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from reelsweep.tasks.export.place import Entry


@dataclass(frozen=True, slots=True)
class Expected:
    """What is written about one file; None where nothing is."""

    size_bytes: int | None = None
    sha256: str | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """One file that is not as written, and how."""

    name: str
    reason: str = ""

    def __str__(self) -> str:
        return f"{self.name}: {self.reason}" if self.reason else self.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What became of every file."""

    where: str
    kind: Literal["out", "export"]
    checked: int
    size_bytes: int
    missing: tuple[Finding, ...] = ()
    changed: tuple[Finding, ...] = ()
    foreign: tuple[Finding, ...] = ()
    pending: tuple[Finding, ...] = ()
    """Whole, and not in the manifest yet: of a run that is going, or was killed. No fault."""
    notes: tuple[str, ...] = ()

    @property
    def is_clean(self) -> bool:
        """Whether everything is there, as written, and nothing else."""
        return not (self.missing or self.changed or self.foreign)


def find_missing(expected: Iterable[str], entries: Mapping[str, Entry]) -> list[Finding]:
    """Expected files that are not there, or are something else than a file."""
    found: list[Finding] = []
    for name in sorted(expected):
        entry = entries.get(name)
        if entry is None:
            found.append(Finding(name))
        elif entry.kind != "file":
            found.append(
                Finding(name, "a link stands in its place" if entry.kind == "link" else "it is no file")
            )
    return found


def find_changed(name: str, expected: Expected, size_bytes: int, sha256: str) -> Finding | None:
    """What is different about one file that was read; None when nothing is."""
    if expected.size_bytes is not None and expected.size_bytes != size_bytes:
        return Finding(name, f"{size_bytes:,} bytes, expected {expected.size_bytes:,}")
    if expected.sha256 is not None and expected.sha256 != sha256:
        return Finding(name, "other bytes than its sha256 says")
    return None


def find_foreign(entry: Entry) -> Finding:
    """A file nobody has written about."""
    reasons = {"file": "", "link": "a link", "other": "no file, no folder"}
    return Finding(entry.name, reasons[entry.kind])
