"""Prompt templates: `{{ subject }}` and `{{ subject | upper }}`, nothing else of Jinja.

Used by `rows`. Pure. A template is parsed by Jinja's sandboxed environment and judged on its syntax
tree before anything of it runs; what is left are texts, names and filters from `FILTERS`, so that no
template can loop, call, compute or look inside a value (`{{ 10**100000000 }}` would hang for minutes).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from jinja2 import StrictUndefined, TemplateSyntaxError, nodes
from jinja2.filters import do_capitalize, do_lower, do_title, do_trim, do_upper
from jinja2.sandbox import SandboxedEnvironment

FILTERS: Mapping[str, Callable[[str], str]] = {
    "capitalize": do_capitalize,
    "lower": do_lower,
    "title": do_title,
    "trim": do_trim,
    "upper": do_upper,
}
"""The filters a template may use, Jinja's own."""
MAX_TEXT_BYTES = 1_000_000
"""Of a rendered prompt, as UTF-8."""

_FORM = "expected only {{ name }} and {{ name | filter }}"


@dataclass(frozen=True, slots=True)
class Slot:
    """A place for a cell: the column's or axis's name, and the filters on the way."""

    name: str
    filters: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Template:
    """A checked template: texts and slots in order."""

    parts: tuple[str | Slot, ...]

    @property
    def names(self) -> frozenset[str]:
        """The columns and axes it uses."""
        return frozenset(part.name for part in self.parts if isinstance(part, Slot))

    def render(self, cells: Mapping[str, str]) -> str:
        """The text, every slot filled.

        Raises ValueError for a name without a cell, an empty cell, a text of more than 1 MB.
        """
        text = "".join(part if isinstance(part, str) else _fill(part, cells) for part in self.parts)
        if len(text) * 4 > MAX_TEXT_BYTES and len(text.encode()) > MAX_TEXT_BYTES:
            raise ValueError(f"got {len(text.encode()):,} bytes of text, expected at most {MAX_TEXT_BYTES:,}")
        return text


def _fill(slot: Slot, cells: Mapping[str, str]) -> str:
    value = cells.get(slot.name)
    if value is None:
        raise ValueError(
            f"'{{{{ {slot.name} }}}}' is no column, --set or axis; there are: {', '.join(sorted(cells))}"
        )
    if not value:
        raise ValueError(f"'{{{{ {slot.name} }}}}' is empty in this row")
    for name in slot.filters:
        value = FILTERS[name](value)
    return value


@lru_cache(maxsize=4096)
def parse_template(text: str) -> Template:
    """The template in a text, its last newline kept. Raises ValueError for anything but names and filters."""
    if len(text) > MAX_TEXT_BYTES:
        raise ValueError(f"got {len(text):,} characters of template, expected at most {MAX_TEXT_BYTES:,}")
    try:
        if any(kind == "raw_begin" for _, kind, _ in _environment.lex(text)):
            raise ValueError(f"got a block {{% raw %}}, {_FORM}")
        tree = _environment.parse(text)
    except TemplateSyntaxError as error:
        raise ValueError(f"got a template that does not parse ({error.message}), {_FORM}") from None
    except RecursionError:
        raise ValueError(f"got a template nested too deep, {_FORM}") from None
    return Template(tuple(part for node in tree.body for part in _parts(node)))


_environment = SandboxedEnvironment(undefined=StrictUndefined, keep_trailing_newline=True, autoescape=False)


def _parts(node: nodes.Node) -> list[str | Slot]:
    if isinstance(node, nodes.Output):
        return [_part(item) for item in node.nodes]
    raise ValueError(f"got {_said(node)}, {_FORM}")


def _part(node: nodes.Expr) -> str | Slot:
    match node:
        case nodes.TemplateData():
            return node.data
        case _:
            return _slot(node, ())


def _slot(node: nodes.Expr | None, filters: tuple[str, ...]) -> Slot:
    match node:
        case nodes.Name():
            return Slot(node.name, filters)
        case nodes.Filter() if node.name not in FILTERS:
            raise ValueError(f"got filter {node.name!r}, expected one of {', '.join(FILTERS)}")
        case nodes.Filter() if node.args or node.kwargs or node.dyn_args or node.dyn_kwargs:
            raise ValueError(f"got filter {node.name!r} with arguments, {_FORM}")
        case nodes.Filter():
            return _slot(node.node, (node.name, *filters))
        case _:
            raise ValueError(f"got {_said(node)}, {_FORM}")


_WORDS: Mapping[str, str] = {
    "Call": "a call",
    "Getattr": "an attribute",
    "Getitem": "an index",
    "Const": "a constant",
    "CondExpr": "a condition",
    "If": "a block {% if %}",
    "For": "a block {% for %}",
}


def _said(node: nodes.Node | None) -> str:
    kind = type(node).__name__
    return _WORDS.get(kind, f"{'arithmetic' if isinstance(node, nodes.BinExpr | nodes.UnaryExpr) else kind}")
