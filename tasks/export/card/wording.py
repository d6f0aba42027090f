"""Figures and foreign text as a Markdown page shows them. Pure."""

from __future__ import annotations

import re
from datetime import datetime

MAX_CHARS = 160
_MARKUP = re.compile(r"([\\`*_{}\[\]<>#!|~&])")
_UNPRINTABLE = dict.fromkeys((*range(32), *range(127, 160), *range(8234, 8239), *range(8294, 8298)))


def text(value: object) -> str:
    """Text from a table or a gateway as text: no markup, no HTML, no cell border, one line, not too long."""
    line = " ".join(str(value).split()).translate(_UNPRINTABLE)
    short = line if len(line) <= MAX_CHARS else f"{line[: MAX_CHARS - 1]}…"
    escaped = (
        _MARKUP.sub(r"\\\1", short).replace("\\<", "&lt;").replace("\\>", "&gt;").replace("\\&", "&amp;")
    )
    return escaped.replace("://", ":&#47;&#47;").replace("www.", "www&#46;")


def code(value: object) -> str:
    """A value of our own, or a name, as code in a cell; a dash for none."""
    plain = " ".join(str(value or "").split()).translate(_UNPRINTABLE).replace("`", "'").replace("|", "\\|")
    return f"`{plain}`" if plain else "–"


def size(size_bytes: float) -> str:
    """`1.2 GB`."""
    for unit in ("B", "kB", "MB", "GB"):
        if size_bytes < 999.5:
            return f"{size_bytes:.3g} {unit}"
        size_bytes /= 1000
    return f"{size_bytes:,.3g} TB"


def length(seconds: float) -> str:
    """`45 s`, `12.5 min`, `3.4 h`."""
    if seconds < 120:
        return f"{seconds:.3g} s"
    return f"{seconds / 60:.3g} min" if seconds < 7200 else f"{seconds / 3600:,.3g} h"


def share(part: float | None) -> str:
    """`4.2 %`; a dash for none."""
    return "–" if part is None else f"{part:.1%}".replace("%", " %")


def dollars(usd: float | None) -> str:
    """`12.40 USD`; what is not known is said."""
    if usd is None:
        return "not known"
    return f"{usd:,.4f} USD" if 0 < usd < 0.1 else f"{usd:,.2f} USD"


def day(at: datetime | None) -> str:
    """`2026-03-01`; a dash for none."""
    return "–" if at is None else at.date().isoformat()


def size_category(samples: int) -> str:
    """The hub's word for how many samples there are."""
    bounds = ((10**3, "n<1K"), (10**4, "1K<n<10K"), (10**5, "10K<n<100K"), (10**6, "100K<n<1M"))
    return next((word for bound, word in bounds if samples < bound), "n>1M")
