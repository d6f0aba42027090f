"""Fragments: pieces of text that a sweep puts on every prompt, such as a style.

Used by `rows`. Pure. A prompt gets them before or behind its own text, in the order of the sweep; a template
that names one, as in `{{ style }}`, has placed it itself. An empty fragment is the prompt without it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from reelsweep.prompts.template import Slot, Template

Side = Literal["start", "end"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Joint:
    """How a fragment meets the prompt."""

    by: str = ", "
    """What stands between the two."""
    at: Side = "end"


Fragment = tuple[str, str, Joint]
"""Name, text of this combination, joint."""


def join_prompt(prompt: str, fragments: Sequence[Fragment]) -> str:
    """A literal prompt with its fragments."""
    return _before(fragments) + prompt + _behind(fragments)


def join_template(template: Template, fragments: Sequence[Fragment]) -> Template:
    """A template with the fragments it does not name; places of empty ones are taken out."""
    empty = {name for name, text, _ in fragments if not text}
    own = tuple(part for part in template.parts if not (isinstance(part, Slot) and part.name in empty))
    unnamed = [fragment for fragment in fragments if fragment[0] not in template.names]
    return Template(tuple(part for part in (_before(unnamed), *own, _behind(unnamed)) if part))


def _before(fragments: Sequence[Fragment]) -> str:
    return "".join(text + joint.by for _, text, joint in fragments if text and joint.at == "start")


def _behind(fragments: Sequence[Fragment]) -> str:
    return "".join(joint.by + text for _, text, joint in fragments if text and joint.at == "end")
