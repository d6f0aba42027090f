"""What may be in an OUT, by name: what the manifest speaks of, and what belongs to the run. Pure.

Whatever no pattern knows is foreign. A new file of an OUT gets its line here.
"""

from __future__ import annotations

import re
from typing import Literal

Belongs = Literal["clip", "by_hash", "transcript", "own", "foreign"]
"""A clip is held against the manifest; a file named by its hash against that; `own` is not looked into."""

PUBLISHED = ("manifest.parquet", "attempts.parquet", "plan.parquet", "metadata.parquet", "index.html")
"""Files that a run always leaves."""

_CLIP = re.compile(r"videos/[0-9a-f]{2}/[0-9a-f]{64}\.[0-9a-z]{1,8}")
_BY_HASH = re.compile(r"(?:inputs|rejected)/[0-9a-f]{64}(?:\.[0-9a-z]{1,8})?")
_TRANSCRIPT = re.compile(r"transcripts/[0-9A-Za-z-]{1,64}\.sse")
_OWN = re.compile(
    r"reelsweep\.json|\.(?:manifest|facts)\.lock"
    r"|ledger\.db(?:[-.].+)?|\.ledger\.db[^/]*/.+"  # the ledger, its journal, its runs' locks
    r"|reproduction\.parquet|gallery/.+"  # what `reproduce` and `gallery` leave
    r"|(?:.+/)?\.[^/]+\.(?:part|new)|videos/\.part/.+"  # on their way when a run died
)


def belongs(name: str) -> Belongs:
    """What a name below an OUT stands for."""
    if _CLIP.fullmatch(name):
        return "clip"
    if _BY_HASH.fullmatch(name):
        return "by_hash"
    if _TRANSCRIPT.fullmatch(name):
        return "transcript"
    return "own" if name in PUBLISHED or _OWN.fullmatch(name) else "foreign"


def hash_in(name: str) -> str:
    """The sha256 that a file named by its hash should have."""
    return name.rpartition("/")[2].partition(".")[0]
