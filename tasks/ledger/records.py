"""What goes into the ledger and what comes out of it: frozen values, no database.

Money is in integer micro-dollars (`_musd`), instants are UTC `datetime`s ending in `_at`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, NamedTuple

from reelsweep.prompts.request import Json, Output, Scalar
from reelsweep.tasks.gateway.outcome import Billed, Outcome

ManifestStatus = Literal[
    "planned",
    "in_progress",
    "success",
    "refused",
    "invalid_output",
    "failed",
    "failed_to_download",
    "unknown",
    "cancelled",
    "skipped_budget",
    "skipped_parent",
]
FINAL: frozenset[ManifestStatus] = frozenset({"success", "refused", "invalid_output", "failed"})


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """One run: who works on this OUT, since when, with what."""

    run_id: str
    out_id: str
    gateway: str
    plan_hash: str
    settings: Mapping[str, Json]
    """The run's options, without secrets."""
    code_version: str
    host: str
    pid: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanRow:
    """One line of the manifest: (table row, parameters, seed, sample) in one OUT."""

    row_key: str
    """sha256 over prompt_id, params, seed, sample_idx and fingerprint: the same in every plan."""
    ordinal: int
    prompt_id: str
    sample_idx: int
    request_fingerprint: str
    output: Output
    model: str
    prompt: str | None
    messages: str | None
    """JSON, images by their sha256."""
    seed: int | None
    n: int
    size_asked: str | None
    seconds_asked: float | None
    params: Mapping[str, Scalar]
    meta: Mapping[str, str | None]
    payload: str
    """The canonical request, JSON."""
    follows: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Where one generation stands, for the anti-join before anything is sent."""

    request_fingerprint: str
    status: ManifestStatus
    next_step: Literal["buy", "hold", "wait", "recover", "fetch", "none"]
    """buy: never sent, or surely unbilled. hold: maybe billed, nothing to ask by. wait: a live run has it.
    recover: maybe billed, a task id or status URL is known. fetch: paid for, bytes still to be stored.
    none: final."""
    attempt_id: str | None = None
    """The attempt to recover or fetch."""
    billed: Billed | None = None
    """How the last failure was billed, for `--retry-failed`."""
    num_purchases: int = 0
    num_failures: int = 0
    """Settled failures of this generation that asked for `backoff_long`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimRequest:
    """A wish to POST: the whole of claim, reservation and intent, in one transaction."""

    run_id: str
    request_fingerprint: str
    body_sha256: str
    price_max_musd: int | None
    """Worst case of this POST, n times the price's maximum; None when the price is unknown."""
    price: str | None = None
    """The price as the user gave it, recorded with the attempt."""
    allow: frozenset[Literal["failed_billed", "unknown"]] = frozenset()
    """`--retry-failed` and `--on-unknown resubmit`."""
    max_purchases: int = 2
    prefect_flow_run_id: str | None = None
    prefect_task_run_id: str | None = None
    new_key: bool = False
    """The profile changed the body since the last attempt: take a new idempotency key."""
    key_ttl_s: float | None = None
    """How long the gateway sells once for one key: an unknown that young may be asked again with no leave."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A durable intent: exactly one POST may now be sent."""

    attempt_id: str
    """uuid7 hex: sorts by time."""
    purchase_idx: int
    attempt_idx: int
    idempotency_key: str
    sent_at: datetime
    """When it was granted."""
    is_replay: bool = False
    """The key was sent before, and what came of that is not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Declined:
    """Why no POST may be sent for this generation now."""

    reason: Literal[
        "final",
        "claimed",
        "unknown",
        "failed_billed",
        "max_purchases",
        "skipped_budget",
        "budget_wait",
        "max_posts",
        "lease_lost",
        "body_changed",
    ]
    standing: Standing
    asked_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The outcome of one attempt as it enters the ledger."""

    outcome: Outcome
    manifest_status: ManifestStatus
    """Where the generation stands after it; `in_progress` while videos are to be fetched or a task polled."""
    billed: Billed
    cost_musd: int | None
    cost_source: Literal["price", "gateway", "bill"] | None = None
    worst_musd: int | None = None
    """The worst case at the price `cost_musd` was reckoned with: a POST costs what was asked when it left."""
    transcript: str | None = None
    """File name below OUT/transcripts."""
    wire_sha256: str | None = None
    key_ttl_s: float | None = None
    """How long the gateway sells once for one key: POSTs under it within that time are one sale."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultRecord:
    """One choice of one attempt: what was stored and what is in it."""

    choice_idx: int
    status: ManifestStatus
    video_url: str | None = None
    file_name: str | None = None
    sha256: str | None = None
    size_bytes: int | None = None
    mime_type: str | None = None
    text: str | None = None
    tool_calls: str | None = None
    finish_reason: str | None = None
    error_type: str | None = None
    error_message: str | None = None
    facts: Mapping[str, Json] = field(default_factory=dict[str, Json])
    """Probe facts by manifest column: width, height, duration_s, fps, num_frames, codec, has_audio,
    frames_sha256, phash, and notes."""
    download_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """What one generation has come to, as far as a judgement of its content needs it."""

    status: ManifestStatus
    is_open: bool
    """Something may still come of it, now or in a later run."""
    billed: Billed | None
    refused_at: str | None
    num_purchases: int
    clips: tuple[Mapping[str, Json], ...] = ()
    """The facts of its successful choices, in order; empty ones for a text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptRecord:
    """One POST as the ledger knows it (the columns of attempts.parquet)."""

    attempt_id: str
    gateway: str
    request_fingerprint: str
    run_id: str
    purchase_idx: int
    attempt_idx: int
    idempotency_key: str
    state: Literal["intent", "answered", "settled", "withdrawn", "unknown", "surplus"]
    kind: str | None
    """The outcome's status, None until it is known."""
    retry: str | None
    http_status: int | None
    error_type: str | None
    error_code: str | None
    error_message: str | None
    refused_at: str | None
    request_id: str | None
    completion_id: str | None
    gateway_task_id: str | None
    status_url: str | None
    video_host: str | None
    transcript: str | None
    billed: Billed | None
    reserved_musd: int | None
    cost_musd: int | None
    cost_source: str | None
    served_model: str | None
    system_fingerprint: str | None
    finish_reason: str | None
    usage_prompt_tokens: int | None
    usage_completion_tokens: int | None
    body_sha256: str | None
    sent_at: datetime
    first_event_at: datetime | None
    completed_at: datetime | None
    prefect_flow_run_id: str | None
    prefect_task_run_id: str | None
    results: tuple[ResultRecord, ...] = ()
    out_id: str | None = None
    """The OUT of the run that sent it; its files are there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One plan row with its generation and the attempt that speaks for it: what the manifest is made of.

    `attempt` is the successful attempt where there is one, else the latest.
    """

    plan: PlanRow
    gateway: str
    run_id: str | None
    in_plan: bool
    shared: bool
    status: ManifestStatus
    attempt: AttemptRecord | None
    num_attempts: int
    num_purchases: int
    cost_musd: int | None
    """What all attempts of this generation settled; on the first line that shares it, 0 on the others."""
    reserved_musd: int | None
    created_at: datetime
    started_at: datetime | None
    plan_hash: str | None
    code_version: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """Counts and money of one OUT, for progress, `status` and the run's summary."""

    counts: Mapping[ManifestStatus, int]
    """Rows in the latest plan by status."""
    posts: int
    cost_musd: int
    reserved_musd: int
    in_flight: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenAt:
    """Requests of an OUT that one gateway has left open, in no live run's hands."""

    gateway: str
    unknown: int
    waiting: int
    """Paid for, and still to end or to be fetched."""
    num_left: int
    """Of both, those that the latest plan does not ask for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """One OUT at one instant, the dead taken for dead, whether or not anybody has written that down."""

    tally: Tally
    open_at: tuple[OpenAt, ...]
    """By gateway; those where nothing is open are absent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanDiff:
    """What a plan asks for beside the one before it in the same OUT, in rows; where they stand is no news."""

    is_first: bool
    """There was no plan before; all its rows are new."""
    new: int
    edited: int
    """In the place of another row of the same prompt, or carrying other columns."""
    removed: int
    """No longer asked for; they stay as lines with `in_plan` false."""
    same: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Spend:
    """Money of a whole ledger, or of one calendar day of it."""

    settled_musd: int
    open_musd: int
    """Reserved for what is in flight; a refund may come."""
    held_musd: int
    """Reserved for what is maybe billed, until `reconcile` or a bill decides."""

    @property
    def used_musd(self) -> int:
        """What counts against a cap."""
        return self.settled_musd + self.open_musd + self.held_musd


class ToldPosts(NamedTuple):
    """What a line of a manifest tells of a generation's POSTs, as far as they can be looked up."""

    gateway: str
    request_fingerprint: str
    sent_at_us: int
    """When the POST that speaks for it was sent, in microseconds since 1970."""
    num_purchases: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """What came back into a lost ledger."""

    rows: int
    attempts: int
    unknown: int
    """Rows that may have been bought after the manifest was last written."""
    resolved: int = 0
    """Suppositions that were not kept: another OUT's files tell what came of the row."""
