"""What a run with `--accept` makes: the rows it began with, and fresh candidates for those that are rejected.

Between `acceptance`, which decides, and the window, which asks for the next row.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Self

from reelsweep.flows.out.planned import plan_rows
from reelsweep.flows.selection.acceptance import Acceptance
from reelsweep.flows.selection.topup import candidate_of
from reelsweep.flows.session import OpenRun
from reelsweep.prompts.plan import Plan
from reelsweep.prompts.request import GenerationSpec
from reelsweep.tasks.artifacts.checklist import Checks
from reelsweep.tasks.ledger.ledger import Ledger
from reelsweep.tasks.ledger.records import PlanRow


@dataclass(slots=True, kw_only=True)
class Feed:
    """Specs to make: those the run began with, then the candidates that are opened while it goes on.

    An iterator that may yield again after it was empty: the window asks it whenever a row has ended.
    """

    first: Iterator[GenerationSpec]
    acceptance: Acceptance
    plan: Plan
    gateway: str
    out_id: str
    checks: Checks
    ledger: Ledger
    limit: int | None
    """How many may be opened (`--limit`); None for as many as are needed."""
    num_opened: int = 0
    """Candidates opened by this run since it began."""
    _settled: bool = False
    _waiting: deque[GenerationSpec] = field(default_factory=deque[GenerationSpec])
    _places: dict[str, list[int]] = field(init=False)
    """Where each open generation stands; rows that ask for the same share it."""
    _alike: dict[str, list[int]] = field(init=False)
    """Where all stand, open or not, that ask for the same as another row."""

    def __post_init__(self) -> None:
        self._places, self._alike = defaultdict(list), _alike(self.plan)
        for place, name in enumerate(self.plan.fingerprints()):
            if place in self.acceptance.opened:
                self._places[name].append(place)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> GenerationSpec:
        for spec in self.first:
            return spec
        if not self._waiting:
            raise StopIteration
        return self._waiting.popleft()

    @classmethod
    def of(cls, run: OpenRun) -> Feed | None:
        """The feed of a run with `--accept`; None where its plan is all there is."""
        plan, options = run.prepared.plan, run.prepared.options
        if run.acceptance is None or not isinstance(plan, Plan):
            return None
        return cls(
            first=run.todo(),
            acceptance=run.acceptance,
            plan=plan,
            gateway=run.prepared.gateway,
            out_id=run.context.out_id,
            checks=options.checks,
            ledger=run.context.ledger,
            limit=None if options.limit is None else options.limit - run.num_todo(),
        )

    async def ended(self, spec: GenerationSpec) -> None:
        """Judge what came of a generation and open what its rows need now."""
        self._settled = False
        rows = await self._take([spec])
        await self._open(rows)

    async def settle(self) -> bool:
        """When nothing is under way: judge everything together. Whether there is more to make."""
        if not self._settled:
            self._settled = True
            # Not all ends are ours: another OUT of this ledger, another run may have made what is open here.
            await self._take(list(self.plan.specs_at(self.acceptance.open_places())))
            await asyncio.to_thread(self.acceptance.settle)
            await self._open(range(len(self.acceptance)))
        return bool(self._waiting)

    async def _take(self, specs: Sequence[GenerationSpec]) -> list[int]:
        """Tell what came of them; the rows concerned."""
        names = [spec.request_fingerprint for spec in specs]
        known = await self.ledger.made(self.gateway, self.out_id, names)
        rows: list[int] = []
        for spec, made in ((spec, known.get(spec.request_fingerprint)) for spec in specs):
            if made is None:
                continue
            for place in self._places[spec.request_fingerprint]:
                self.acceptance.tell(place, candidate_of(spec, made, self.checks))
                rows.append(self.acceptance.row_of(place))
        return rows

    async def _open(self, rows: Iterable[int]) -> None:
        """Open what rows need: durable in the ledger first, then waiting to be made."""
        while places := self._more(rows):
            specs = list(self.plan.specs_at(places))
            await self.ledger.add_to_plan(self.out_id, self.gateway, self.plan.plan_hash, self._lines(specs))
            shared: list[GenerationSpec] = []
            for spec in specs:
                known = self._places[spec.request_fingerprint]
                (shared if known else self._waiting).append(spec)
                known.append(spec.ordinal)
            rows = await self._take(shared)

    def _more(self, rows: Iterable[int]) -> list[int]:
        wanted = (place for row in rows for place in self.acceptance.open_more(row))
        left = None if self.limit is None else max(0, self.limit - self.num_opened)
        places = sorted(islice(wanted, left))
        self.num_opened += len(places)
        return places

    def _lines(self, specs: Sequence[GenerationSpec]) -> Iterator[PlanRow]:
        """Equal rows are told apart by how many came before; those that ask for something else are none."""
        alike = {place for spec in specs for place in self._alike.get(spec.request_fingerprint, ())}
        if not alike:
            return plan_rows(specs, has_shared=False)
        wanted = {spec.ordinal for spec in specs}
        rows = plan_rows(self.plan.specs_at(sorted(wanted | alike)), has_shared=True)
        return (row for row in rows if row.ordinal in wanted)


def _alike(plan: Plan) -> dict[str, list[int]]:
    """The places of each request that comes more than once."""
    found: dict[str, list[int]] = defaultdict(list)
    for place, name in enumerate(plan.fingerprints()):
        if name in plan.repeated:
            found[name].append(place)
    return found
