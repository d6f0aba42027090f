"""What a generation costs: a price as the user writes it, exact in integer micro-dollars.

After `plan`, before the ledger reserves. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor

from reelsweep.prompts.errors import SettingsError
from reelsweep.prompts.request import GenerationSpec

_FORM = re.compile(r"(\d{1,7}(?:\.\d{1,6})?)(/s)?", re.ASCII)
_MICRO = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """Micro-dollars for one video, or for one second of video."""

    musd: int
    per_second: bool = False

    @classmethod
    def parse(cls, text: str) -> Price:
        """A price from `0.80` (US dollars a generation) or `0.10/s` (a second of video).

        Raises SettingsError that names the two forms.
        """
        match = _FORM.fullmatch(text.strip())
        if match is None:
            raise SettingsError(
                f"got price {text[:40]!r}, expected US dollars as 0.80 (a generation)"
                " or 0.10/s (a second of video), with at most 6 decimals.",
                "Write, for example, --price 0.80.",
            )
        return cls(musd=int(Fraction(match[1]) * _MICRO), per_second=match[2] is not None)

    def __str__(self) -> str:
        """The form `parse` reads: at least two decimals, no more than needed."""
        dollars, rest = divmod(self.musd, _MICRO)
        decimals = f"{rest:06d}".rstrip("0").ljust(2, "0")
        return f"{dollars}.{decimals}{'/s' if self.per_second else ''}"

    def max_musd(self, spec: GenerationSpec) -> int:
        """The worst case of one POST, which is reserved before it: all `n` choices are billed."""
        return ceil(self._exact(_asked_s(spec) if self.per_second else None, spec.n))

    def low_musd(self, spec: GenerationSpec) -> int:
        """The least one bought generation costs: the gateway makes one choice, whatever `n` asks."""
        return _nearest(self._exact(_asked_s(spec) if self.per_second else None, 1))

    def high_musd(self, spec: GenerationSpec) -> int:
        """The most one bought generation costs: all `n` choices."""
        return self.max_musd(spec)

    def cost_musd(self, seconds: float | None, n: int) -> int:
        """What `n` choices of `seconds` cost, to the nearest micro-dollar.

        `seconds` counts only for a price by the second, which cannot be settled without (ValueError).
        """
        if self.per_second and seconds is None:
            raise ValueError("a price by the second needs the seconds made")
        return _nearest(self._exact(seconds if self.per_second else None, n))

    def _exact(self, seconds: float | None, n: int) -> Fraction:
        # Fraction(str(x)) is the number as it is written; Fraction(x) would carry its binary tail.
        return Fraction(self.musd * n) * (1 if seconds is None else Fraction(str(seconds)))


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceList:
    """A price for each model of a plan, where they differ."""

    prices: Mapping[str, Price]

    def __str__(self) -> str:
        return ", ".join(f"{price} {model}" for model, price in sorted(self.prices.items()))

    def max_musd(self, spec: GenerationSpec) -> int:
        """As `Price.max_musd`, by the spec's model."""
        return self.prices[spec.model].max_musd(spec)

    def low_musd(self, spec: GenerationSpec) -> int:
        """As `Price.low_musd`, by the spec's model."""
        return self.prices[spec.model].low_musd(spec)

    def high_musd(self, spec: GenerationSpec) -> int:
        """As `Price.high_musd`, by the spec's model."""
        return self.prices[spec.model].high_musd(spec)


def _nearest(musd: Fraction) -> int:
    return floor(musd + Fraction(1, 2))


def _asked_s(spec: GenerationSpec) -> float:
    seconds = spec.payload.get("seconds")
    if isinstance(seconds, int | float):
        return seconds
    raise SettingsError(
        f"a price by the second needs to know the seconds, and prompt {spec.prompt_id!r} asks for none.",
        "Add a `seconds` column, or --set seconds=8, or give --price per generation.",
    )
