"""What an export is asked to be: checked, whole, and the same for the same words. Pure."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from typing import Literal

from reelsweep.prompts.errors import SettingsError

Format = Literal["videofolder", "webdataset"]
DEFAULT_GROUP_BY = ("prompt_id", "prompt")
DEFAULT_SHARD_BYTES = 500_000_000
MIN_SHARD_BYTES = 1_000

_SPLIT = re.compile(r"[a-z][a-z0-9_]{0,31}")
_LICENSE = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+-]{0,63}")
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]?i?)b?", re.IGNORECASE)
_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
_BINARY_UNITS = {"ki": 2**10, "mi": 2**20, "gi": 2**30, "ti": 2**40}


@dataclass(frozen=True, slots=True)
class Share:
    """One split and the part of the groups it gets."""

    name: str
    share: Fraction


EVERYTHING = (Share("train", Fraction(1)),)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """Everything that decides what an export holds."""

    format: Format
    filter: str | None = None
    """A DuckDB expression over the manifest's columns."""
    include_rejected: bool = False
    columns: tuple[str, ...] | None = None
    """Columns to carry; None for the usual ones."""
    splits: tuple[Share, ...] = EVERYTHING
    group_by: tuple[str, ...] = DEFAULT_GROUP_BY
    """Rows that agree in any of these are never in different splits."""
    shard_bytes: int = DEFAULT_SHARD_BYTES
    license: str | None = None

    def words(self) -> list[str]:
        """The options that say this recipe; what is usual is left out."""
        said = [
            ("--format", self.format),
            ("--filter", self.filter),
            ("--columns", self.columns and ",".join(self.columns)),
            ("--splits", self.splits != EVERYTHING and show_splits(self.splits)),
            ("--group-by", self.group_by != DEFAULT_GROUP_BY and ",".join(self.group_by)),
            ("--shard-size", self.shard_bytes != DEFAULT_SHARD_BYTES and str(self.shard_bytes)),
            ("--license", self.license),
        ]
        words = [word for name, value in said if value for word in (name, str(value))]
        return [*words, *(["--include-rejected"] if self.include_rejected else [])]


def parse_names(option: str, text: str | None) -> tuple[str, ...] | None:
    """`a,b` as names. Raises SettingsError for an empty or a repeated one."""
    if text is None:
        return None
    names = tuple(name.strip() for name in text.split(","))
    if not all(names) or len(set(names)) < len(names):
        raise SettingsError(f"--{option}: got {text!r}.", "Give different names with commas between them.")
    return names


def parse_splits(text: str | None) -> tuple[Share, ...]:
    """`train=0.9,test=0.1` as shares that add up to one. Raises SettingsError."""
    if text is None:
        return EVERYTHING
    remedy = "Give shares that add up to 1, such as train=0.9,val=0.05,test=0.05."
    shares: list[Share] = []
    for part in text.split(","):
        name, _, number = (piece.strip() for piece in part.partition("="))
        try:
            share = Fraction(Decimal(number))
        except (InvalidOperation, ValueError, OverflowError):
            raise SettingsError(f"--splits: got {part!r}.", remedy) from None
        if not _SPLIT.fullmatch(name) or share <= 0 or name in {each.name for each in shares}:
            raise SettingsError(f"--splits: got {part!r}.", remedy)
        shares.append(Share(name, share))
    total = sum((each.share for each in shares), Fraction(0))
    if not math.isclose(total, 1, abs_tol=1e-6):
        raise SettingsError(f"--splits: the shares add up to {float(total):g}.", remedy)
    return tuple(Share(each.name, each.share / total) for each in shares)


def show_splits(splits: tuple[Share, ...]) -> str:
    """The splits as `parse_splits` reads them."""
    return ",".join(f"{each.name}={float(each.share):g}" for each in splits)


def parse_size(option: str, text: str | None) -> int:
    """`500MB`, `2GiB` or `1000000` as bytes. Raises SettingsError."""
    if text is None:
        return DEFAULT_SHARD_BYTES
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise SettingsError(f"--{option}: got {text!r}.", "Give a size such as 500MB or 2GiB.")
    number, unit = Decimal(match[1]), match[2].lower()
    factor = _BINARY_UNITS.get(unit) or _UNITS.get(unit)
    if factor is None or number * factor < MIN_SHARD_BYTES:
        raise SettingsError(f"--{option}: got {text!r}.", "Give a size of 1 kB or more, such as 500MB.")
    return int(number * factor)


def parse_license(text: str | None) -> str | None:
    """An identifier such as `cc-by-4.0`. Raises SettingsError."""
    if text is not None and not _LICENSE.fullmatch(text):
        raise SettingsError(
            f"--license: got {text!r}.", "Give an identifier such as cc-by-4.0 or apache-2.0."
        )
    return text and text.lower()
