"""A bill laid beside the attempts: what is in one and not in the other, what to settle, what things cost.

After `bill`. Pure; `settling` reads the file and writes to the ledger.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from reelsweep.flows.recovery.bill import BillLine
from reelsweep.tasks.gateway.outcome import Billed
from reelsweep.tasks.ledger.records import AttemptRecord, Line

IDS = ("idempotency_key", "request_id", "completion_id", "gateway_task_id")
"""What a bill may call an attempt by."""

LATEST_LINE = timedelta(hours=1)
"""A stream may last 50 minutes and be charged at its end: an attempt later in the bill may yet be charged."""

_OPEN = ("intent", "answered", "withdrawn")


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """One attempt with its lines of the bill."""

    attempt: AttemptRecord
    lines: tuple[BillLine, ...]

    @property
    def is_open(self) -> bool:
        """Whether no line says yet what was charged."""
        return all(line.is_open for line in self.lines)

    @property
    def billed(self) -> Billed:
        """What the bill says, all lines together: charged and given back is not billed."""
        charged = any(line.is_charged for line in self.lines)
        return "yes" if charged and (self.cost_musd is None or self.cost_musd > 0) else "no"

    @property
    def cost_musd(self) -> int | None:
        """What the bill charges; None where it names no amount."""
        costs = [line.cost_musd for line in self.lines if line.cost_musd is not None]
        return max(0, sum(costs)) if costs else None

    @property
    def job_id(self) -> str | None:
        """What the bill calls the job; None where it names none, or several."""
        names = {line.job_id for line in self.lines if line.job_id is not None}
        return names.pop() if len(names) == 1 else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What the bill settles of one attempt that was maybe billed, or billed at an unknown price."""

    attempt_id: str
    billed: Billed
    cost_musd: int | None
    job_id: str | None = None
    """What the bill calls the job that it charges."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Joined:
    """Bill and attempts, side by side."""

    matches: tuple[Match, ...]
    only_billed: tuple[BillLine, ...]
    """Charged, and by none of the attempts, nor by others of this ledger."""
    of_others: tuple[BillLine, ...]
    """Of attempts that the same ledger has for other OUTs."""
    only_here: tuple[AttemptRecord, ...]
    """Billed or maybe billed, and not in the bill."""
    differing: tuple[Match, ...]
    """The bill says otherwise than what is settled here."""
    decisions: tuple[Decision, ...]
    undecided: tuple[AttemptRecord, ...]
    """Maybe billed, and the bill does not say."""


def join(
    lines: Sequence[BillLine], attempts: Iterable[AttemptRecord], elsewhere: Collection[str] = frozenset()
) -> Joined:
    """Every line goes to at most one attempt; a key that several attempts share to as many as it charges.

    `elsewhere` are the ids that the ledger knows of attempts of other OUTs.
    """
    known = sorted(attempts, key=lambda attempt: attempt.attempt_id)
    taken, kinds = _assign(lines, known)
    matches = tuple(
        Match(attempt=attempt, lines=tuple(taken[attempt.attempt_id]))
        for attempt in known
        if attempt.attempt_id in taken
    )
    matched = {line.row for match in matches for line in match.lines}
    missing = tuple(a for a in known if a.attempt_id not in taken and a.billed in ("yes", "maybe", None))
    covered = _covered(lines)
    absent = [attempt for attempt in missing if _is_surely_absent(attempt, covered, kinds)]
    decisions = (
        *(_decision(match) for match in matches if not match.is_open and _may_decide(match.attempt)),
        *(Decision(attempt_id=a.attempt_id, billed="no", cost_musd=None) for a in absent),
    )
    decided = {decision.attempt_id for decision in decisions}
    others = [line for line in lines if line.row not in matched]
    of_others = tuple(line for line in others if any(key in elsewhere for key in line.keys))
    rows = {line.row for line in of_others}
    return Joined(
        matches=matches,
        only_billed=tuple(line for line in others if line.row not in rows and line.is_charged),
        of_others=of_others,
        only_here=missing,
        differing=tuple(m for m in matches if m.attempt.attempt_id not in decided and _differs(m)),
        decisions=decisions,
        undecided=tuple(a for a in known if a.billed == "maybe" and a.attempt_id not in decided),
    )


def _assign(
    lines: Sequence[BillLine], attempts: Sequence[AttemptRecord]
) -> tuple[dict[str, list[BillLine]], frozenset[str]]:
    """Lines by attempt, and the kinds of id that every line found its attempt by."""
    index: dict[str, list[tuple[str, AttemptRecord]]] = defaultdict(list)
    for attempt in attempts:
        for kind in IDS:
            if value := getattr(attempt, kind):
                index[value].append((kind, attempt))
    named = [(line, [pair for key in line.keys for pair in index.get(key, ())]) for line in lines]
    ours = sorted(((line, pairs) for line, pairs in named if pairs), key=lambda it: _turn(*it))
    taken: dict[str, list[BillLine]] = defaultdict(list)
    for line, pairs in ours:
        taken[_best(line, pairs, taken).attempt_id].append(line)
    kinds = [frozenset(kind for kind, _ in pairs) for _, pairs in ours]
    return taken, frozenset[str]().union(*kinds[:1]).intersection(*kinds)


def _turn(line: BillLine, named: Sequence[tuple[str, AttemptRecord]]) -> tuple[bool, bool]:
    """Charges before what was held for them or is given back, lines that can mean only one attempt first."""
    votes = Counter(attempt.attempt_id for _, attempt in named).most_common(2)
    return _follows(line), len(votes) > 1 and votes[0][1] == votes[1][1]


def _follows(line: BillLine) -> bool:
    """Whether a line is of a charge and none itself: money given back, or held before it was taken."""
    return line.is_open or (line.cost_musd is not None and line.cost_musd < 0)


def _best(
    line: BillLine, named: Sequence[tuple[str, AttemptRecord]], taken: Mapping[str, Collection[BillLine]]
) -> AttemptRecord:
    """The attempt that an id of its own names; of those that share a key the paid one, then the oldest.

    POSTs that were given one job are one sale, which is counted with one of them: the charge goes there.
    A second charge goes to the next of them, money given back to one that was charged.
    """
    votes = Counter(attempt.attempt_id for _, attempt in named)
    sales = Counter[tuple[str, ...]]()
    for _, attempt in named:
        sales[_sale(attempt)] = max(sales[_sale(attempt)], votes[attempt.attempt_id])
    order = {"yes": 0, "maybe": 1, None: 2, "no": 3}
    follows = _follows(line)

    def rank(attempt: AttemptRecord) -> tuple[int, bool, int, int, str]:
        has_lines = attempt.attempt_id in taken
        return (
            -sales[_sale(attempt)],
            has_lines != follows,
            order[attempt.billed],
            -votes[attempt.attempt_id],
            attempt.attempt_id,
        )

    return min((attempt for _, attempt in named), key=rank)


def _sale(attempt: AttemptRecord) -> tuple[str, ...]:
    """The same for POSTs under one key that the gateway gave one job."""
    job = attempt.gateway_task_id or attempt.completion_id
    return (attempt.idempotency_key, job) if job else (attempt.attempt_id,)


def _may_decide(attempt: AttemptRecord) -> bool:
    if attempt.state in _OPEN:
        return False
    return attempt.billed == "maybe" or (attempt.billed == "yes" and attempt.cost_musd is None)


def _decision(match: Match) -> Decision:
    billed = match.billed if match.attempt.billed == "maybe" else "yes"
    cost = match.cost_musd if match.cost_musd is not None else match.attempt.reserved_musd
    return Decision(
        attempt_id=match.attempt.attempt_id,
        billed=billed,
        cost_musd=cost if billed == "yes" else None,
        job_id=match.job_id,
    )


def _covered(lines: Iterable[BillLine]) -> tuple[datetime, datetime] | None:
    """From when to when a bill surely tells of everything; its first and its last day may be cut."""
    spans = [(line.first_at, line.last_at) for line in lines if line.first_at and line.last_at]
    return (min(last for _, last in spans), max(first for first, _ in spans)) if spans else None


def _is_surely_absent(
    attempt: AttemptRecord, covered: tuple[datetime, datetime] | None, kinds: Collection[str]
) -> bool:
    """The bill covers the attempt's time, calls attempts by an id that this one has, and has not this one."""
    if attempt.billed != "maybe" or attempt.state in _OPEN or covered is None:
        return False
    if not any(getattr(attempt, kind) for kind in kinds):
        return False
    return covered[0] <= attempt.sent_at and attempt.sent_at + LATEST_LINE <= covered[1]


