"""The Outcome: what one response body amounts to, decided at the end of the body.

After `fold`, before the ledger. Pure values, no gateway's name in them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Status = Literal["succeeded", "submitted", "incomplete", "refused", "no_video", "failed", "stopped"]
Retry = Literal["none", "backoff", "backoff_long", "resubmit_once", "poll_status_url"]
Billed = Literal["yes", "no", "maybe"]
RefusedAt = Literal["input", "output", "likeness", "unspecified"]
StopScope = Literal["run", "model"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """One choice of a response. `video_url` is absolute where a base was given."""

    choice_idx: int
    video_url: str | None = None
    text: str | None = None
    """The answer's `content`, unmodified (thinking apart)."""
    tool_calls: str | None = None
    """JSON array of the assembled tool calls."""
    finish_reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Token counts as the gateway gave them."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What one attempt came to (the vocabulary of the README's table of outcomes)."""

    status: Status
    retry: Retry | None = None
    billed: Billed = "maybe"
    choices: tuple[Choice, ...] = ()
    preview_url: str | None = None
    """A watermarked or reduced version, usable only when nothing better came."""
    task_id: str | None = None
    status_url: str | None = None
    progress: tuple[float, ...] = ()
    """Percentages in the order seen, repeats within one event counted once."""
    refused_at: RefusedAt | None = None
    stop_scope: StopScope | None = None
    """For `stopped`: whether the whole run or only this model stops."""
    error_type: str | None = None
    """One of `rules.ERROR_TYPES`: our word for the cause, named in the troubleshooting."""
    error_code: str | None = None
    """The gateway's code where it gave one, else ours."""
    error_message: str | None = None
    retry_after_s: float | None = None
    http_status: int | None = None
    request_id: str | None = None
    completion_id: str | None = None
    served_model: str | None = None
    system_fingerprint: str | None = None
    finish_reason: str | None = None
    usage: Usage = Usage()
    num_events: int = 0
    """JSON events understood; a failure before the first one is not billed."""
    notes: tuple[str, ...] = ()
    extra: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def video_url(self) -> str | None:
        """The first choice's video."""
        return next((choice.video_url for choice in self.choices if choice.video_url), None)

    @property
    def text(self) -> str | None:
        """The first choice's text."""
        return next((choice.text for choice in self.choices if choice.text), None)
