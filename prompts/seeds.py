"""Seed cells: `7`, `1,2,3`, `0-9`, `1,5,10-19`, a whole number, or a list of them.

Used by `columns`. Pure. Says what a spreadsheet did to a range before anyone pays for it. `derive_seed` gives
each prompt seeds of its own.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from hashlib import sha256

from reelsweep.prompts.request import Json

MIN_SEED, MAX_SEED = -(2**63), 2**63 - 1
MAX_SEEDS = 1_000_000
"""In one cell: a slip such as `0-99999999999` is an error, not a bill."""

EXPECTED = "a whole number, a list 1,2,3 or a range 0-9"

_INTEGER = re.compile(r"[+-]?\d+(?:\.0*)?", re.ASCII)
_RANGE = re.compile(r"([+-]?\d+)\s*-\s*([+-]?\d+)", re.ASCII)
_LETTERS = r"[^\W\d_]{3,}\.?"
_DATE = re.compile(
    rf"\d{{1,4}}[-./ ]+{_LETTERS}|{_LETTERS}[-./ ]+\d{{1,4}}|\d{{1,4}}([-./])\d{{1,2}}\1\d{{1,4}}([T ].*)?"
)
_SHORTENED = re.compile(r"[+-]?\d(?:[.,]\d+)?E\+?\d+", re.IGNORECASE)


def parse_seeds(cell: Json) -> Sequence[int]:
    """The seeds of a cell, in its order, none twice.

    Raises ValueError with what was got and what was expected.
    """
    if isinstance(cell, str):
        return _parse_text(cell)
    return _distinct([_exact(item) for item in (cell if isinstance(cell, list) else [cell])])


def derive_seed(prompt_id: str, index: int) -> int:
    """The seed of a prompt's `index`th generation where a sweep derives them: 31 bits, the same for ever.

    The first four bytes, big-endian and without the highest bit, of sha256 over `<prompt_id> <index>` in
    UTF-8, a zero byte between the two. 31 bits, since some gateways take a signed 32-bit number.
    """
    digest = sha256(f"{prompt_id}\0{index}".encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:4], "big") & 0x7FFF_FFFF


@lru_cache(maxsize=4096)
def _parse_text(text: str) -> Sequence[int]:
    parts = [part.strip() for part in text.strip().removeprefix("[").removesuffix("]").split(",")]
    spans = [_span(part, text) for part in parts]
    if sum(map(len, spans)) > MAX_SEEDS:
        raise ValueError(f"got {text[:40]!r}, expected at most {MAX_SEEDS:,} seeds")
    return spans[0] if len(spans) == 1 else _distinct([seed for span in spans for seed in span])


def _span(part: str, text: str) -> Sequence[int]:
    if _INTEGER.fullmatch(part):
        return (_in_range(int(part.partition(".")[0])),)
    if match := _RANGE.fullmatch(part):
        first, last = _in_range(int(match[1])), _in_range(int(match[2]))
        if first > last:
            raise ValueError(f"got {text[:40]!r}, expected a range that goes up, as {last}-{first}")
        return range(first, min(last, first + MAX_SEEDS) + 1)
    raise ValueError(_explain(text))


def _explain(text: str) -> str:
    got = f"got {text[:40]!r}"
    if _DATE.fullmatch(text.strip()):
        return (
            f"{got}, which a spreadsheet such as Excel made out of a range (1-9 becomes 9-Jan): format the"
            f" column as text and type it again; expected {EXPECTED}"
        )
    if _SHORTENED.fullmatch(text.strip()):
        return (
            f"{got}: a spreadsheet such as Excel shortened the number and its digits are lost; format the"
            f" column as text and type it again; expected {EXPECTED}"
        )
    return f"{got}, expected {EXPECTED}"


def _exact(cell: Json) -> int:
    match cell:
        case bool():
            pass
        case int():
            return _in_range(cell)
        case float() if cell.is_integer() and abs(cell) < 2**53:
            return int(cell)
        case float() if cell.is_integer():
            raise ValueError(f"got {cell!r}, which is no longer exact; store large seeds as int64 or as text")
        case str() if _INTEGER.fullmatch(cell.strip()):
            return _in_range(int(cell.strip().partition(".")[0]))
        case _:
            pass
    raise ValueError(f"got {str(cell)[:40]!r}, expected {EXPECTED}")


def _in_range(seed: int) -> int:
    if not MIN_SEED <= seed <= MAX_SEED:
        raise ValueError(f"got {seed}, expected a whole number of 64 bits ({MIN_SEED} to {MAX_SEED})")
    return seed


def _distinct(seeds: list[int]) -> tuple[int, ...]:
    if not seeds:
        raise ValueError(f"got an empty list, expected {EXPECTED}")
    if len(set(seeds)) < len(seeds):
        twice = next(seed for index, seed in enumerate(seeds) if seed in seeds[:index])
        raise ValueError(
            f"seed {twice} stands there twice; to get several results of one request use `samples`"
        )
    return tuple(seeds)
