"""The canonical request: what is asked of a gateway, before any profile respells it.

After `plan`, before the ledger. Pure: no clock, no environment, no I/O.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Scalar = str | int | float | bool | None
Json = Scalar | list["Json"] | dict[str, "Json"]

Output = Literal["video", "text"]
"""What a row must yield."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationSpec:
    """One cell of the plan: a table row, its parameters, one seed, one sample.

    `payload` is the Chat Completions body without `stream`; images stand in it as
    `reelsweep-image:<sha256>` in place of the data URL, and a followed turn as the assistant
    message `{"role": "assistant", "content": "reelsweep-turn:<parent request_fingerprint>"}`.
    """

    ordinal: int
    """Position in the plan, from 0."""
    prompt_id: str
    row_idx: int
    """0-based data row of the table."""
    sample_idx: int
    output: Output
    model: str
    payload: Mapping[str, Json]
    request_fingerprint: str
    """64 hex digits, see `prompts.fingerprint`."""
    prompt: str | None
    """The rendered text of the last user message, for people."""
    seed: int | None = None
    params: Mapping[str, Scalar] = field(default_factory=dict[str, Scalar])
    """Scalar parameters and axes, the manifest's `param_<name>`."""
    meta: Mapping[str, str | None] = field(default_factory=dict[str, "str | None"])
    """Carried columns, the manifest's `meta_<name>`."""
    images: tuple[str, ...] = ()
    """sha256 of every image in `payload`, in order; the bytes are in OUT/inputs."""
    follows: str | None = None
    """`request_fingerprint` of the generation whose finished turn this one edits."""

    @property
    def n(self) -> int:
        """Choices asked for."""
        n = self.payload.get("n")
        return n if isinstance(n, int) else 1
