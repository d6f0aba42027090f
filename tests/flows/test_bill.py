"""A provider's bill beside the attempts: who is who, what is settled, what is left alone."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reelsweep.flows.recovery.bill import BillLine, Columns, choose_columns, parse_bill, parse_mapping
from reelsweep.flows.recovery.joined import count_costs, join
from reelsweep.flows.recovery.settling import Settled, as_document, as_lines
from reelsweep.prompts.errors import SettingsError, TableError
from reelsweep.tasks.ledger.records import AttemptRecord

NOON = datetime(2025, 6, 1, 12, 0, tzinfo=UTC)
COLUMNS = Columns(("key",), "cost", "status", "time")


def attempt(name: str, **known: Any) -> AttemptRecord:
    """A POST sent at noon whose fate is not known, reserved at ten cents."""
    blank = dict.fromkeys(AttemptRecord.__dataclass_fields__)
    values = {
        **blank,
        "attempt_id": name,
        "gateway": "https://gateway.example.com/v1",
        "request_fingerprint": f"fingerprint of {name}",
        "run_id": "run",
        "purchase_idx": 0,
        "attempt_idx": 0,
        "idempotency_key": f"key of {name}",
        "state": "unknown",
        "billed": "maybe",
        "reserved_musd": 100_000,
        "sent_at": NOON,
        "results": (),
        **known,
    }
    return AttemptRecord(**values)


def line(*keys: str, row: int = 1, cost: int | None = 100_000, at: datetime | None = NOON) -> BillLine:
    return BillLine(row=row, keys=keys, cost_musd=cost, is_charged=cost != 0, first_at=at, last_at=at)


AROUND = (
    line("other 1", row=98, at=NOON - timedelta(hours=2)),
    line("other 2", row=99, at=NOON + timedelta(hours=2)),
)
"""Lines of other programs: the bill covers noon."""


def test_an_attempt_in_the_bill_is_billed_at_its_cost() -> None:
    """What was maybe billed is settled by the bill's amount, not by what was reserved."""
    joined = join([line("key of a", cost=70_000)], [attempt("a")])
    assert [(d.attempt_id, d.billed, d.cost_musd) for d in joined.decisions] == [("a", "yes", 70_000)]
    assert (joined.only_here, joined.only_billed, joined.undecided) == ((), (), ())


@pytest.mark.parametrize("name", ["request_id", "completion_id", "gateway_task_id", "idempotency_key"])
def test_any_id_of_an_attempt_may_name_it(name: str) -> None:
    """A bill that knows only the gateway's ids joins as well."""
    joined = join([line("id-7")], [attempt("a"), attempt("b", **{name: "id-7"})])
    assert [match.attempt.attempt_id for match in joined.matches] == ["b"]


def test_what_a_covering_bill_lacks_was_not_billed() -> None:
    """Only where the bill speaks of that time, by an id the attempt has, is silence an answer."""
    known = attempt("a", state="settled", billed="yes", cost_musd=100_000)
    joined = join([line("key of a"), *AROUND], [known, attempt("lost")])
    assert [(d.attempt_id, d.billed) for d in joined.decisions] == [("lost", "no")]
    assert [a.attempt_id for a in joined.only_here] == ["lost"]
    assert [one.row for one in joined.only_billed] == [98, 99]


@pytest.mark.parametrize(
    ("lines", "sent_at"),
    [
        ((line("key of a"), *AROUND), NOON + timedelta(minutes=61)),
        ((line("key of a"), *AROUND), NOON - timedelta(hours=3)),
        ((line("key of a"), line("other", row=2, at=None)), NOON),
        (AROUND, NOON),
        ((line("request of a"), *AROUND), NOON),
    ],
    ids=["may still be charged", "before the bill", "no time", "nothing of ours in it", "other ids"],
)
def test_silence_proves_nothing_elsewhere(lines: tuple[BillLine, ...], sent_at: datetime) -> None:
    """A bill that ends too early, names no times, or calls attempts by ids this one lacks leaves it held."""
    known = attempt("a", state="settled", billed="yes", cost_musd=100_000, request_id="request of a")
    joined = join(lines, [known, attempt("lost", sent_at=sent_at)])
    assert joined.decisions == ()
    assert [a.attempt_id for a in joined.undecided] == ["lost"]


