"""A provider's bill as values: which column says what, and what each line charges.

Before `joined`, which lays it beside the attempts. Pure.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal, DecimalException
from typing import Literal, get_args

from reelsweep.flows.recovery.names import is_foreign, may_be_money, usual
from reelsweep.prompts.errors import Problem, SettingsError, TableError

Meaning = Literal["key", "cost", "status", "time"]
MEANINGS: tuple[Meaning, ...] = get_args(Meaning)
GUESSES: Mapping[Meaning, tuple[str, ...]] = {
    "key": (
        *("idempotency_key", "request_id", "completion_id", "generation_id", "task_id", "job_id"),
        *("video_id", "id"),
    ),
    "cost": (
        *("cost_usd", "amount_usd", "price_usd", "total_usd", "cost", "amount", "charge", "price", "total"),
        *("cost_musd", "price_musd"),
        *("cost_cents", "amount_cents", "price_cents", "total_cents", "charge_cents"),
    ),
    "status": ("billed", "status", "state"),
    "time": (
        *("accepted_at", "created_at", "started_at", "timestamp", "time", "created", "date", "datetime"),
        "request_time",
    ),
}
"""Names of columns, as providers' exports have them; of the keys all that are there count, else the first."""
_JOBS = ("completion_id", "generation_id", "task_id", "job_id", "video_id")
"""Of the keys, those that name what was sold and not who asked: another POST may be given the same."""

_GIVEN_BACK = frozenset(
    {"refunded", "credited", "reversed", "void", "voided", "free", "unbilled", "not billed"}
)
"""Of a charge: what it names was given back."""
_REFUND = re.compile(
    r"((partial|full) )?(refund|reversal|charge ?back|credit( note)?|rebate)s?"
    r"( (issued|processed|completed|succeeded))?"
)
"""Of a line of its own: what it names is given back of a charge, whichever sign it has."""
_OPEN = frozenset(
    {"pending", "processing", "open", "queued", "running", "in progress", "scheduled", "on hold", "held"}
)
"""Without an amount such a line says nothing yet."""
_HELD = frozenset({"authorized", "authorised", "preauthorized", "requires capture", "uncaptured"})
"""Nothing is charged yet, whatever the amount that was asked for."""
_NOT_BILLED = frozenset({"no", "false", "0", "n"}) | _GIVEN_BACK
_NO_RESULT = frozenset({"failed", "error", "cancelled", "canceled", "rejected"})
_UNITS = {"_musd": Decimal(1), "_micros": Decimal(1), "_cents": Decimal(10_000), "_cent": Decimal(10_000)}
_MICRO = Decimal(1_000_000)
_MOST_MUSD = Decimal(10**15)
_CURRENCIES = ("currency", "currency_code", "cost_currency", "amount_currency", "price_currency")
_DOLLARS = frozenset({"", "usd", "us$", "$", "us dollar", "us dollars"})
_COMMA = re.compile(r"-?(\d+|\d{1,3}(\.\d{3})+)(,\d+)?")
"""An amount with a decimal comma: `0,80`, `1.234,50`."""
_WEST, _EAST = timedelta(hours=12), timedelta(hours=14)
"""How far clocks are behind and ahead of UTC at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BillLine:
    """One line: whom it names, what it charges."""

    row: int
    """1-based, the header not counted."""
    keys: tuple[str, ...]
    cost_musd: int | None
    """Negative for money given back; None where the bill says only that it was charged."""
    is_charged: bool
    first_at: datetime | None
    last_at: datetime | None
    """The instant, or between which two it lies: a day has many, a time without a zone may be hours away."""
    job_id: str | None = None
    """The gateway's own name of what it sold, where a column says so."""
    is_open: bool = False
    """It says neither that money was taken nor that it was not: pending, or held and not yet taken."""


@dataclass(frozen=True, slots=True)
class Columns:
    """Which columns of the bill mean what; all but `key` may be missing."""

    key: tuple[str, ...]
    cost: str | None
    status: str | None
    time: str | None
    currency: str | None = None


def parse_mapping(text: str | None) -> dict[Meaning, str]:
    """`--bill-columns key=COL,cost=COL,status=COL,time=COL`. Raises SettingsError."""
    named: dict[Meaning, str] = {}
    for part in (text or "").split(",") if text else ():
        name, equals, column = part.partition("=")
        meaning: Meaning | None = next((known for known in MEANINGS if known == name.strip()), None)
        if meaning is None or not equals or not column.strip():
            raise SettingsError(
                f"--bill-columns: got {part[:60]!r}, expected key=, cost=, status= or time= and a column.",
                "Write, for example, --bill-columns key=request_id,cost=amount.",
            )
        named[meaning] = column.strip()
    return named


