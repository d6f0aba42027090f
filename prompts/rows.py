"""Records to PromptRows: every cell typed and checked, every problem found, none guessed away.

After `table`, before `expand`. Pure but for the image loader it is given.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, cast

from reelsweep.prompts.cellreaders import find_reader, in_order
from reelsweep.prompts.cells import as_text
from reelsweep.prompts.columns import BODY_PREFIX, PROMPTS
from reelsweep.prompts.contradictions import Fault, contradictions
from reelsweep.prompts.errors import MAX_PROBLEMS, Problem
from reelsweep.prompts.fingerprint import canonical
from reelsweep.prompts.fragments import Fragment, join_prompt, join_template
from reelsweep.prompts.images import ImageDesk
from reelsweep.prompts.records import Record, Table
from reelsweep.prompts.request import Json, Output
from reelsweep.prompts.seeds import derive_seed
from reelsweep.prompts.sweep import Sweep
from reelsweep.prompts.template import Template, parse_template

_NO_FRAGMENTS = "fragments go into `prompt` and `prompt_template`, not into `messages`"
_NO_VARIABLES: Mapping[str, str] = {}
_NO_FIELDS = (
    *PROMPTS,
    "system",
    "image",
    "prompt_id",
    "follows",
    "samples",
    "output",
    "model",
    "seed",
    "stream",
)
_LONGEST_SEED = str(-(2**63))


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptRow:
    """One row of the table under one combination of the axes: what to ask, and how often."""

    row_idx: int
    prompt_id: str
    text: str | None
    """The user message; None where `messages` or `template` says it."""
    template: Template | None
    """Only where it uses `{{ seed }}`: others are rendered into `text`."""
    variables: Mapping[str, str]
    """The cells of `template`."""
    messages: Sequence[Json] | None
    system: str | None
    images: tuple[str, ...]
    """sha256 of each."""
    follows: str | None
    seeds: Sequence[int]
    """Empty where no seed is sent."""
    samples: int | None
    output: Output
    model: str
    fields: Mapping[str, Json]
    """Body fields apart from model, messages and seed, in the order of `columns`."""
    seed_idx: Mapping[int, int] = field(default_factory=dict[int, int])
    """The number that each seed was derived from, where a sweep derives them."""


class Problems:
    """What is wrong with a table, each thing once; `full` when looking on is no use."""

    def __init__(self, table: Table | None = None) -> None:
        self._table = table
        self._found = dict.fromkeys(table.problems) if table else dict[Problem, None]()

    def add(self, row_idx: int | None, column: str | None, message: str) -> None:
        """One thing wrong, at a 0-based row or with the table as a whole."""
        file, row = (None, None) if row_idx is None else self._place(row_idx)
        self._found.setdefault(Problem(row=row, column=column, message=message, table=file))

    def row_name(self, row_idx: int) -> str:
        """How a message calls another row of the table."""
        return str(row_idx + 1) if self._table is None else self._table.row_name(row_idx)

    def _place(self, row_idx: int) -> tuple[str | None, int]:
        return (None, row_idx + 1) if self._table is None else self._table.place(row_idx)

    @property
    def full(self) -> bool:
        """Whether the most that is looked for has been found."""
        return len(self._found) >= MAX_PROBLEMS

    def sorted(self) -> tuple[Problem, ...]:
        """All, those of the whole table first, then by file and row."""
        return tuple(sorted(self._found, key=lambda problem: (problem.table or "", problem.row or 0)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Defaults:
    """What a row asks for where its cells do not say."""

    output: Output
    model: str


class RowReader:
    """Reads rows under any combination of a sweep's axes.

    `fixed` are cells that replace a column in every row (--set, --seeds, --samples); they and the sweep's
    values have passed `check_fixed`. An empty cell takes the column away.
    """

    def __init__(
        self,
        columns: Sequence[str],
        fixed: Mapping[str, str],
        *,
        sweep: Sweep,
        defaults: Defaults,
        desk: ImageDesk,
        problems: Problems,
        decimal_comma: bool = False,
    ) -> None:
        self._defaults, self._desk, self._problems = defaults, desk, problems
        self._fixed, self._sweep = dict(fixed), sweep
        self._fragments = [(axis.name, axis.joint) for axis in sweep.axes if axis.joint is not None]
        replaced = {*fixed, *sweep.names}
        self._columns = {name: index for index, name in enumerate(columns) if name not in replaced}
        names = (*columns, *fixed, *sweep.names)
        known = {name: reader for name in names if (reader := find_reader(name, decimal_comma))}
        self._readers = [(index, name, known[name]) for name, index in self._columns.items() if name in known]
        self._constants = {name: known[name](cell) for name, cell in fixed.items() if cell and name in known}
        self._varied = {
            axis.name: {cell: known[axis.name](cell) for cell in axis.values}
            for axis in sweep.axes
            if axis.name in known
        }
        self._has_prompt = any(name in known for name in PROMPTS)
        self._fields = [name for name in in_order(known) if name not in _NO_FIELDS]
        self._read: tuple[Record | None, dict[str, Json], list[Fault]] = (None, {}, [])
        self._empty: set[int] = set()
        self.template_names: set[str] = set()
        """Columns and axes that the templates read so far have used."""

    @property
    def num_empty(self) -> int:
        """Rows without a cell, of those read so far."""
        return len(self._empty)

    def read(self, row_idx: int, record: Record, axes: Mapping[str, str]) -> PromptRow | None:
        """The row under one combination, or None where it is empty or its problems have been noted."""
        values, faults = self._values(record, axes) if axes else self._type(record)
        if not faults and not any(name in values for name in PROMPTS) and _is_empty(record):
            self._empty.add(row_idx)
            return None
        faults += contradictions(values, faults, needs_prompt=self._has_prompt)
        row = None if faults else self._row(row_idx, record, axes, values, faults)
        for column, message in faults:
            self._problems.add(row_idx, column, message)
        return row

    def _values(self, record: Record, axes: Mapping[str, str]) -> tuple[dict[str, Json], list[Fault]]:
        """The cells of one combination; those that no axis replaces are typed once for all of them."""
        last, values, faults = self._read
        if last is not record:
            values, faults = self._type(record)
            self._read = record, values, faults
        varied = {name: cells[axes[name]] for name, cells in self._varied.items()}
        return {**values, **varied}, faults.copy()

    def _type(self, record: Record) -> tuple[dict[str, Json], list[Fault]]:
        values = self._constants.copy()
        faults: list[Fault] = []
        for index, name, read in self._readers:
            cell = record[index]
            if cell is None or cell == "":
                continue
            try:
                values[name] = read(cell)
            except ValueError as error:
                faults.append((name, str(error)))
        return values, faults

    def _row(
        self,
        row_idx: int,
        record: Record,
        axes: Mapping[str, str],
        values: Mapping[str, Json],
        faults: list[Fault],
    ) -> PromptRow | None:
        get = cast("Mapping[str, Any]", values).get
        text: str | None = get("prompt")
        template, variables = None, _NO_VARIABLES
        images: tuple[str, ...] = ()
        fragments = [(name, axes[name], joint) for name, joint in self._fragments]
        if "prompt_template" in values:
            text, template, variables = self._turn(record, axes, values, fragments, faults)
        elif fragments and text is not None:
            text = join_prompt(text, fragments)
        elif fragments:
            faults.append(("messages", _NO_FRAGMENTS))
        if "image" in values:
            images = self._images(get("image", ()), faults)
        if faults:
            return None
        prompt_id: str = get("prompt_id") or self._content_id(values, images, variables)
        seeds, seed_idx = self._seeds(prompt_id, get("seed") or (), follows="follows" in values)
        return PromptRow(
            row_idx=row_idx,
            prompt_id=prompt_id,
            text=text,
            template=template,
            variables=variables,
            messages=get("messages"),
            system=get("system"),
            images=images,
            follows=get("follows"),
            seeds=seeds,
            seed_idx=seed_idx,
            samples=get("samples"),
            output=get("output") or self._defaults.output,
            model=get("model") or self._defaults.model,
            fields={name.removeprefix(BODY_PREFIX): values[name] for name in self._fields if name in values},
        )

    def _seeds(
        self, prompt_id: str, given: Sequence[int], *, follows: bool
    ) -> tuple[Sequence[int], Mapping[int, int]]:
        """The seeds and what they were derived from; rows that follow another take its seeds."""
        if self._sweep.seeds is None or self._sweep.seeds.mode == "common":
            return given, {}
        derived = {} if follows else {derive_seed(prompt_id, index): index for index in given}
        return tuple(derived), derived

    def _turn(
        self,
        record: Record,
        axes: Mapping[str, str],
        values: Mapping[str, Json],
        fragments: Sequence[Fragment],
        faults: list[Fault],
    ) -> tuple[str | None, Template | None, Mapping[str, str]]:
        """The user message of a template: rendered, or kept with its cells where each seed has its own."""
        try:
            template = parse_template(str(values["prompt_template"]))
            self.template_names |= template.names
            variables = {name: self._variable(name, record, axes) for name in template.names}
            if fragments:
                template = join_template(template, fragments)
            if "seed" not in template.names or not ("seed" in values or "follows" in values):
                return template.render(variables), None, variables
            template.render({**variables, "seed": _LONGEST_SEED})
        except ValueError as error:
            faults.append(("prompt_template", str(error)))
            return None, None, _NO_VARIABLES
        return None, template, variables

    def _variable(self, name: str, record: Record, axes: Mapping[str, str]) -> str:
        if name in axes and name != "prompt_template":
            return axes[name]
        if name in self._fixed and name != "prompt_template":
            return self._fixed[name]
        if name not in self._columns or name == "prompt_template":
            there = sorted({*self._columns, *self._fixed, *axes} - {"prompt_template"})
            raise ValueError(
                f"got {{{{ {name} }}}}, expected one of the columns and axes: {', '.join(there[:30])}"
            )
        cell = record[self._columns[name]]
        return "" if cell is None else as_text(cell)

    def _images(self, references: Sequence[str], faults: list[Fault]) -> tuple[str, ...]:
        hashes: list[str] = []
        for reference in references:
            try:
                hashes.append(self._desk.image(reference).sha256)
            except ValueError as error:
                faults.append(("image", str(error)))
        return tuple(hashes)

    def _content_id(
        self, values: Mapping[str, Json], images: Sequence[str], variables: Mapping[str, str]
    ) -> str:
        """The id of a row without one: a hash of what it shows and says, whatever axis varies it."""
        content: dict[str, Json] = {name: values[name] for name in PROMPTS if name in values}
        if "system" in values and "system" not in self._varied:
            content["system"] = values["system"]
        if images:
            content["image"] = list(images)
        if variables:
            varied = self._sweep.names
            content["variables"] = {name: text for name, text in variables.items() if name not in varied}
        return "p" + sha256(canonical(content)).hexdigest()[:12]


def _is_empty(record: Record) -> bool:
    return all(cell is None or cell == "" for cell in record)