def test_one_key_charged_once_is_one_sale() -> None:
    """Of two attempts under one key, the one with the result takes the only line; two lines pay for both."""
    pair = [
        attempt("a", idempotency_key="k"),
        attempt("b", idempotency_key="k", billed="yes", cost_musd=None),
    ]
    once = join([line("k")], pair)
    twice = join([line("k"), line("k", row=2)], pair)
    assert [match.attempt.attempt_id for match in once.matches] == ["b"]
    assert [match.attempt.attempt_id for match in twice.matches] == ["a", "b"]


def test_what_is_given_back_is_not_billed() -> None:
    """A charge and its refund, in two lines, come to nothing."""
    joined = join([line("key of a"), line("key of a", row=2, cost=-100_000)], [attempt("a")])
    assert [(d.billed, d.cost_musd) for d in joined.decisions] == [("no", None)]


@pytest.mark.parametrize("order", [(0, 1), (1, 0)], ids=["oldest first", "newest first"])
def test_money_given_back_goes_to_the_attempt_that_was_charged(order: tuple[int, int]) -> None:
    """Of two attempts under one key, a charge and its refund are one's, whichever line comes first."""
    lines = (line("k"), line("k", row=2, cost=-100_000))
    pair = [attempt("a", idempotency_key="k"), attempt("b", idempotency_key="k")]
    joined = join([lines[at] for at in order], pair)
    assert [(d.attempt_id, d.billed) for d in joined.decisions] == [("a", "no")]
    assert [a.attempt_id for a in joined.undecided] == ["b"]


def test_one_job_given_twice_is_charged_where_it_is_counted() -> None:
    """The lost POST's own request id is in the bill, its money is settled with the POST that got the clip."""
    job = {"idempotency_key": "k", "completion_id": "job"}
    lost = attempt("a", request_id="r1", billed="no", reserved_musd=0, **job)
    sold = attempt("b", request_id="r2", state="settled", billed="yes", cost_musd=100_000, **job)
    joined = join([line("k", "r1", "job")], [lost, sold])
    assert [match.attempt.attempt_id for match in joined.matches] == ["b"]
    assert (joined.differing, joined.only_here, joined.decisions) == ((), (), ())
    assert count_costs(joined, [lost, sold], []).total_musd == 100_000


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_a_charge_with_an_id_of_its_own_is_no_second_charge_of_another(order: tuple[int, int]) -> None:
    """A repetition whose request id is known takes its own line, the lost first POST the other one."""
    lines = (line("k", "r1"), line("k", "r2", row=2))
    sold = attempt(
        "b", idempotency_key="k", request_id="r2", state="settled", billed="yes", cost_musd=100_000
    )
    joined = join([lines[at] for at in order], [attempt("a", idempotency_key="k"), sold])
    assert [(d.attempt_id, d.billed, d.cost_musd) for d in joined.decisions] == [("a", "yes", 100_000)]
    assert joined.differing == ()


@pytest.mark.parametrize(
    ("times", "sent_at"),
    [
        (("2025-05-30", "2025-06-01"), NOON),
        (("2025-06-01", "2025-06-05"), NOON),
        (("2025-05-30 00:00:00", "2025-06-01 20:00:00"), NOON),
        (("2025-06-01 05:00:00", "2025-06-05 00:00:00"), NOON),
    ],
    ids=["exported that day", "begins that day", "a clock ahead of UTC", "a clock behind UTC"],
)
def test_silence_about_a_time_that_the_bill_may_not_reach_proves_nothing(
    times: tuple[str, str], sent_at: datetime
) -> None:
    """A bill's first and last day may be cut, and a time without a zone may be hours away."""
    records = [{"key": "key of a", "cost": "1", "status": "", "time": told} for told in times]
    known = attempt("a", state="settled", billed="yes", cost_musd=2_000_000)
    joined = join(parse_bill("bill.csv", records, COLUMNS), [known, attempt("lost", sent_at=sent_at)])
    assert [a.attempt_id for a in joined.undecided] == ["lost"]


