"""The words by which gateways say how a job stands.

Used by `structure` for streams and status pages alike. Pure.
"""

from __future__ import annotations

import re
from typing import Literal

State = Literal["running", "completed", "failed"]

_COMPLETED = re.compile(
    r"(?:(?!not)[a-z]+[_ .-])*(?:completed?|succe(?:ss|ed|eded|ssful)|done|finished|ready)", re.IGNORECASE
)
_FAILED = re.compile(
    r"(?:(?!not)[a-z]+[_ .-])*(?:fail(?:ed|ure)?|error(?:ed)?|cancell?ed|rejected|expired"
    r"|aborted|time_?d?_?out|blocked|moderated)",
    re.IGNORECASE,
)
_RUNNING = re.compile(
    r"queued?|in_?queue|pending|in[_ -]?progress|submitted|created|accepted|scheduled|not_?start(?:ed)?"
    r"|[a-z]+(?:[_ -][a-z]+)*ing",
    re.IGNORECASE,
)


def state_of(word: str) -> State | None:
    """How the job stands, or None for a word that says nothing about it."""
    word = word.strip()
    if len(word) > 40:
        return None
    if _COMPLETED.fullmatch(word):
        return "completed"
    if _FAILED.fullmatch(word):
        return "failed"
    return "running" if _RUNNING.fullmatch(word) else None
