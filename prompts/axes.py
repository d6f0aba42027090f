"""What a sweep file says: YAML to a Sweep, every mistake named at once with its line.

    axes:                                # parameters and template variables, crossed
      size: [320x180, 640x360]
      temperature: range(0, 1, 0.5)
    fragments:                           # pieces of text, put on every prompt
      style: ["", in oil, in ink]
    zip: [[temperature, style]]          # these turn together
    exclude: [{size: 640x360, style: [in oil, in ink]}]
    seeds: {values: 0-9, mode: common}

Used by `sweepfile`. Pure. Values are text and typed like the cells of a table: YAML's own ideas (`9:16` is
556, `no` is false) would change what was meant.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import cast, get_args

import yaml
from reelsweep.prompts.cellreaders import check_fixed
from reelsweep.prompts.columns import BODY_PREFIX, BY_NAME, META_PREFIX, find_column
from reelsweep.prompts.errors import SettingsError
from reelsweep.prompts.fragments import Joint, Side
from reelsweep.prompts.nodes import Nodes, near
from reelsweep.prompts.ranges import EXPECTED, parse_values
from reelsweep.prompts.seeds import parse_seeds
from reelsweep.prompts.sweep import Axis, SeedMode, Sweep, SweepSeeds, axis_fault

MAX_CHARS = 1_000_000

_KEYS = ("axes", "fragments", "zip", "exclude", "seeds")


def parse_sweep(text: str, name: str) -> Sweep:
    """The sweep that YAML text describes. Raises SettingsError with one line for every mistake."""
    if len(text) > MAX_CHARS:
        raise SettingsError(f"{name} has {len(text):,} characters, expected at most {MAX_CHARS:,}.")
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except (yaml.YAMLError, RecursionError) as error:
        raise SettingsError(f"{name}, {_explain(error)}.", "Check the indentation and the quotes.") from None
    document = _Document()
    sweep = document.sweep(root)
    if document.faults:
        raise SettingsError(
            "\n".join(f"{name}, line {line}, {text}" for line, text in sorted(document.faults))
        )
    return sweep


def _explain(error: Exception) -> str:
    mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
    return f"line {mark.line + 1}: {problem}" if mark and problem else "it is no YAML"


class _Document(Nodes):
    """The parts of a sweep file."""

    def sweep(self, root: yaml.Node | None) -> Sweep:
        if root is None:
            self.faults.add((1, f"the file is empty, expected {', '.join(_KEYS)}"))
            return Sweep()
        parts = self.mapping(root, "", _KEYS)
        axes = self._each(parts, "axes", self._axis)
        fragments = self._each(parts, "fragments", self._fragment)
        for name in axes.keys() & fragments.keys():
            self.fault(parts["fragments"], f"fragments.{name}", f"there is an axis `{name}` too; rename one")
        known = {**axes, **fragments}
        seeds = self._seeds(parts["seeds"]) if "seeds" in parts else None
        if not known and seeds is None and not self.faults:
            self.fault(root, "", "it varies nothing: give axes, fragments or seeds")
        return Sweep(
            axes=tuple(known.values()),
            zipped=self._zipped(parts["zip"], known) if "zip" in parts else (),
            excluded=self._excluded(parts["exclude"], known) if "exclude" in parts else (),
            seeds=seeds,
        )

    def _each(
        self, parts: Mapping[str, yaml.Node], key: str, read: Callable[[str, str, yaml.Node], Axis]
    ) -> dict[str, Axis]:
        members = self.mapping(parts[key], key) if key in parts else {}
        return {name: read(name, f"{key}.{name}", node) for name, node in members.items()}

    def _axis(self, name: str, path: str, node: yaml.Node) -> Axis:
        values = self._values(node, path)
        self.check(node, path, axis_fault(name, values) if values else None)
        for value in values:
            try:
                find_column(name)
                check_fixed(name, value)
            except ValueError as error:
                self.fault(node, path, str(error))
        return Axis(name=name, values=values)

    def _fragment(self, name: str, path: str, node: yaml.Node) -> Axis:
        parts = {"values": node}
        if isinstance(node, yaml.MappingNode):
            parts = self.mapping(node, path, ("values", "join", "at"))
        if name in BY_NAME or name.startswith((BODY_PREFIX, META_PREFIX)):
            self.fault(
                node, path, f"`{name}` is a column; give the fragment another name, or vary it in axes"
            )
        if "values" not in parts:
            self.fault(node, path, "`values` is missing")
        values = self._values(parts["values"], path, may_be_empty=True) if "values" in parts else ()
        self.check(node, path, axis_fault(name, values) if values else None)
        by = self.text(parts["join"], f"{path}.join") if "join" in parts else Joint().by
        at = self.word(parts["at"], f"{path}.at", get_args(Side)) if "at" in parts else "end"
        return Axis(name=name, values=values, joint=Joint(by=by or "", at=cast("Side", at)))

    def _zipped(self, node: yaml.Node, axes: Mapping[str, Axis]) -> tuple[tuple[str, ...], ...]:
        groups = [self._group(group, axes) for group in self.items(node, "zip", "a list of lists of axes")]
        names = [name for group in groups for name in group]
        for name in {name for name in names if names.count(name) > 1}:
            self.fault(node, "zip", f"`{name}` is zipped twice")
        return tuple(group for group in groups if group)

    def _group(self, node: yaml.Node, axes: Mapping[str, Axis]) -> tuple[str, ...]:
        names = tuple(self.texts(node, "zip", "lists of axes, as [[size, seconds]]"))
        known = [axes[name] for name in names if self._is_known(node, "zip", name, axes)]
        if len(names) == 1:
            self.fault(node, "zip", f"got [{names[0]}], expected two axes or more in a group")
        if len({len(axis.values) for axis in known if axis.values}) > 1:
            sizes = ", ".join(f"{axis.name} has {len(axis.values)}" for axis in known)
            self.fault(node, "zip", f"axes that turn together have as many values each; {sizes}")
        return names if len(known) == len(names) else ()

    def _excluded(
        self, node: yaml.Node, axes: Mapping[str, Axis]
    ) -> tuple[Mapping[str, frozenset[str]], ...]:
        patterns = self.items(node, "exclude", "a list of combinations")
        taken = {name: frozenset(axis.values) for name, axis in axes.items()}
        return tuple(self._pattern(pattern, axes, taken) for pattern in patterns)

    def _pattern(
        self, node: yaml.Node, axes: Mapping[str, Axis], taken: Mapping[str, frozenset[str]]
    ) -> dict[str, frozenset[str]]:
        pattern: dict[str, frozenset[str]] = {}
        for name, picked in self.mapping(node, "exclude").items():
            if not self._is_known(picked, "exclude", name, axes):
                continue
            one = isinstance(picked, yaml.ScalarNode)
            path = f"exclude.{name}"
            texts = [self.text(picked, path)] if one else self.texts(picked, path, "a value or a list")
            for text in texts:
                if text is not None and taken[name] and text not in taken[name]:
                    values = axes[name].values
                    self.fault(
                        picked, path, f"got {text!r}, which the axis does not take{near(text, values)}"
                    )
            pattern[name] = frozenset(text for text in texts if text is not None)
        if not pattern:
            self.fault(node, "exclude", "names no axis")
        return pattern

    def _seeds(self, node: yaml.Node) -> SweepSeeds | None:
        parts = {"values": node}
        if isinstance(node, yaml.MappingNode):
            parts = self.mapping(node, "seeds", ("values", "mode"))
        mode = self.word(parts["mode"], "seeds.mode", get_args(SeedMode)) if "mode" in parts else "common"
        if "values" not in parts:
            self.fault(node, "seeds", "`values` is missing")
            return None
        values, text = parts["values"], ""
        if isinstance(values, yaml.ScalarNode) and "(" not in values.value:
            text = self.text(values, "seeds.values") or ""
        else:
            text = ",".join(self._values(values, "seeds.values"))
        try:
            parse_seeds(text)
        except ValueError as error:
            self.fault(values, "seeds.values", str(error))
        return SweepSeeds(values=text, mode=cast("SeedMode", mode))

    def _values(self, node: yaml.Node, path: str, *, may_be_empty: bool = False) -> tuple[str, ...]:
        """The values of an axis: a list as it stands, or a short form."""
        values: tuple[str, ...] = ()
        if isinstance(node, yaml.ScalarNode):
            try:
                values = parse_values(self.scalar(node))
            except ValueError as error:
                self.fault(node, path, str(error))
                return ()
        else:
            values = tuple(self.texts(node, path, EXPECTED))
        is_list = not isinstance(node, yaml.MappingNode)
        if (not values and is_list) or ("" in values and not may_be_empty):
            self.fault(node, path, "a value is missing")
        return values

    def _is_known(self, node: yaml.Node, path: str, name: str, axes: Mapping[str, Axis]) -> bool:
        if name not in axes:
            there = ", ".join(axes) or "none"
            self.fault(node, path, f"got `{name}`, which is no axis{near(name, axes)}; there are: {there}")
        return name in axes
