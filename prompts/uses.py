"""Where every column goes: sent, used in templates, planning, or only carried.

Used by `plan` when all rows are read. Pure. A column that was probably meant for the gateway and would
not get there is refused: a parameter that is silently not sent costs the whole run.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from reelsweep.prompts.columns import BODY_PREFIX, META_PREFIX, PROMPTS, PromptColumn, find_column
from reelsweep.prompts.names import meant_column, refusal
from reelsweep.prompts.rows import Problems


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnUse:
    """Where the columns of the table and of the options go."""

    sent: tuple[str, ...]
    templates: tuple[str, ...]
    """Used in a prompt template, parameters too; those of the table are carried as well."""
    carried: tuple[str, ...]
    """Only carried to the manifest."""
    planning: tuple[str, ...]
    """Decide what is made: prompt_id, follows, samples, output."""


def sort_columns(names: Iterable[str], used: frozenset[str]) -> ColumnUse:
    """The columns by use; `used` are those of the templates."""
    distinct = list(dict.fromkeys(names))
    known = {name: column for name in distinct if (column := _column(name))}
    return ColumnUse(
        sent=tuple(name for name in known if known[name].use == "sent"),
        templates=tuple(name for name in distinct if name in used),
        carried=tuple(name for name in distinct if name not in known and name not in used),
        planning=tuple(name for name in known if known[name].use == "planning"),
    )


def _column(name: str) -> PromptColumn | None:
    try:
        return find_column(name)
    except ValueError:  # `check_header` has noted it
        return None


def check_header(columns: Sequence[str], given: Collection[str], problems: Problems) -> None:
    """Notes what is wrong with the columns before a row is read; `given` are those of the options."""
    for name in columns:
        try:
            find_column(name)
        except ValueError as error:
            problems.add(None, name, str(error))
    if not set(PROMPTS) & {*columns, *given}:
        near = next((name for name in columns if meant_column(name)[1] in PROMPTS), None)
        hint = f"; did you mean `{meant_column(near)[1]}` by '{near}'?" if near else ""
        wanted = ", ".join(f"`{name}`" for name in PROMPTS)
        problems.add(None, None, f"no column {wanted} among: {', '.join(columns[:30])}{hint}")
    carried = [meta_name(name) for name in columns if name not in given]
    for name in dict.fromkeys(name for name in carried if carried.count(name) > 1):
        problems.add(None, name, f"`{name}` and `{META_PREFIX}{name}` would be carried under one name")


def check_fragments(
    fragments: Sequence[str], names: Collection[str], columns: Collection[str], problems: Problems
) -> None:
    """Notes fragments that share their name with a column or a body field."""
    for name in fragments:
        taken = next((one for one in (name, BODY_PREFIX + name) if one in {*names, *columns}), None)
        if taken is not None:
            problems.add(
                None, name, f"is a fragment of the sweep and there is a `{taken}`; rename one of them"
            )


def check_carried(use: ColumnUse, axes: Sequence[str], problems: Problems) -> None:
    """Notes columns that look as if they should be sent and are not, and axes that vary nothing."""
    for name in use.carried:
        is_meant, column = meant_column(name)
        if is_meant and not name.startswith(META_PREFIX):
            problems.add(None, name, refusal(name, column))
        elif name in axes:
            problems.add(None, name, "this axis varies nothing: no parameter and in no prompt template")


def meta_name(column: str) -> str:
    """The name a carried column has after `meta_`."""
    return column.removeprefix(META_PREFIX)
