"""`reconcile --bill`: read a provider's bill, settle by it what was maybe billed, say what differs.

Nothing is asked of the gateway; a bill that cannot be read changes nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reelsweep.flows.recovery.bill import Meaning, choose_columns, parse_bill
from reelsweep.flows.recovery.billfile import read_bill
from reelsweep.flows.recovery.joined import Costs, Joined, count_costs, join
from reelsweep.tasks.ledger.ledger import Ledger
from reelsweep.tasks.ledger.records import AttemptRecord

SHOWN = 50
"""Lines of one kind that people are shown; `--json` has all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """A bill that was laid beside an OUT, and what came of it."""

    num_lines: int
    num_repeated: int
    """Of them, those that are there a second time to the letter, and count once."""
    num_alike: int = 0
    """Those that are there again with no time finer than a day, and count each time."""
    has_costs: bool = True
    """Whether any column holds amounts."""
    joined: Joined
    costs: Costs


def read_joined(path: Path, named: Mapping[Meaning, str], ledger: Ledger, out_id: str) -> Settled:
    """The bill beside the attempts of an OUT. Raises UsageError for a bill that cannot be read."""
    file = read_bill(path)
    columns = choose_columns(str(path), file.columns, named)
    lines = parse_bill(str(path), file.records, columns, decimal_comma=file.decimal_comma)
    elsewhere = asyncio.run(ledger.known_ids(list({key for line in lines for key in line.keys})))
    with ledger.state(out_id) as state:
        attempts = list(state.attempts())
        joined = join(lines, attempts, elsewhere)
        costs = count_costs(joined, attempts, state.lines())
    num_different = len({tuple(record.values()) for record in file.records})
    return Settled(
        num_lines=len(file.records),
        num_repeated=len(file.records) - len(lines),
        num_alike=len(lines) - num_different,
        has_costs=columns.cost is not None,
        joined=joined,
        costs=costs,
    )


async def settle(ledger: Ledger, joined: Joined) -> None:
    """Write what the bill decides. Done again, it changes nothing."""
    await asyncio.gather(
        *(
            ledger.decide(it.attempt_id, billed=it.billed, cost_musd=it.cost_musd, job_id=it.job_id)
            for it in joined.decisions
        )
    )


def as_document(settled: Settled) -> dict[str, Any]:
    """What `--json` prints."""
    joined, costs = settled.joined, settled.costs
    return {
        "bill_lines": settled.num_lines,
        "repeated_lines": settled.num_repeated,
        "repeated_and_counted": settled.num_alike,
        "has_costs": settled.has_costs,
        "open_lines": sum(line.is_open for match in joined.matches for line in match.lines),
        "of_other_outs": len(joined.of_others),
        "matched": len(joined.matches),
        "billed_usd": _usd(sum(match.cost_musd or 0 for match in joined.matches)),
        "only_in_bill": [
            {"row": line.row, "keys": list(line.keys), "cost_usd": _usd(line.cost_musd)}
            for line in joined.only_billed
        ],
        "only_here": [_attempt(attempt) for attempt in joined.only_here],
        "differing": [
            {**_attempt(match.attempt), "bill": match.billed, "bill_usd": _usd(match.cost_musd)}
            for match in joined.differing
        ],
        "settled": {
            "billed": sum(decision.billed == "yes" for decision in joined.decisions),
            "not_billed": sum(decision.billed == "no" for decision in joined.decisions),
            "cost_usd": _usd(sum(decision.cost_musd or 0 for decision in joined.decisions)),
        },
        "undecided": [_attempt(attempt) for attempt in joined.undecided],
        "cost_usd": _usd(costs.total_musd),
        "cost_usd_per_success": _usd(costs.per_success_musd),
        "cost_usd_per_second": _usd(costs.per_second_musd),
        "refusals": {
            kind: {"count": refusals.count, "cost_usd": _usd(refusals.cost_musd)}
            for kind, refusals in costs.refusals.items()
        },
    }


def _attempt(attempt: AttemptRecord) -> dict[str, Any]:
    return {
        "attempt_id": attempt.attempt_id,
        "idempotency_key": attempt.idempotency_key,
        "request_id": attempt.request_id,
        "sent_at": attempt.sent_at.isoformat(),
        "billed": attempt.billed,
        "cost_usd": _usd(attempt.cost_musd),
        "reserved_usd": _usd(attempt.reserved_musd),
    }


def _usd(musd: float | None) -> float | None:
    return None if musd is None else musd / 1e6


def as_lines(document: Mapping[str, Any]) -> list[str]:
    """The same for people: counts first, then each line that is in one and not in the other."""
    settled = document["settled"]
    return [
        f"bill       {document['bill_lines']} lines, {document['matched']} of them attempts of this OUT,"
        f" {_dollars(document['billed_usd'])}",
        *_notes(document),
        f"settled    {settled['billed']} billed ({_dollars(settled['cost_usd'])}),"
        f" {settled['not_billed']} not billed, {len(document['undecided'])} still open",
        *_first(
            "only bill ",
            [
                f"row {line['row']}: {' '.join(line['keys'])[:120]} {_dollars(line['cost_usd'])}"
                for line in document["only_in_bill"]
            ],
        ),
        *_first(
            "only here ",
            [
                f"{attempt['attempt_id']} sent {attempt['sent_at'][:19]}, billed: {attempt['billed']}"
                for attempt in document["only_here"]
            ],
        ),
        *_first(
            "differs   ",
            [
                f"{attempt['attempt_id']}: here {attempt['billed']} {_dollars(attempt['cost_usd'])},"
                f" bill {attempt['bill']} {_dollars(attempt['bill_usd'])}"
                for attempt in document["differing"]
            ],
        ),
        f"cost       {_dollars(document['cost_usd'])} in all,"
        f" {_dollars(document['cost_usd_per_success'])} a successful row,"
        f" {_dollars(document['cost_usd_per_second'])} a second of video",
        *(
            f"refused    at {kind}: {refusal['count']} for {_dollars(refusal['cost_usd'])}"
            for kind, refusal in document["refusals"].items()
        ),
    ]


def _notes(document: Mapping[str, Any]) -> list[str]:
    """What is to be known of the bill itself, each where it is so."""
    repeated, alike = document["repeated_lines"], document["repeated_and_counted"]
    num_open, others = document["open_lines"], document["of_other_outs"]
    said = (
        (repeated, f"repeated   {repeated} lines are there twice, and count once"),
        (
            alike,
            f"repeated   {alike} lines are there again to the letter without a time of day, and count each"
            " time: where they were exported twice, remove them",
        ),
        (
            not document["has_costs"],
            "no costs   the bill has no column of amounts: what it names counts at the price reserved here",
        ),
        (num_open, f"open       {num_open} lines are pending or only authorized, and decide nothing"),
        (others, f"others     {others} lines are of other output folders of this ledger"),
    )
    return [line for is_so, line in said if is_so]


def _first(word: str, lines: Sequence[str]) -> list[str]:
    """What a screen holds of many lines: a bill may be a whole company's."""
    shown = [f"{word} {line}" for line in lines[:SHOWN]]
    return [*shown, f"{word} and {len(lines) - SHOWN} more; --json has all"] if len(lines) > SHOWN else shown


def _dollars(usd: float | None) -> str:
    return "unknown" if usd is None else f"${usd:.4f}".removesuffix("00")
