"""What cannot stand together in one row of the table.

Used by `rows`. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from reelsweep.prompts.columns import PROMPTS
from reelsweep.prompts.messages import has_system
from reelsweep.prompts.request import Json
from reelsweep.prompts.structured import check_tool_choice

Fault = tuple[str | None, str]
"""A column, or the row as a whole, and what is wrong with it."""

_OPENINGS = ("system", "messages")


def contradictions(values: Mapping[str, Json], faults: Sequence[Fault], *, needs_prompt: bool) -> list[Fault]:
    """What is wrong with a row's values beside each other.

    `faults` are those of its cells alone; `needs_prompt`: the table has a column to hold a prompt.
    """
    sources = [name for name in PROMPTS if name in values]
    found: list[Fault] = []
    if len(sources) > 1:
        found.append((None, f"got {' and '.join(sources)}, expected one of them"))
    if needs_prompt and not sources and not any(name in PROMPTS for name, _ in faults):
        found.append((None, f"got no prompt, expected one of {', '.join(PROMPTS)}"))
    if "tool_choice" in values and not any(name == "tools" for name, _ in faults):
        try:
            check_tool_choice(values["tool_choice"], values.get("tools"))
        except ValueError as error:
            found.append(("tool_choice", str(error)))
    messages = values.get("messages")
    if isinstance(messages, list) and "system" in values and has_system(messages):
        found.append(("system", "`messages` has a system message already"))
    if "follows" in values:
        found += [
            (name, "a row that follows another takes the conversation from it")
            for name in _OPENINGS
            if name in values
        ]
    return found