def choose_columns(bill: str, header: Sequence[str], named: Mapping[Meaning, str]) -> Columns:
    """The columns that were named, else those with a usual name.

    Raises SettingsError without a key, for a column that is there twice, for amounts that are no US dollars,
    and where none is known to hold the costs and one may.
    """
    if not header:
        raise SettingsError(f"{bill} is empty.", "Export the bill again, with a line of column names.")
    for meaning, column in named.items():
        if column not in header:
            raise SettingsError(
                f"{bill} has no column {column!r} for {meaning}.", f"It has: {', '.join(header)[:300]}."
            )
    known = {usual(column): column for column in reversed(header)}
    found = {
        meaning: [named[meaning]] if meaning in named else [known[n] for n in names if n in known]
        for meaning, names in GUESSES.items()
    }
    if not found["key"]:
        raise SettingsError(
            f"{bill}: no column holds an idempotency key, a request id or a completion id by its name.",
            f"Name it with --bill-columns key=COLUMN. It has: {', '.join(header)[:300]}.",
        )
    first = {meaning: next(iter(columns), None) for meaning, columns in found.items()}
    currency = next((known[name] for name in _CURRENCIES if name in known), None)
    chosen = Columns(tuple(found["key"]), first["cost"], first["status"], first["time"], currency)
    _refuse_twins(bill, header, chosen)
    _refuse_other_money(bill, header, chosen)
    return chosen


def _refuse_other_money(bill: str, header: Sequence[str], chosen: Columns) -> None:
    """Costs that are no dollars by their column's name; columns that may hold costs and would not be read."""
    used = (*chosen.key, chosen.status, chosen.time, chosen.currency)
    maybe = [chosen.cost] if chosen.cost else [it for it in header if it not in used and may_be_money(it)]
    if maybe and all(is_foreign(column) for column in maybe):
        raise SettingsError(
            f"{bill}: column {maybe[0]!r} holds another currency; expected USD: amounts are compared in US"
            " dollars.",
            "Convert it, and name the column of dollars with --bill-columns cost=COLUMN.",
        )
    if maybe and chosen.cost is None:
        raise SettingsError(
            f"{bill}: no column holds the costs by its name; it may be {', '.join(map(repr, maybe))[:300]}.",
            f"Name the one in US dollars: --bill-columns {shlex.quote(f'cost={maybe[0]}')}.",
        )


def _refuse_twins(bill: str, header: Sequence[str], chosen: Columns) -> None:
    used = (*chosen.key, chosen.cost, chosen.status, chosen.time)
    twin = next((column for column in used if column is not None and header.count(column) > 1), None)
    if twin is not None:
        raise SettingsError(
            f"{bill} has {header.count(twin)} columns {twin!r}.",
            "Rename or remove all but the one that counts.",
        )


def parse_bill(
    bill: str, records: Sequence[Mapping[str, str]], columns: Columns, *, decimal_comma: bool = False
) -> list[BillLine]:
    """The bill's lines; `decimal_comma` where its numbers may be written `0,80`.

    A line that is there twice to the letter, with its instant, is one charge exported twice, and counts once.
    Raises TableError with every cell that cannot be read.
    """
    comma = decimal_comma and _has_commas(records, columns.cost)
    lines: list[BillLine] = []
    problems: list[Problem] = []
    seen: set[tuple[str, ...]] = set()
    for row, record in enumerate(records, start=1):
        try:
            line = _parse_line(row, record, columns, comma=comma)
        except _CellError as error:
            problems.append(Problem(row=row, column=error.column, message=error.message))
            continue
        cells = tuple(record.values())
        if cells not in seen or not _has_instant(record, columns.time):
            lines.append(line)
        seen.add(cells)
    if problems:
        raise TableError(bill, tuple(problems))
    return lines


class _CellError(Exception):
    def __init__(self, column: str, message: str) -> None:
        super().__init__(column, message)
        self.column, self.message = column, message


