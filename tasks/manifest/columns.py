"""The columns of every table a run leaves behind, declared once.

Schema, README tables and checks derive from here. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from reelsweep.tasks.artifacts.checks import CHECK, CHECKS


class Kind(StrEnum):
    """What a column holds; `schema.py` says it in Arrow's words."""

    STRING = "string"
    INTEGER = "integer"
    NUMBER = "number"
    BOOLEAN = "boolean"
    INSTANT = "instant"


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its name, what it holds, what it means, and its unit where it has one."""

    name: str
    kind: Kind
    meaning: str
    unit: str = ""
    nullable: bool = True


STRING, INTEGER, NUMBER, BOOLEAN, INSTANT = Kind

PARAM = "param_"
"""Prefix of the scalar parameters and sweep axes, one column each, after `params`."""
META = "meta_"
"""Prefix of the table's carried columns, one column each, last."""

MANIFEST: tuple[Column, ...] = (
    Column("run_id", STRING, "run that last worked on the row"),
    Column(
        "prompt_id",
        STRING,
        "the table's name for the prompt, or one derived from its content",
        nullable=False,
    ),
    Column("sample_idx", INTEGER, "which of several results of one request", "from 0", nullable=False),
    Column("choice_idx", INTEGER, "which of the `n` choices of one answer", "from 0", nullable=False),
    Column(
        "candidate_idx",
        INTEGER,
        "which generation of its prompt and parameters, over seeds and samples; null outside the latest plan",
        "from 0",
    ),
    Column("in_plan", BOOLEAN, "the latest plan still asks for the row", nullable=False),
    Column("shared", BOOLEAN, "another row asks for the same, and it was bought once", nullable=False),
    Column(
        "request_fingerprint",
        STRING,
        "what was asked: hash of the canonical request",
        "sha256",
        nullable=False,
    ),
    Column("gateway", STRING, "normalised origin and path, or `sandbox@version`", nullable=False),
    Column("output", STRING, "what the row must yield: `video` or `text`", nullable=False),
    Column("model", STRING, "model asked for", nullable=False),
    Column("served_model", STRING, "model the gateway says it used"),
    Column("prompt", STRING, "text of the last user message"),
    Column("messages", STRING, "messages as sent, images by their sha256", "JSON"),
    Column("seed", INTEGER, "seed asked for"),
    Column("seed_honoured", STRING, "`yes`, `no` or `unknown`; null without a seed"),
    Column("size_asked", STRING, "frame size asked for", "WxH, pixels"),
    Column("seconds_asked", NUMBER, "length asked for", "s"),
    Column("params", STRING, "every scalar parameter and axis", "JSON", nullable=False),
    Column("status", STRING, "how the row stands", nullable=False),
    Column("refused_at", STRING, "what was moderated: `input`, `output`, `likeness` or `unspecified`"),
    Column("error_type", STRING, "our word for the cause, as in the troubleshooting"),
    Column("error_code", STRING, "the gateway's code for it"),
    Column("error_message", STRING, "the reason in words"),
    Column("finish_reason", STRING, "why the model stopped, as the gateway said it"),
    Column("system_fingerprint", STRING, "the gateway's mark of its configuration, where it sends one"),
    Column(
        "stratum", STRING, "which configuration answered: `served_model@system_fingerprint`, `?` if not said"
    ),
    Column("gateway_task_id", STRING, "the gateway's id of the job"),
    Column("text", STRING, "text of the answer"),
    Column("tool_calls", STRING, "tool calls of the answer", "JSON"),
    Column("file_name", STRING, "the clip, below the output folder"),
    Column("sha256", STRING, "hash of the file's bytes", "sha256"),
    Column("size_bytes", INTEGER, "size of the file", "bytes"),
    Column("mime_type", STRING, "type of the file, by its signature"),
    Column("width", INTEGER, "width of a frame", "pixels"),
    Column("height", INTEGER, "height of a frame", "pixels"),
    Column("duration_s", NUMBER, "length of the clip", "s"),
    Column("fps", NUMBER, "frames per second", "1/s"),
    Column("num_frames", INTEGER, "frames decoded"),
    Column("codec", STRING, "video codec"),
    Column("has_audio", BOOLEAN, "the clip has a sound track"),
    Column("frames_sha256", STRING, "hash of the decoded frames; survives re-muxing", "sha256"),
    Column("phash", STRING, "perceptual hash of evenly spaced frames, for nearness", "hex"),
    Column("black_share", NUMBER, "frames that are black", "share of all"),
    Column("frozen_share", NUMBER, "longest freeze", "share of all frames"),
    Column("audio_peak_dbfs", NUMBER, "how loud the sound gets; null without a sound track", "dBFS"),
    Column("check_decodes", BOOLEAN, "passes: it decodes to its end; null where a check was not made"),
    *(Column(CHECK + check.name, BOOLEAN, f"passes: {check.passes}") for check in CHECKS),
    Column("near_duplicate_of", STRING, "request_fingerprint of the accepted row it looks like", "sha256"),
    Column("accepted", BOOLEAN, "no check that is switched on has failed; null where the row is no success"),
    Column("reject_reason", STRING, "which checks a success has failed, and why"),
    Column("num_attempts", INTEGER, "POSTs sent for the request", nullable=False),
    Column("num_purchases", INTEGER, "of them, those that were or may have been billed", nullable=False),
    Column("billed", STRING, "whether the deciding attempt was billed: `yes`, `no` or `maybe`"),
    Column(
        "cost_usd",
        NUMBER,
        "settled for the request, all attempts; on the first row and choice that share it, 0 on the others",
        "USD",
    ),
    Column("reserved_usd", NUMBER, "maybe billed and not yet settled; placed like `cost_usd`", "USD"),
    Column("cost_source", STRING, "where the cost comes from: `price`, `gateway` or `bill`"),
    Column(
        "usage_prompt_tokens",
        INTEGER,
        "tokens of the request, as the gateway counted them; all choices together",
    ),
    Column("usage_completion_tokens", INTEGER, "tokens of the answer, likewise"),
    Column("created_at", INSTANT, "when the row was first planned", "UTC", nullable=False),
    Column("started_at", INSTANT, "when the deciding attempt was sent", "UTC"),
    Column("first_event_at", INSTANT, "first sign of the deciding attempt's stream", "UTC"),
    Column("completed_at", INSTANT, "end of the deciding attempt", "UTC"),
    Column("generation_s", NUMBER, "from the deciding POST to its end", "s"),
    Column("download_s", NUMBER, "time the download took", "s"),
    Column("plan_hash", STRING, "plan that last asked for the row", "sha256"),
    Column("code_version", STRING, "version of Reelsweep that made it"),
)

