"""POSTs of which a line of the manifest tells, and attempts.parquet does not, or not yet.

The two are published one after the other, so a crash in between leaves two moments, and either may be lost or
come from a backup. Beside `restore`. Pure; where they disagree, what buys less is believed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from reelsweep.tasks.gateway.rules import RULES
from reelsweep.tasks.ledger.standing import LOST, RETRYABLE, purchase_key
from reelsweep.tasks.manifest.columns import ATTEMPTS

Row = Mapping[str, Any]
WHY = "the manifest counts this POST, and attempts.parquet does not tell of it"
_BLANK: Row = dict.fromkeys(column.name for column in ATTEMPTS)
_TOLD = ("billed", "first_event_at", "completed_at", "error_type", "error_code", "error_message")
_WITH_RESULT = frozenset({"success", "invalid_output", "failed_to_download"})
_OPEN = frozenset({"unknown", "in_progress"})
"""A bill may have given it back, or it is one sale with another POST; its end is not known."""
_FOR_NOW = frozenset(rule.error_type for rule in RULES if rule.retry in RETRYABLE) | {"connect", "dns", "tls"}
"""Failures that say nothing of the next POST."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Amending:
    """Rows of attempts.parquet, amended by the manifest's."""

    ledger_id: str
    """Of the ledger that was lost: its keys name it."""
    now: datetime
    """When a POST counts as sent of which no file says it."""

    def amend(self, group: Sequence[Row], sent: Sequence[Row]) -> list[Row]:
        """The attempts of one generation, oldest first. `group` are the choices of its first line."""
        line, known = group[0], in_order(sent)
        speaker = next((row for row in known if row["sent_at"] == line["started_at"]), None)
        if speaker is not None:
            known = [_ended(row, group, known) if row is speaker else row for row in known]
        lost = self._lost(group, known, is_silent=speaker is None)
        if lost:
            lost[-1] = {**lost[-1], **_money_left(line, known)}
        amended = [*known, *lost]
        return amended if _is_behind(line, sent, speaker) else _charged(line, amended)

    def _lost(self, group: Sequence[Row], known: Sequence[Row], *, is_silent: bool) -> list[Row]:
        """The POSTs that the line counts and no row tells of, the one that speaks for it last."""
        line = group[0]
        num_lost = max(0, line["num_attempts"] - len(known))
        last: list[Row] = []
        if is_silent and (line["started_at"] is not None or _is_news(group, known)):
            last = [_answered(self._unknown(line, known, num_lost), group)]
        num_paid = line["num_purchases"] - _count_purchases([*known, *last])
        places = range(min(num_lost - len(last), num_paid))
        return [*(self._unknown(line, known, place) for place in places), *last]

    def _unknown(self, line: Row, known: Sequence[Row], place: int) -> Row:
        """A POST of unknown fate, under the key that it would have had."""
        gateway, fingerprint = line["gateway"], line["request_fingerprint"]
        num_answers = sum(row["kind"] not in (None, "incomplete") for row in known)
        name = "\0".join((gateway, fingerprint, str(line["started_at"]), str(place)))
        attempt_idx = max((row["attempt_idx"] + 1 for row in known), default=0) + place
        return {
            **_BLANK,
            "attempt_id": LOST + hashlib.sha256(name.encode()).hexdigest()[:32],
            "gateway": gateway,
            "request_fingerprint": fingerprint,
            "run_id": line["run_id"] or "lost",
            "purchase_idx": attempt_idx,
            "attempt_idx": attempt_idx,
            "idempotency_key": purchase_key(self.ledger_id, gateway, fingerprint, num_answers),
            "state": "unknown",
            "billed": "maybe",
            "error_type": "interrupted",
            "error_message": WHY,
            "sent_at": line["started_at"] or self.now,
        }


def _is_news(group: Sequence[Row], known: Sequence[Row]) -> bool:
    """The line has a result, and no attempt could have given it."""
    end = _end(group)
    return end is not None and end[0] == "succeeded" and all(row["kind"] != "succeeded" for row in known)


