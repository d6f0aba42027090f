"""From a fault to a verdict: code before message before status, by the table of `rules`.

Used by `judge`, after the body has ended. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from reelsweep.tasks.gateway.faults import Fault
from reelsweep.tasks.gateway.rules import GENERIC_RULES, RULES, WEAK_RULES, Rule
from reelsweep.tasks.gateway.status_rules import rule_of_status

_WINDOW = re.compile(
    r"(?P<a>\d{1,5})\s*(?P<unit>秒|分钟|小时)(?:内|后)"
    r"|(?:try again|retry|wait|available)[^.\n]{0,20}?\b(?:in|after|for)?\s*(?P<b>\d{1,5}(?:\.\d+)?)\s*"
    r"(?P<word>ms|milliseconds?|s|sec(?:ond)?s?|m|min(?:ute)?s?|h|hours?)\b",
    re.IGNORECASE,
)
_UNIT_S = {"秒": 1.0, "分钟": 60.0, "小时": 3600.0, "s": 1.0, "m": 60.0, "h": 3600.0}
MAX_WAIT_S = 2 * 3600.0

_UPSTREAM = Rule(error_type="no_capacity", status="failed", retry="backoff_long")
_FAILED = Rule(error_type="gateway_failed", status="failed", retry="resubmit_once")
_TROUBLE = Rule(error_type="gateway_trouble", status="failed", retry="backoff_long")


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The rule that holds and how long the gateway asks to wait."""

    rule: Rule
    retry_after_s: float | None = None


def classify(fault: Fault, *, http_status: int, is_json: bool = True) -> Verdict:
    """What a fault means, in an answer with this HTTP status."""
    rule = _strong(fault) or _by_inner_status(fault, http_status) or _generic(fault, http_status)
    if rule is None and not 200 <= http_status < 300:
        rule = rule_of_status(http_status, is_json=is_json)
        if http_status == 403 and re.search(r"\bmodel\b|模型", fault.message):
            rule = replace(rule, stop_scope=rule.stop_scope and "model")
    rule = rule or _weak(fault) or _FAILED
    return Verdict(rule=rule, retry_after_s=stated_wait_s(fault.message))


def classify_text(text: str, *, is_marked: bool) -> Rule | None:
    """What an answer's text means when there is no result: None for an ordinary sentence.

    Where a failure marker stands (`is_marked`), any word of failure counts.
    """
    fault = Fault(message=text)
    if is_marked:
        return _first_message(RULES, text) or _first_message(WEAK_RULES, text) or _FAILED
    return _first_message(RULES, fault.message) or _first_message(WEAK_RULES, text)


def stated_wait_s(message: str) -> float | None:
    """The seconds a message asks to wait: `1分钟内` is 60, `try again in 20s` is 20."""
    match = _WINDOW.search(message)
    if match is None:
        return None
    word = (match["unit"] or match["word"]).lower()
    factor = 0.001 if word.startswith(("ms", "milli")) else _UNIT_S.get(word) or _UNIT_S[word[0]]
    return min(float(match["a"] or match["b"]) * factor, MAX_WAIT_S)


def _strong(fault: Fault) -> Rule | None:
    """By code, by type, by message; a gateway's own trouble upstream is not the caller's."""
    rule = _first(RULES, fault)
    if rule and rule.stop_scope == "run" and fault.is_upstream:
        return _UPSTREAM
    return rule


def _first(rules: Iterable[Rule], fault: Fault) -> Rule | None:
    for code in filter(None, (fault.code, fault.type)):
        for rule in rules:
            if rule.code and rule.code.fullmatch(code):
                return rule
    return _first_message(rules, fault.message)


def _weak(fault: Fault) -> Rule | None:
    """By words that many a message holds: a time-out in the message outweighs an `error` in the type."""
    codes = [code for code in (fault.code, fault.type) if code]
    for rule in WEAK_RULES:
        told = rule.message and rule.message.search(fault.message)
        if told or any(rule.code and rule.code.fullmatch(code) for code in codes):
            return rule
    return None


def _first_message(rules: Iterable[Rule], message: str) -> Rule | None:
    return next((rule for rule in rules if rule.message and rule.message.search(message)), None)


def _by_inner_status(fault: Fault, http_status: int) -> Rule | None:
    """By the status within: a 400 dressed as 500, a 502 told inside a 200 stream."""
    inner = fault.status
    if inner is None or inner == http_status or (inner >= 500 and http_status >= 400):
        return None
    if inner in (401, 402, 403) and fault.is_upstream:
        return _UPSTREAM
    if inner == 503:
        return _TROUBLE
    if inner >= 500 or inner in (408, 409):
        return _first_message(WEAK_RULES[:1], fault.message) or _FAILED
    return rule_of_status(inner, is_json=True)


def _generic(fault: Fault, http_status: int) -> Rule | None:
    if 300 <= http_status < 500 or http_status in (504, 524):
        return None
    return _first(GENERIC_RULES, fault)
