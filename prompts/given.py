"""A plan whose generations are given, not expanded from a table.

Beside `plan`, with the same face: for what is made again, or beside what a table asks for. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256

from reelsweep.prompts.records import ColumnRecords, Table
from reelsweep.prompts.request import GenerationSpec
from reelsweep.prompts.told import told_digest
from reelsweep.prompts.uses import ColumnUse

_NO_COLUMNS = ColumnUse(sent=(), templates=(), carried=(), planning=())


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class GivenPlan:
    """Generations in the order given; `table` names the one they come from."""

    table: Table
    plan_hash: str
    given: tuple[GenerationSpec, ...]
    columns: ColumnUse = _NO_COLUMNS
    num_shared: int = 0
    warnings: tuple[str, ...] = ()
    repeated: frozenset[str] = frozenset()
    """None: no generation is given twice."""

    @property
    def num_rows(self) -> int:
        """Rows of the table that ask for them, as far as known: one each."""
        return len(self.given)

    @property
    def models(self) -> frozenset[str]:
        """Every model that is asked."""
        return frozenset(spec.model for spec in self.given)

    def __len__(self) -> int:
        return len(self.given)

    def specs(self) -> Iterator[GenerationSpec]:
        """Every generation in order."""
        return iter(self.given)

    def specs_at(self, ordinals: Sequence[int]) -> Iterator[GenerationSpec]:
        """The generations at these places."""
        return (self.given[ordinal] for ordinal in ordinals)

    def told(self, ordinal: int) -> str:
        """What the manifest tells of the generation at this place, as a hash (`told_digest`), hex."""
        spec = self.given[ordinal]
        name, prompt_id = spec.request_fingerprint, spec.prompt_id
        return told_digest(name, prompt_id, spec.output, spec.params, spec.meta, spec.follows).hex()

    def fingerprints(self) -> Iterator[str]:
        """The request_fingerprint of every generation in order."""
        return (spec.request_fingerprint for spec in self.given)


def given_plan(table_name: str, specs: Iterable[GenerationSpec]) -> GivenPlan:
    """The plan of these generations, none of which is given twice; their places are counted anew."""
    given = tuple(replace(spec, ordinal=ordinal) for ordinal, spec in enumerate(specs))
    asked = "\n".join(spec.request_fingerprint for spec in given)
    digest = sha256(f"given 1\n{asked}".encode()).hexdigest()
    table = Table(
        name=table_name, stem="given", folder=None, sha256=digest, columns=(), records=ColumnRecords(())
    )
    return GivenPlan(table=table, plan_hash=digest, given=given)