def _parse_line(row: int, record: Mapping[str, str], columns: Columns, *, comma: bool) -> BillLine:
    cost = _cost_musd(record, columns.cost, comma=comma)
    if cost and columns.currency and record[columns.currency].strip().lower() not in _DOLLARS:
        got = record[columns.currency][:40]
        raise _CellError(columns.currency, f"got {got!r}, expected USD: amounts are compared in US dollars")
    status = _words(record[columns.status]) if columns.status else ""
    span = _span(record, columns.time)
    is_open = status in _HELD or (status in _OPEN and not cost)
    given_back = status in _NOT_BILLED or (status in _NO_RESULT and not cost) or cost == 0
    if is_open:
        cost = None
    elif status in _NOT_BILLED and cost is not None and cost > 0:
        cost = 0
    elif columns.status and _REFUND.fullmatch(status):
        if cost is None:
            raise _CellError(
                columns.status, f"got {status!r} without an amount, expected how much was given back"
            )
        cost = -abs(cost)
    return BillLine(
        row=row,
        keys=tuple(key for column in columns.key if (key := record[column].strip())),
        cost_musd=cost,
        is_charged=not given_back and not is_open,
        is_open=is_open,
        first_at=span[0],
        last_at=span[1],
        job_id=next(
            (key for column in columns.key if usual(column) in _JOBS and (key := record[column].strip())),
            None,
        ),
    )


def _words(status: str) -> str:
    """A status as the sets above have it: `Not_Billed` is `not billed`."""
    return re.sub(r"[\s_-]+", " ", status.strip().lower())


def _has_commas(records: Iterable[Mapping[str, str]], column: str | None) -> bool:
    """Whether the amounts have decimal commas: all of them could, and one does."""
    texts = [_amount(record[column]) for record in records] if column else []
    given = [text for text in texts if text]
    return any("," in text for text in given) and all(_COMMA.fullmatch(text) for text in given)


def _amount(text: str) -> str:
    """An amount without its dollar sign, `(0.80)` as the -0.80 that bookkeepers mean."""
    plain = re.sub(r"^\((.*)\)$", r"-\1", text.strip().replace("\N{MINUS SIGN}", "-"))
    return re.sub(r"(?i)^(-?)\s*(usd|us\$|\$)\s*|\s*(usd|us\$|\$)$", r"\1", plain)


def _cost_musd(record: Mapping[str, str], column: str | None, *, comma: bool) -> int | None:
    text = record[column].strip() if column else ""
    if not column or not text:
        return None
    plain = _amount(text)
    if comma:
        plain = plain.replace(".", "").replace(",", ".")
    plain = re.sub(r",(?=\d{3}(\D|$))", "", plain) if "." in plain or plain.count(",") > 1 else plain
    unit = next((unit for end, unit in _UNITS.items() if f"_{usual(column)}".endswith(end)), _MICRO)
    try:
        musd = Decimal(plain) * unit
        is_too_much = not abs(musd) < _MOST_MUSD
    except DecimalException:
        raise _CellError(
            column, f"got {text[:40]!r}, expected an amount in US dollars such as 0.80"
        ) from None
    if is_too_much:
        raise _CellError(column, f"got {text[:40]!r}, which is no amount of a bill")
    return int(musd.to_integral_value())


def _span(record: Mapping[str, str], column: str | None) -> tuple[datetime | None, datetime | None]:
    """The instant in a cell, twice, or the first and the last that it may mean."""
    text = record[column].strip() if column else ""
    if not column or not text:
        return None, None
    try:
        at, has_zone = _instant(text)
        first, last = (at, at) if has_zone or "utc" in usual(column).split("_") else (at - _EAST, at + _WEST)
        return first, last + timedelta(days=1) if _is_day(text) else last
    except (ValueError, OverflowError, OSError):
        raise _CellError(column, f"got {text[:40]!r}, expected an ISO 8601 time or Unix seconds") from None


def _is_day(text: str) -> bool:
    return re.fullmatch(r"\d{4}-?\d\d-?\d\d", text) is not None


def _has_instant(record: Mapping[str, str], column: str | None) -> bool:
    text = record[column].strip() if column else ""
    return bool(text) and not _is_day(text)


def _instant(text: str) -> tuple[datetime, bool]:
    """A time, and whether it says in which zone; without one it is read as UTC."""
    if re.fullmatch(r"\d{9,10}(\.\d+)?|\d{12,13}", text):
        seconds = float(text)
        return datetime.fromtimestamp(seconds / 1000 if seconds > 1e11 else seconds, UTC), True
    at = datetime.fromisoformat(re.sub(r"\s*UTC$", "Z", text))
    return (at.replace(tzinfo=UTC), False) if at.tzinfo is None else (at.astimezone(UTC), True)