def _differs(match: Match) -> bool:
    if match.is_open or match.attempt.state in _OPEN or match.attempt.billed == "maybe":
        return False
    if match.attempt.billed != match.billed:
        return True
    cost = match.cost_musd
    return match.billed == "yes" and cost is not None and cost != (match.attempt.cost_musd or 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusals:
    """Refused attempts of one kind."""

    count: int
    cost_musd: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """What the rows of an OUT cost: by the bill where it speaks, else as settled here."""

    total_musd: int
    num_success: int
    seconds: float
    refusals: Mapping[str, Refusals]

    @property
    def per_success_musd(self) -> float | None:
        """Everything that was paid, over the rows that have a result."""
        return self.total_musd / self.num_success if self.num_success else None

    @property
    def per_second_musd(self) -> float | None:
        """The same, over the seconds of video."""
        return self.total_musd / self.seconds if self.seconds else None


def count_costs(joined: Joined, attempts: Iterable[AttemptRecord], lines: Iterable[Line]) -> Costs:
    """Cost per successful row, per second of video and per kind of refusal."""
    billed = {match.attempt.attempt_id: match for match in joined.matches}
    unbilled = {decision.attempt_id for decision in joined.decisions if decision.billed == "no"}
    total, counts, costs = 0, Counter[str](), Counter[str]()
    for attempt in attempts:
        cost = 0 if attempt.attempt_id in unbilled else _cost(attempt, billed.get(attempt.attempt_id))
        total += cost
        if attempt.kind == "refused":
            counts[attempt.refused_at or "unspecified"] += 1
            costs[attempt.refused_at or "unspecified"] += cost
    num_success, seconds = _made(lines)
    refusals = {kind: Refusals(count=counts[kind], cost_musd=costs[kind]) for kind in sorted(counts)}
    return Costs(total_musd=total, num_success=num_success, seconds=seconds, refusals=refusals)


def _cost(attempt: AttemptRecord, match: Match | None) -> int:
    if match is None or match.is_open or (match.billed == "yes" and match.cost_musd is None):
        return attempt.cost_musd or 0
    return (match.cost_musd or 0) if match.billed == "yes" else 0


def _made(lines: Iterable[Line]) -> tuple[int, float]:
    """Rows with a result, and seconds of video; what rows share was made once."""
    seen: set[tuple[str, str]] = set()
    num_success, seconds = 0, 0.0
    for line in lines:
        results = line.attempt.results if line.attempt is not None and line.status == "success" else ()
        good = [result for result in results if result.status == "success"]
        num_success += len(good)
        if (line.gateway, line.plan.request_fingerprint) not in seen:
            seen.add((line.gateway, line.plan.request_fingerprint))
            durations = [result.facts.get("duration_s") for result in good]
            seconds += sum(float(d) for d in durations if isinstance(d, int | float))
    return num_success, seconds