def in_order(sent: Sequence[Row]) -> list[Row]:
    """Attempts of one generation, oldest first."""
    return sorted(sent, key=lambda row: row["attempt_idx"])


def _ended(row: Row, group: Sequence[Row], known: Sequence[Row]) -> Row:
    """The attempt of a line, its end and its price taken from the line where that knows more."""
    line, then, told = group[0], row["completed_at"], group[0]["completed_at"]
    if then is not None and (told is None or then > told):
        return row
    left = _money_left(line, [other for other in known if other is not row])
    if then != told:
        after = _answered(row, group)
        return {**after, **left} if after["billed"] != row["billed"] or _end(group) is not None else after
    return {**row, "billed": line["billed"], **left} if _weight(line) > _weight(row) else row


def _answered(row: Row, group: Sequence[Row]) -> Row:
    """The attempt as its line tells of its end, if it does."""
    line, end = group[0], _end(group)
    told = {"gateway_task_id": line["gateway_task_id"] or row["gateway_task_id"]}
    if end is not None:
        told |= {name: line[name] for name in _TOLD}
        told |= {"state": "settled", "kind": end[0], "retry": end[1]}
    elif line["status"] == "unknown" or _weight(line) > _weight(row):
        told |= {"billed": line["billed"] or row["billed"]}
    return {**row, **told}


def _weight(row: Row) -> int:
    """How sure it is that the POST is paid for."""
    return {"no": 0, "yes": 2}.get(row["billed"], 1)


def _is_behind(line: Row, sent: Sequence[Row], speaker: Row | None) -> bool:
    """Whether the line was surely written before the attempts were."""
    if speaker is None or speaker["completed_at"] is None:
        return len(sent) > line["num_attempts"]
    told = line["completed_at"]
    return len(sent) > line["num_attempts"] or told is None or told < speaker["completed_at"]


def _charged(line: Row, amended: Sequence[Row]) -> list[Row]:
    """The attempts, as many of them paid for as the line counts, and with all of its money.

    What was given back may have been charged by a later bill, which the line counts and does not name.
    """
    rows = list(amended)
    given_back = [place for place, row in enumerate(rows) if row["billed"] == "no"]
    given_back.sort(key=lambda place: rows[place]["state"] != "unknown")
    for place in given_back[: max(0, line["num_purchases"] - _count_purchases(rows))]:
        rows[place] = {**rows[place], "billed": "maybe"}
    paid = [place for place, row in enumerate(rows) if row["billed"] != "no"]
    if paid:
        rows[paid[-1]] = {**rows[paid[-1]], **_money_missing(line, rows, rows[paid[-1]])}
    return rows


def _end(group: Sequence[Row]) -> tuple[str, str | None] | None:
    """Kind and retry of the answer that a line tells of; None where it tells of none."""
    line, statuses = group[0], {row["status"] for row in group}
    if statuses & _WITH_RESULT:
        return "succeeded", None
    if "refused" in statuses:
        return "refused", "none"
    is_free = line["billed"] == "no"
    if "failed" in statuses:
        return "failed", "backoff" if is_free and line["error_type"] in _FOR_NOW else "none"
    return ("stopped", "none") if is_free and not statuses & _OPEN else None


def _money_left(line: Row, others: Sequence[Row]) -> Row:
    """What the other attempts leave of a line's money."""
    return {name: _rest(line[name], [row[name] for row in others]) for name in ("cost_usd", "reserved_usd")}


def _money_missing(line: Row, rows: Sequence[Row], bearer: Row) -> Row:
    """What one of `rows` must cost and reserve so that all together come to the line's money."""
    told: dict[str, float | None] = {}
    for name in ("cost_usd", "reserved_usd"):
        missing = _rest(line[name], [row[name] for row in rows])
        told[name] = (bearer[name] or 0.0) + missing if missing else bearer[name]
    return told


def _rest(total: float | None, parts: Sequence[float | None]) -> float | None:
    return None if total is None else max(0.0, total - sum(part or 0.0 for part in parts))


def _count_purchases(rows: Sequence[Row]) -> int:
    return sum(row["billed"] != "no" for row in rows)