def test_a_long_bill_beside_many_lost_attempts_is_joined_in_seconds() -> None:
    """Two hundred thousand lines and five thousand attempts: work grows with their sum, not their product."""
    lines = [line(f"key of {row}", row=row, at=NOON + timedelta(hours=row % 9 - 4)) for row in range(200_000)]
    began = time.process_time()
    joined = join(lines, [attempt("7"), *(attempt(f"lost {number}") for number in range(5_000))])
    assert len(joined.decisions) == 5_001
    assert time.process_time() - began < 30


def test_what_is_in_flight_is_left_alone() -> None:
    """An attempt that a run is still at is not decided behind its back."""
    joined = join([line("key of a"), *AROUND], [attempt("a", state="intent", billed=None)])
    assert joined.decisions == ()


def test_what_is_settled_stays_and_is_shown_when_the_bill_differs() -> None:
    """Another price, or a charge for what counted as free, is told and changes nothing."""
    attempts = [
        attempt("dear", state="settled", billed="yes", cost_musd=90_000),
        attempt("free", state="settled", billed="no", cost_musd=None, kind="failed"),
        attempt("same", state="settled", billed="yes", cost_musd=100_000),
    ]
    joined = join([line(f"key of {a.attempt_id}", row=i) for i, a in enumerate(attempts)], attempts)
    assert [match.attempt.attempt_id for match in joined.differing] == ["dear", "free"]
    assert joined.decisions == ()


def test_refusals_are_counted_by_kind() -> None:
    """The bill's cost where it speaks, else the ledger's."""
    refused = {"kind": "refused", "state": "settled", "billed": "maybe"}
    attempts = [
        attempt("a", refused_at="input", **refused),
        attempt("b", refused_at="input", **refused),
        attempt("c", refused_at="output", **{**refused, "billed": "yes"}, cost_musd=30_000),
    ]
    joined = join([line("key of a", cost=50_000)], attempts)
    costs = count_costs(joined, attempts, [])
    assert {kind: (r.count, r.cost_musd) for kind, r in costs.refusals.items()} == {
        "input": (2, 50_000),
        "output": (1, 30_000),
    }
    assert (costs.total_musd, costs.per_success_musd) == (80_000, None)


@given(
    st.lists(st.sampled_from("abcd"), max_size=8),
    st.lists(st.integers(-2, 3), min_size=8, max_size=8),
)
def test_every_line_is_in_one_place(keys: list[str], costs: list[int]) -> None:
    """No line is matched twice, and a line that charges is matched or shown as not ours."""
    lines = [line(f"key of {key}", row=row, cost=costs[row]) for row, key in enumerate(keys)]
    joined = join(lines, [attempt("a"), attempt("b"), attempt("c", idempotency_key="key of b")])
    matched = [one.row for match in joined.matches for one in match.lines]
    assert len(matched) == len(set(matched))
    assert {one.row for one in joined.only_billed} == {
        one.row for one in lines if one.is_charged and one.row not in matched
    }


@pytest.mark.parametrize(
    ("cost", "status", "expected"),
    [
        ("0.07", "completed", (70_000, True)),
        ("$1,234.50", "", (1_234_500_000, True)),
        ("0.10 USD", "failed", (100_000, True)),
        ("", "failed", (None, False)),
        ("0.10", "refunded", (0, False)),
        ("0", "completed", (0, False)),
        ("-0.1", "credit", (-100_000, True)),
        ("0.1", "credit", (-100_000, True)),
        ("0.10", "Refund", (-100_000, True)),
        ("0.10", "refunds", (-100_000, True)),
        ("0.10", "reversal", (-100_000, True)),
        ("0.10", "charge_back", (-100_000, True)),
        ("0.10", "Partial refund", (-100_000, True)),
        ("0.10", "not_billed", (0, False)),
        ("", "pending", (None, False)),
        ("0", "processing", (None, False)),
        ("0.10", "processing", (100_000, True)),
        ("0.10", "authorized", (None, False)),
        ("(0.10)", "", (-100_000, True)),
        ("\N{MINUS SIGN}$0.10", "", (-100_000, True)),
        ("", "true", (None, True)),
    ],
)
def test_amount_and_status_say_what_was_charged(
    cost: str, status: str, expected: tuple[int | None, bool]
) -> None:
    """An amount charges whatever the job's state, unless it was given back."""
    record = {"key": "k", "cost": cost, "status": status, "time": ""}
    parsed = parse_bill("bill.csv", [record], COLUMNS)[0]
    assert (parsed.cost_musd, parsed.is_charged) == expected


