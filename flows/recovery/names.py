"""What the name of a bill's column tells of money. Before `bill`. Pure."""

from __future__ import annotations

import re

_FOREIGN = re.compile(
    "aed|ars|aud|brl|cad|chf|clp|cny|cop|czk|dkk|eur|euros?|gbp|hkd|huf|idr|ils|inr|jpy|krw|mxn|myr|nok|nzd"
    "|php|pln|rmb|ron|rub|sar|sek|sgd|thb|twd|uah|vnd|zar"
)
"""Currencies, as the words that a column's name may have."""
_SIGNS = "\N{EURO SIGN}\N{POUND SIGN}\N{YEN SIGN}\N{INDIAN RUPEE SIGN}\N{WON SIGN}"
_MONEY = re.compile(
    "amounts?|costs?|prices?|(sub)?total|charged?|charges|fees?|credits?|debit|spend|spent|usd|dollars?|cents?"
    "|musd|micros|net|gross|betrag"
)
"""Words of names such as `amount_due` and `net_cost`."""
_NO_MONEY = re.compile(
    "ids?|key|tokens?|images?|videos?|seconds?|count|number|quantity|units?|requests?|duration|bytes|frames"
    "|rows|items|currency|cent(er|re)|type|name|model|plan|status|state|at|date|time|method|card|tier"
    "|description|note"
)
"""Words that make another thing of them: `charge_id`, `total_tokens`."""


def usual(column: str) -> str:
    """A column's name as the guesses are written: `Idempotency Key`, `costUSD`, `Cost (USD)`."""
    snake = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", column.strip())
    return re.sub(r"[^a-z0-9]+", "_", snake.lower()).strip("_")


def may_be_money(column: str) -> bool:
    """Whether a column may hold amounts, in whichever currency."""
    return is_foreign(column) or (_has_word(column, _MONEY) and not _has_word(column, _NO_MONEY))


def is_foreign(column: str) -> bool:
    """Whether a column names another currency than US dollars."""
    return any(sign in column for sign in _SIGNS) or _has_word(column, _FOREIGN)


def _has_word(column: str, words: re.Pattern[str]) -> bool:
    return any(words.fullmatch(word) for word in usual(column).split("_"))
