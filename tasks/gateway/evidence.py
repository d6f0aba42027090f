"""What one body showed, as `fold` hands it to `judge`: frozen values, nothing decided. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

from reelsweep.prompts.request import Output
from reelsweep.tasks.gateway.faults import Fault
from reelsweep.tasks.gateway.outcome import Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """How a body is to be read: the HTTP answer around it and what was asked."""

    http_status: int = 200
    content_type: str | None = None
    base_url: str | None = None
    output: Output = "video"
    expects_json: bool = False
    stream_errors_free: bool = False
    """The gateway's profile says that errors inside a stream are not billed."""
    asked_urls: frozenset[str] = frozenset()
    """Addresses in the request, which are never its result."""
    retry_after_s: float | None = None
    location: str | None = None
    """Where a redirect leads, without its query."""
    request_id: str | None = None

    @property
    def is_ok(self) -> bool:
        """Whether the HTTP status promises an answer."""
        return 200 <= self.http_status < 300


@dataclass(frozen=True, slots=True, kw_only=True)
class ChoiceEvidence:
    """One choice as it stood at the end of the body."""

    choice_idx: int
    content: str = ""
    marked: str = ""
    """The content with a BREAK wherever something could not be read: what is searched."""
    reasoning: str = ""
    refusal: str = ""
    tool_calls: str | None = None
    finish_reason: str | None = None
    videos: tuple[str, ...] = ()
    """From JSON fields, the newest first."""
    last_piece: str = ""
    length_at_fault: int = 0
    """How long the content was when the fault came."""
    is_cut_short: bool = False
    """Its text is longer than what was kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """All that one body showed."""

    terms: Terms
    cut: str | None
    """How a body ended that did not end by itself: reset, idle, timeout or client."""
    is_ended: bool
    """A terminator, a finish reason or a whole body of its own was seen."""
    is_json: bool
    """Some JSON object could be read."""
    num_events: int
    choices: tuple[ChoiceEvidence, ...]
    fault: Fault | None
    task_id: str | None
    status_url: str | None
    preview_url: str | None
    progress: tuple[float, ...]
    junk: str
    """Text that is neither events nor JSON."""
    fragments: tuple[str, ...]
    """The content of each event that could not be read whole."""
    is_readable: bool = True
    """No event was malformed or cut, so nothing can be hidden there."""
    completion_id: str | None = None
    served_model: str | None = None
    system_fingerprint: str | None = None
    usage: Usage = field(default_factory=Usage)
    notes: tuple[str, ...] = ()