ATTEMPTS: tuple[Column, ...] = (
    Column("attempt_id", STRING, "one POST; sorts by time", "uuid7", nullable=False),
    Column("gateway", STRING, "as in the manifest", nullable=False),
    Column("request_fingerprint", STRING, "as in the manifest", "sha256", nullable=False),
    Column("run_id", STRING, "run that sent it", nullable=False),
    Column("purchase_idx", INTEGER, "which purchase of the request", "from 0", nullable=False),
    Column("attempt_idx", INTEGER, "which attempt of the request", "from 0", nullable=False),
    Column("idempotency_key", STRING, "sent as `Idempotency-Key`; a bill joins on it", nullable=False),
    Column(
        "state",
        STRING,
        "`intent`, `answered`, `settled`, `unknown`, or `surplus`: a second success",
        nullable=False,
    ),
    Column("kind", STRING, "outcome of the attempt; null until it is known"),
    Column("retry", STRING, "what the outcome allows next"),
    Column("http_status", INTEGER, "HTTP status of the answer"),
    Column("error_type", STRING, "our word for the cause"),
    Column("error_code", STRING, "the gateway's code for it"),
    Column("error_message", STRING, "the reason in words"),
    Column("request_id", STRING, "the gateway's id of the request"),
    Column("completion_id", STRING, "the gateway's id of the completion"),
    Column("gateway_task_id", STRING, "the gateway's id of the job"),
    Column("status_url", STRING, "where the job can be asked about"),
    Column("video_host", STRING, "host the video came from"),
    Column("transcript", STRING, "the kept answer, below the output folder's `transcripts`"),
    Column("billed", STRING, "`yes`, `no` or `maybe`; null while the attempt is open"),
    Column("reserved_usd", NUMBER, "held back for the attempt", "USD"),
    Column("cost_usd", NUMBER, "settled for the attempt", "USD"),
    Column("sent_at", INSTANT, "when the intent to send was durable", "UTC", nullable=False),
    Column("first_event_at", INSTANT, "first sign of its stream", "UTC"),
    Column("completed_at", INSTANT, "its end", "UTC"),
    Column("prefect_flow_run_id", STRING, "Prefect flow run"),
    Column("prefect_task_run_id", STRING, "Prefect task run"),
)

_BY_NAME = {column.name: column for column in MANIFEST}

METADATA: tuple[Column, ...] = tuple(
    _BY_NAME[name]
    for name in (
        "file_name",
        *("prompt_id", "prompt", "seed", "sample_idx", "choice_idx", "in_plan", "shared", "model", "gateway"),
        *("served_model", "size_asked", "seconds_asked", "request_fingerprint", "system_fingerprint"),
        *("sha256", "frames_sha256", "phash", "size_bytes", "mime_type", "width", "height", "duration_s"),
        *("fps", "num_frames", "codec", "has_audio", "accepted", "reject_reason"),
    )
)
"""The successes that are files, in the shape `datasets` calls videofolder; `param_` and `meta_` follow."""

PLAN: tuple[Column, ...] = (
    Column("row_key", STRING, "one line of the plan, the same in every plan", "sha256", nullable=False),
    Column("ordinal", INTEGER, "position in the plan", "from 0", nullable=False),
    *(
        _BY_NAME[name]
        for name in (
            "prompt_id",
            "sample_idx",
            "in_plan",
            "shared",
            "request_fingerprint",
            "gateway",
            "output",
        )
    ),
    *(_BY_NAME[name] for name in ("model", "seed", "size_asked", "seconds_asked")),
    Column("n", INTEGER, "choices asked for", nullable=False),
    Column("follows", STRING, "request_fingerprint of the row whose finished turn this one edits", "sha256"),
    _BY_NAME["plan_hash"],
)


def markdown_table(columns: Iterable[Column]) -> str:
    """The columns as a Markdown table, for the README."""
    head = "| column | type | unit | meaning |\n|---|---|---|---|\n"
    return head + "".join(
        f"| `{column.name}` | {column.kind}{'' if column.nullable else ', always there'} | {column.unit} |"
        f" {column.meaning} |\n"
        for column in columns
    )
