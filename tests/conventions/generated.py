"""The parts of README.md that are made from code. `make docs` writes them, a test compares them."""

from __future__ import annotations

import re
from pathlib import Path

from reelsweep.prompts import columns as prompt_columns
from reelsweep.tasks.gateway.error_types import ERROR_TYPES
from reelsweep.tasks.manifest.columns import ATTEMPTS, MANIFEST, markdown_table
from reelsweep.tasks.reproduction.columns import REPRODUCTION

README = Path(__file__).resolve().parents[2] / "README.md"
_PART = re.compile(r"(<!-- generated: (?P<name>[a-z ]+) -->\n).*?(<!-- end -->)", re.S)


def error_table() -> str:
    """Our words for causes, what they mean and what to do."""
    rows = [f"| `{name}` | {kind.meaning} | {kind.remedy} |" for name, kind in sorted(ERROR_TYPES.items())]
    return "\n".join(["| error_type | it means | what to do |", "|---|---|---|", *rows])


PARTS = {
    "prompt columns": prompt_columns.markdown_table,
    "manifest columns": lambda: markdown_table(MANIFEST),
    "attempt columns": lambda: markdown_table(ATTEMPTS),
    "reproduction columns": lambda: markdown_table(REPRODUCTION),
    "error types": error_table,
}


def generate(text: str) -> str:
    """The README with its generated parts made anew."""
    return _PART.sub(lambda part: f"{part[1]}{PARTS[part['name']]().strip()}\n{part[3]}", text)


if __name__ == "__main__":
    README.write_text(generate(README.read_text()))