@pytest.mark.parametrize(
    ("told", "first", "last"),
    [
        ("2025-06-01T12:00:00Z", NOON, NOON),
        ("2025-06-01 14:00:00+02:00", NOON, NOON),
        ("1748779200", NOON, NOON),
        ("1748779200000", NOON, NOON),
        ("2025-06-01 12:00:00 UTC", NOON, NOON),
        ("2025-06-01 12:00:00", NOON - timedelta(hours=14), NOON + timedelta(hours=12)),
        ("2025-06-01", NOON - timedelta(hours=12 + 14), NOON + timedelta(hours=12 + 12)),
    ],
)
def test_times_are_read_as_providers_write_them(told: str, first: datetime, last: datetime) -> None:
    """ISO 8601, Unix time in seconds or milliseconds, or a day; without a zone it may be hours away."""
    record = {"key": "k", "cost": "1", "status": "", "time": told}
    parsed = parse_bill("bill.csv", [record], COLUMNS)[0]
    assert (parsed.first_at, parsed.last_at) == (first, last)


def test_all_that_is_wrong_with_a_bill_is_said_at_once() -> None:
    """Every bad cell by row and column."""
    records = [
        {"key": "k", "cost": "cheap", "status": "", "time": ""},
        {"key": "k", "cost": "1", "status": "", "time": "yesterday"},
        *({"key": "k", "cost": cost, "status": "", "time": ""} for cost in ("1e99", "NaN", "1e999999", "€1")),
        {"key": "k", "cost": "1", "status": "", "time": "9999-12-31"},
    ]
    with pytest.raises(TableError) as caught:
        parse_bill("bill.csv", records, COLUMNS)
    wrong = [(1, "cost"), (2, "time"), *((row, "cost") for row in (3, 4, 5, 6)), (7, "time")]
    assert [(p.row, p.column) for p in caught.value.problems] == wrong


@pytest.mark.parametrize(
    ("costs", "expected"),
    [
        (("0,80", "1.234,50", "-0,1", "3"), [800_000, 1_234_500_000, -100_000, 3_000_000]),
        (("0.80", "1,234.50"), [800_000, 1_234_500_000]),
        (("0.125", "1.125"), [125_000, 1_125_000]),
    ],
    ids=["commas", "points", "points alone"],
)
def test_amounts_with_a_decimal_comma_are_read(costs: Sequence[str], expected: list[int]) -> None:
    """Where Excel writes semicolons it writes commas in numbers; one with points is read as it is."""
    records = [{"key": "k", "cost": cost, "status": "", "time": ""} for cost in costs]
    lines = parse_bill("bill.csv", records, COLUMNS, decimal_comma=True)
    assert [one.cost_musd for one in lines] == expected


def test_a_line_exported_twice_counts_once() -> None:
    """The same to the letter with its instant is one charge; without an instant it may be two."""
    twice = [{"key": "k", "cost": "1", "status": "", "time": "2025-06-01T12:00:00Z"}] * 2
    assert len(parse_bill("bill.csv", twice, COLUMNS)) == 1
    for time_told in ("", "2025-06-01"):
        records = [{**record, "time": time_told} for record in twice]
        assert len(parse_bill("bill.csv", records, COLUMNS)) == 2


