"""The ledger's tables, as the newest schema has them.

A generation is one (gateway, request_fingerprint), an attempt one POST, a result one choice of an
attempt; `plan_rows` are the lines of each OUT. What stands in `generations` beside the payload is
derived from its attempts (`standing.derive`) and kept for speed. `migrate` creates and changes the
tables; a test holds the two together.
"""

from __future__ import annotations

from reelsweep.tasks.ledger.types import Count, Document, Instant, Prose
from sqlalchemy import BigInteger, Boolean, Column, Float, ForeignKey, Index, Integer, MetaData, Table, Text
from sqlalchemy.dialects.sqlite import INTEGER as SQLITE_INTEGER

metadata = MetaData()

_ID = BigInteger().with_variant(SQLITE_INTEGER(), "sqlite")

facts = Table(
    "ledger",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", Text, nullable=False),
    comment="ledger_id and schema_version",
)

runs = Table(
    "runs",
    metadata,
    Column("run_id", Text, primary_key=True),
    Column("out_id", Text, nullable=False),
    Column("gateway", Text, nullable=False),
    Column("plan_hash", Text, nullable=False),
    Column("settings", Document, nullable=False),
    Column("code_version", Text, nullable=False),
    Column("host", Prose, nullable=False),
    Column("pid", BigInteger, nullable=False),
    Column("boot_id", Text, nullable=False, comment="the start of the machine that lease_until counts from"),
    Column("state", Text, nullable=False, comment="live, ended or dead"),
    Column("lease_until", Float(53), nullable=False, comment="seconds on the lease's clock"),
    Column("started_at", Instant, nullable=False),
    Column("ended_at", Instant),
    Column("exit_code", Integer),
    Column("summary", Document),
)

outs = Table(
    "outs",
    metadata,
    Column("out_id", Text, primary_key=True),
    Column("gateway", Text, nullable=False),
    Column("plan_hash", Text, nullable=False, comment="the latest plan"),
)

generations = Table(
    "generations",
    metadata,
    Column("generation_id", _ID, primary_key=True),
    Column("gateway", Text, nullable=False),
    Column("request_fingerprint", Text, nullable=False),
    Column("payload", Prose, nullable=False, comment="the canonical request, JSON"),
    Column("run_id", Text, comment="the run that holds the claim"),
    Column("skipped", Text, comment="why it was not sent: a manifest status"),
    Column("status", Text, nullable=False),
    Column("next_step", Text, nullable=False),
    Column("attempt_id", Text, comment="the attempt that speaks for it"),
    Column("billed", Text),
    Column("num_attempts", Integer, nullable=False),
    Column("num_purchases", Integer, nullable=False),
    Column("num_failures", Integer, nullable=False),
    Column("cost_musd", BigInteger),
    Column("reserved_musd", BigInteger),
    Index("generations_key", "gateway", "request_fingerprint", unique=True),
    Index("generations_run", "run_id"),
)

plan_rows = Table(
    "plan_rows",
    metadata,
    Column("out_id", Text, primary_key=True),
    Column("row_key", Text, primary_key=True),
    Column("generation_id", BigInteger, ForeignKey("generations.generation_id"), nullable=False),
    Column("ordinal", BigInteger, nullable=False),
    Column("in_plan", Boolean, nullable=False),
    Column("last_plan_hash", Text, comment="the last plan that asked for it; null while the latest does"),
    Column("digest", Text, nullable=False, comment="of everything else in the row, to see what changed"),
    Column("prompt_id", Prose, nullable=False),
    Column("sample_idx", BigInteger, nullable=False),
    Column("output", Text, nullable=False),
    Column("model", Prose, nullable=False),
    Column("prompt", Prose),
    Column("messages", Prose),
    Column("seed", Count),
    Column("n", Integer, nullable=False),
    Column("size_asked", Prose),
    Column("seconds_asked", Float(53)),
    Column("params", Document, nullable=False),
    Column("meta", Document, nullable=False),
    Column("follows", Text),
    Column("created_at", Instant, nullable=False),
    Index("plan_rows_order", "out_id", "in_plan", "ordinal", "row_key"),
    Index("plan_rows_generation", "generation_id", "out_id"),
)

attempts = Table(
    "attempts",
    metadata,
    Column("attempt_id", Text, primary_key=True),
    Column("generation_id", BigInteger, ForeignKey("generations.generation_id"), nullable=False),
    Column("run_id", Text, ForeignKey("runs.run_id"), nullable=False),
    Column("purchase_idx", Integer, nullable=False),
    Column("attempt_idx", Integer, nullable=False),
    Column("idempotency_key", Text, nullable=False),
    Column("body_sha256", Text),
    Column("wire_sha256", Text),
    Column("state", Text, nullable=False),
    Column("status", Text, nullable=False, comment="the manifest status it led to"),
    Column("price", Text, comment="as the user gave it"),
    Column("price_musd", BigInteger, comment="the worst case it was reserved under"),
    Column("budget_slot", BigInteger, nullable=False, comment="the quarter of an hour it counts in"),
    Column("billed", Text),
    Column("reserved_musd", BigInteger),
    Column("cost_musd", BigInteger),
    Column("cost_source", Text),
    Column("kind", Text),
    Column("retry", Text),
    Column("http_status", Count),
    Column("error_type", Prose),
    Column("error_code", Prose),
    Column("error_message", Prose),
    Column("refused_at", Text),
    Column("request_id", Prose),
    Column("completion_id", Prose),
    Column("gateway_task_id", Prose),
    Column("status_url", Prose),
    Column("video_host", Prose),
    Column("transcript", Prose),
    Column("served_model", Prose),
    Column("system_fingerprint", Prose),
    Column("finish_reason", Prose),
    Column("usage_prompt_tokens", Count),
    Column("usage_completion_tokens", Count),
    Column("sent_at", Instant, nullable=False),
    Column("first_event_at", Instant),
    Column("completed_at", Instant),
    Column("prefect_flow_run_id", Text),
    Column("prefect_task_run_id", Text),
    Index("attempts_generation", "generation_id", "attempt_idx"),
    Index("attempts_run", "run_id", "state"),
)

results = Table(
    "results",
    metadata,
    Column("attempt_id", Text, ForeignKey("attempts.attempt_id"), primary_key=True),
    Column("choice_idx", Integer, primary_key=True, autoincrement=False),
    Column("status", Text, nullable=False),
    Column("video_url", Prose, comment="until the generation is settled"),
    Column("file_name", Prose),
    Column("sha256", Text),
    Column("size_bytes", BigInteger),
    Column("mime_type", Prose),
    Column("text", Prose),
    Column("tool_calls", Prose),
    Column("finish_reason", Prose),
    Column("error_type", Prose),
    Column("error_message", Prose),
    Column("facts", Document, nullable=False),
    Column("download_s", Float(53)),
)

budgets = Table(
    "budgets",
    metadata,
    Column(
        "slot", BigInteger, primary_key=True, autoincrement=False, comment="quarter hours since 1970; -1: all"
    ),
    Column("settled_musd", BigInteger, nullable=False),
    Column("open_musd", BigInteger, nullable=False, comment="reserved; a refund may come"),
    Column("held_musd", BigInteger, nullable=False, comment="reserved for what is maybe billed"),
)
