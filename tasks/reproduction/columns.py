"""The columns of `reproduction.parquet`, declared once: a line per pair of results of one request. Pure."""

from __future__ import annotations

from reelsweep.tasks.manifest.columns import INSTANT, INTEGER, NUMBER, STRING, Column

_SIDES = (
    Column("request_fingerprint", STRING, "the manifest row's", "sha256", nullable=False),
    Column("sample_idx", INTEGER, "the manifest row's", "from 0", nullable=False),
    Column("status", STRING, "how that row stands", nullable=False),
    Column("served_model", STRING, "model the gateway says it used"),
    Column("system_fingerprint", STRING, "the gateway's mark of its configuration"),
    Column("completed_at", INSTANT, "end of the deciding attempt", "UTC"),
    Column("file_name", STRING, "the clip, below the output folder"),
    Column("sha256", STRING, "hash of the file's bytes", "sha256"),
    Column("frames_sha256", STRING, "hash of the decoded frames", "sha256"),
    Column("phash", STRING, "perceptual hash of evenly spaced frames", "hex"),
)
AGAIN = "again_"
"""Prefix of what belongs to the repetition."""

REPRODUCTION: tuple[Column, ...] = (
    Column("gateway", STRING, "as in the manifest", nullable=False),
    Column("model", STRING, "model asked for", nullable=False),
    Column("output", STRING, "`video` or `text`", nullable=False),
    Column("prompt_id", STRING, "as in the manifest", nullable=False),
    Column("seed", INTEGER, "seed asked for, both times"),
    Column("choice_idx", INTEGER, "which of the `n` choices, both times", "from 0", nullable=False),
    Column(
        "verdict",
        STRING,
        "`bit-identical`, `frame-identical`, `near`, `different`; `failed`: it ended without a result;"
        " `open`: its end is not known yet",
        nullable=False,
    ),
    Column("distance", NUMBER, "how far the two are apart: 0 the same frames (or the same text), to 1"),
    *_SIDES,
    *(Column(f"{AGAIN}{side.name}", side.kind, side.meaning, side.unit, side.nullable) for side in _SIDES),
)