def test_money_that_is_no_dollars_is_refused() -> None:
    """Another currency beside an amount is said by row; dollars by any name are fine."""
    header = ("key", "cost", "Currency")
    columns = choose_columns("bill.csv", header, {"key": "key"})
    rows = [("k", "1", "usd"), ("k", "1", "EUR"), ("k", "", "EUR"), ("k", "1", "")]
    with pytest.raises(TableError, match="expected USD") as caught:
        parse_bill("bill.csv", [dict(zip(header, row, strict=True)) for row in rows], columns)
    assert [(p.row, p.column) for p in caught.value.problems] == [(2, "Currency")]


def test_columns_are_found_by_usual_names_and_taken_by_given_ones() -> None:
    """`Cost (USD)` is a cost; a name that was given wins; a key must be there."""
    header = ("Request ID", "Cost (USD)", "createdAt", "note")
    assert choose_columns("bill.csv", header, {}) == Columns(("Request ID",), "Cost (USD)", None, "createdAt")
    named = choose_columns("bill.csv", header, parse_mapping("key=note, cost=Cost (USD)"))
    assert (named.key, named.cost) == (("note",), "Cost (USD)")
    with pytest.raises(SettingsError, match="key=COLUMN"):
        choose_columns("bill.csv", ("when", "what"), {})
    with pytest.raises(SettingsError, match="2 columns 'cost'"):
        choose_columns("bill.csv", ("id", "cost", "cost"), {})
    with pytest.raises(SettingsError, match="is empty"):
        choose_columns("bill.csv", (), {})
    with pytest.raises(SettingsError, match="'nope'"):
        choose_columns("bill.csv", header, {"key": "nope"})
    with pytest.raises(SettingsError, match="bill-columns"):
        parse_mapping("keys=note")


def test_a_screen_shows_the_first_of_many_foreign_lines() -> None:
    """A bill of a whole company prints fifty lines that are not ours, and how many more there are."""
    lines = [line(f"other {row}", row=row) for row in range(60)]
    joined = join(lines, [])
    settled = Settled(num_lines=60, num_repeated=0, joined=joined, costs=count_costs(joined, [], []))
    document = as_document(settled)
    told = [text for text in as_lines(document) if text.startswith("only bill")]
    assert (len(told), told[-1]) == (51, "only bill  and 10 more; --json has all")
    assert len(document["only_in_bill"]) == 60


def parsed(*rows: tuple[str, str, str]) -> list[BillLine]:
    """Lines of key, cost and status."""
    names = ("key", "cost", "status", "time")
    return parse_bill("bill.csv", [dict(zip(names, (*row, ""), strict=True)) for row in rows], COLUMNS)


@pytest.mark.parametrize("amount", ["0.10", "-0.10"])
def test_a_refund_is_taken_off_whichever_sign_its_amount_has(amount: str) -> None:
    """A charge and the refund of it come to nothing, and half of it to half."""
    lines = parsed(
        ("key of a", "0.10", "charge"),
        ("key of a", amount, "refund"),
        ("key of b", "0.20", "charge"),
        ("key of b", amount, "reversal"),
    )
    joined = join(lines, [attempt("a"), attempt("b")])
    assert [(d.billed, d.cost_musd) for d in joined.decisions] == [("no", None), ("yes", 100_000)]


def test_a_refund_that_names_no_amount_is_asked_about() -> None:
    """How much was given back is not guessed."""
    with pytest.raises(TableError, match="without an amount") as caught:
        parsed(("k", "0.10", "charge"), ("k", "", "refund"))
    assert [(p.row, p.column) for p in caught.value.problems] == [(2, "status")]


def test_what_is_pending_decides_nothing() -> None:
    """Neither as charged nor, though the bill covers its time, as free; its charge, later, counts once."""
    pending = parsed(("key of a", "", "pending"), ("key of b", "0.10", "authorized"))
    known = attempt("c", state="settled", billed="yes", cost_musd=100_000)
    joined = join([*pending, line("key of c", row=3), *AROUND], [attempt("a"), attempt("b"), known])
    assert joined.decisions == ()
    assert [a.attempt_id for a in joined.undecided] == ["a", "b"]
    document = as_document(
        Settled(num_lines=5, num_repeated=0, joined=joined, costs=count_costs(joined, [], []))
    )
    assert document["open_lines"] == 2
    assert any(text.startswith("open       2 lines") for text in as_lines(document))
    pair = [attempt("a", idempotency_key="k"), attempt("b", idempotency_key="k")]
    taken = join(parsed(("k", "0.10", "authorized"), ("k", "0.10", "captured")), pair)
    assert [(d.attempt_id, d.cost_musd) for d in taken.decisions] == [("a", 100_000)]


