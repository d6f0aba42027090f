"""`OUT/reelsweep.json`: which OUT this is, whose ledger it belongs to, how its last run ended.

Written before anything else in an OUT, read before anything is planned for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError
from reelsweep.prompts.errors import OutError
from reelsweep.tasks.manifest.read import kept_facts
from reelsweep.tasks.storage.out import Out, as_out

FORMAT_VERSION = 1
NAME = "reelsweep.json"


class OutFacts(BaseModel):
    """What an OUT says of itself."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format_version: int = FORMAT_VERSION
    out_id: str
    """Random, given when the OUT is made."""
    ledger_id: str
    """The only ledger this OUT may be continued with."""
    table: str
    """The prompt table, as the user named it."""
    gateway_kind: Literal["sandbox", "real"]
    """An OUT holds results of the sandbox or of real gateways, never of both."""
    checks: str = "default"
    """The content checks of the latest run, as `--checks` takes them."""
    ledger: Literal["own", "named"] = "own"
    """Whether its ledger lies in it, or where `--ledger` names it; the URL may hold a password."""
    ended: bool = False
    """Whether the last run ended by itself; False while one is going on and after a crash."""

    def as_facts(self) -> Mapping[str, str]:
        """The part that is copied into the manifest."""
        return {
            "format_version": str(self.format_version),
            "out_id": self.out_id,
            "ledger_id": self.ledger_id,
            "table": self.table,
            "gateway_kind": self.gateway_kind,
            "checks": self.checks,
        }


def write_out(out: Path | Out, facts: OutFacts) -> None:
    """Write `out/reelsweep.json` at once and for good. Raises TroubleError; the old one stays."""
    as_out(out).write(NAME, _content(facts))


def create_out(out: Out, facts: OutFacts) -> bool:
    """Write it where there is none; whether this call did. Raises TroubleError."""
    return out.create(NAME, _content(facts))


def read_out(out: Path | Out) -> OutFacts | None:
    """What `out` says of itself, where the file is lost in its manifest; None when it is not an OUT yet.

    Raises OutError when the file is damaged or of a newer Reelsweep.
    """
    path, text = f"{out}/{NAME}", as_out(out).read(NAME)
    if text is None:
        return _copied(kept_facts(str(out)))
    try:
        version = _Versioned.model_validate_json(text).format_version
        if version > FORMAT_VERSION:
            raise OutError(
                f"{path} has format {version}; this Reelsweep reads up to {FORMAT_VERSION}.",
                "Use the newer Reelsweep.",
            )
        return OutFacts.model_validate_json(text)
    except ValidationError as error:
        raise OutError(
            f"{path} is damaged: {_fields(error)}.",
            "Restore it, or remove it where there is a manifest, which holds a copy.",
        ) from None


def _copied(facts: Mapping[str, str]) -> OutFacts | None:
    """What `as_facts` wrote; a run may have been at work since."""
    try:
        return OutFacts.model_validate({name: facts[name] for name in OutFacts.model_fields if name in facts})
    except ValidationError:
        return None


def _content(facts: OutFacts) -> bytes:
    return facts.model_dump_json(indent=2).encode() + b"\n"


class _Versioned(BaseModel):
    model_config = ConfigDict(extra="ignore")

    format_version: int


def _fields(error: ValidationError) -> str:
    """What is wrong, field by field, without the values."""
    wrong = error.errors(include_url=False, include_context=False, include_input=False)
    return "; ".join(f"{'.'.join(map(str, each['loc'])) or 'the file'}: {each['msg']}" for each in wrong)
