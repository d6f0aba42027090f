"""YAML nodes as texts, lists and mappings; what does not fit is noted with its line, and reading goes on.

Used by `axes`. Pure. Values stay the text that stands in the file.
"""

from __future__ import annotations

from collections.abc import Collection
from difflib import get_close_matches
from typing import Any, cast

import yaml

_NULLS = ("", "~", "null", "Null", "NULL")


class Nodes:
    """Reads nodes and collects the faults of one document."""

    def __init__(self) -> None:
        self.faults: set[tuple[int, str]] = set()
        """Line from 1, and what is wrong there."""

    def texts(self, node: yaml.Node, path: str, expected: str) -> list[str]:
        """A list of texts; those that are none are left out."""
        texts = [self.text(item, path) for item in self.items(node, path, expected)]
        return [text for text in texts if text is not None]

    def text(self, node: yaml.Node, path: str) -> str | None:
        """One text, None where there is none."""
        if not isinstance(node, yaml.ScalarNode):
            self.fault(
                node, path, "got a list or a mapping, expected one text or number; write JSON in quotes"
            )
            return None
        text = self.scalar(node)
        if cast("Any", node).style is None and text in _NULLS:
            self.fault(node, path, "a value is missing; a text without letters stands in quotes")
            return None
        return text

    def scalar(self, node: yaml.ScalarNode) -> str:
        """The text of a scalar, as it is written."""
        return str(cast("Any", node).value)

    def word(self, node: yaml.Node, path: str, words: tuple[str, ...]) -> str:
        """One of the words; the first where it is none of them."""
        text = self.text(node, path)
        if text is not None and text not in words:
            self.fault(node, path, f"got {text!r}, expected {' or '.join(words)}")
        return text if text in words else words[0]

    def items(self, node: yaml.Node, path: str, expected: str) -> list[yaml.Node]:
        """The members of a list."""
        if isinstance(node, yaml.SequenceNode):
            return cast("list[yaml.Node]", node.value)
        got = self.scalar(node) if isinstance(node, yaml.ScalarNode) else "a mapping"
        self.fault(node, path, f"got {got[:60]!r}, expected {expected}")
        return []

    def mapping(
        self, node: yaml.Node, path: str, allowed: tuple[str, ...] | None = None
    ) -> dict[str, yaml.Node]:
        """The members of a mapping by key; keys that stand there twice or are not allowed are left out."""
        if not isinstance(node, yaml.MappingNode):
            keys = ", ".join(allowed) if allowed else "names"
            self.fault(node, path, f"got no mapping, expected {keys}, each with a colon behind it")
            return {}
        members: dict[str, yaml.Node] = {}
        for key, value in cast("list[tuple[yaml.Node, yaml.Node]]", node.value):
            name = self.text(key, path)
            if name in members:
                self.fault(key, path, f"`{name}` is given twice")
            elif name is not None and allowed and name not in allowed:
                self.fault(key, path, f"got the key `{name}`{_hint(name, allowed)}")
            elif name is not None:
                members[name] = value
        return members

    def check(self, node: yaml.Node, path: str, fault: str | None) -> None:
        """Note a fault where there is one."""
        if fault is not None:
            self.fault(node, path, fault)

    def fault(self, node: yaml.Node, path: str, message: str) -> None:
        """Note what is wrong at a node; `path` names its key."""
        line = cast("Any", node).start_mark.line + 1
        self.faults.add((line, f"{path}: {message}" if path else message))


def _hint(name: str, allowed: tuple[str, ...]) -> str:
    if name.endswith(")"):
        return "; within braces range(…) and choice(…) stand in quotes"
    return f"{near(name, allowed)}; keys: {', '.join(allowed)}"


def near(name: str, names: Collection[str]) -> str:
    """` (did you mean …?)`, or nothing where no name is alike."""
    found = get_close_matches(name, names, n=1)
    return f" (did you mean `{found[0]}`?)" if found else ""