def test_what_is_pending_leaves_what_is_settled_as_it_is() -> None:
    """It differs from nothing, and takes no cost away."""
    known = attempt("a", state="settled", billed="yes", cost_musd=100_000)
    joined = join(parsed(("key of a", "", "pending")), [known])
    assert joined.differing == ()
    assert count_costs(joined, [known], []).total_musd == 100_000


@pytest.mark.parametrize("name", ["amount_due", "credits", "Net cost", "charged (USD)"])
def test_a_column_that_may_hold_the_costs_is_not_passed_over(name: str) -> None:
    """Else the bill would settle by our own price what it has a price for."""
    with pytest.raises(SettingsError, match="--bill-columns") as caught:
        choose_columns("bill.csv", ("id", name, "created_at"), {})
    assert repr(name) in str(caught.value)
    assert choose_columns("bill.csv", ("id", name), {"cost": name}).cost == name


@pytest.mark.parametrize("name", ["amount_eur", "Amount (EUR)", "Cost \N{EURO SIGN}", "price_gbp_cents"])
def test_a_column_of_another_currency_is_refused_by_whatever_way_it_is_found(name: str) -> None:
    """By its name alone, named by the user or not."""
    for named in ({}, parse_mapping(f"cost={name}")):
        with pytest.raises(SettingsError, match="expected USD"):
            choose_columns("bill.csv", ("id", name, "created_at"), named)


@pytest.mark.parametrize(
    "header", [("id",), ("id", "total_tokens", "charge_id", "cost_center", "price_tier")]
)
def test_a_mere_list_of_ids_is_read_and_said_to_have_no_costs(header: tuple[str, ...]) -> None:
    """Names that only sound like money are no amounts."""
    assert choose_columns("bill.csv", header, {}).cost is None
    joined = join([line("key of a", cost=None)], [attempt("a")])
    costs = count_costs(joined, [], [])
    settled = Settled(num_lines=1, num_repeated=0, has_costs=False, joined=joined, costs=costs)
    assert any(text.startswith("no costs ") for text in as_lines(as_document(settled)))


@pytest.mark.parametrize("name", ["cost_cents", "Amount (cents)", "amountCents", "price_cents"])
def test_cents_are_found_and_read_as_cents(name: str) -> None:
    """Ten of them are ten cents."""
    columns = choose_columns("bill.csv", ("id", name), {})
    assert parse_bill("bill.csv", [{"id": "k", name: "10"}], columns)[0].cost_musd == 100_000


def test_lines_of_the_ledgers_other_outs_are_counted_and_not_listed() -> None:
    """The provider's whole bill beside one OUT of a ledger that several share."""
    lines = [line("key of a"), line("theirs", "r2", row=2), line("nobody's", row=3)]
    joined = join(lines, [attempt("a")], frozenset({"r2"}))
    assert [one.row for one in joined.of_others] == [2]
    assert [one.row for one in joined.only_billed] == [3]
    document = as_document(
        Settled(num_lines=3, num_repeated=0, joined=joined, costs=count_costs(joined, [], []))
    )
    assert "others     1 lines are of other output folders of this ledger" in as_lines(document)


def test_lines_repeated_without_a_time_are_counted_and_said() -> None:
    """They may be two charges; whoever pasted the export twice is told."""
    joined = join([line("key of a"), line("key of a", row=2)], [attempt("a")])
    costs = count_costs(joined, [], [])
    document = as_document(Settled(num_lines=2, num_repeated=0, num_alike=1, joined=joined, costs=costs))
    assert document["repeated_and_counted"] == 1
    assert any(text.startswith("repeated   1 lines") and "count each" in text for text in as_lines(document))
