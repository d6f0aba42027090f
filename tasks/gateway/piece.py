"""One choice while its stream runs: its texts, tool calls and what its pieces said.

Used by `fold`. Pure.
"""

from __future__ import annotations

from reelsweep.prompts.request import Json
from reelsweep.tasks.gateway.evidence import ChoiceEvidence
from reelsweep.tasks.gateway.scan import Scanner
from reelsweep.tasks.gateway.structure import Found, find, hides_text
from reelsweep.tasks.gateway.texts import Allowance, Text
from reelsweep.tasks.gateway.toolcalls import ToolCalls
from reelsweep.tasks.gateway.values import BREAK, JsonObject, as_object, as_text

_DELTA = frozenset(
    {
        "role",
        "content",
        "reasoning_content",
        "reasoning",
        "refusal",
        "tool_calls",
        "function_call",
        "name",
        "audio",
        "annotations",
    }
)


class ChoiceFold:
    """Pieces of one choice in, its evidence out."""

    def __init__(self, choice_idx: int, allowance: Allowance, *, is_watched: bool = True) -> None:
        """`is_watched`: look for percentages and ids in the texts, as where a video is made."""
        self.content = Text(allowance)
        self.reasoning = Text(allowance)
        self.content_scanner = Scanner()
        self.reasoning_scanner = Scanner()
        self.videos: list[str] = []
        self.length_at_fault = 0
        self._choice_idx = choice_idx
        self._is_watched = is_watched
        self._refusal = Text(allowance)
        self._tool_calls = ToolCalls(allowance)
        self._finish_reason: str | None = None
        self._last_piece = ""
        self._is_done = False

    def add(self, piece: JsonObject, percents: list[float]) -> Found | None:
        """Take one `choices` item; percentages go to `percents`, JSON findings are returned."""
        delta = as_object(piece.get("delta")) or as_object(piece.get("message"))
        if not delta and "text" not in piece and hides_text(piece):
            self.add_break(is_done=False)
        found = self._add_content(delta.get("content") if delta else piece.get("text"), percents)
        for name in ("reasoning_content", "reasoning"):
            self._add_reasoning(delta.get(name), percents)
        self._refusal.append(as_text(delta.get("refusal")))
        self._tool_calls.add(delta.get("tool_calls"))
        finish_reason = as_text(piece.get("finish_reason")).strip()
        self._finish_reason = finish_reason[:100] or self._finish_reason
        if not delta.keys() <= _DELTA:
            found = find({name: value for name, value in delta.items() if name not in _DELTA})
            _note(found.progress, percents)
        return found

    def add_break(self, *, is_done: bool) -> None:
        """Note that something could not be read here; after the end, only if more comes."""
        self._is_done = is_done
        if is_done:
            return
        for text, scanner in ((self.content, self.content_scanner), (self.reasoning, self.reasoning_scanner)):
            if text.num_chars:
                text.add_break()
                scanner.feed(BREAK)

    def _break_after_done(self) -> None:
        if self._is_done:
            self.add_break(is_done=False)

    @property
    def num_dropped(self) -> int:
        """Characters of its texts that were not kept."""
        return self.content.num_dropped + self.reasoning.num_dropped

    def evidence(self) -> ChoiceEvidence:
        """The choice as it stands."""
        return ChoiceEvidence(
            choice_idx=self._choice_idx,
            content=str(self.content),
            marked=self.content.marked(),
            reasoning=self.reasoning.marked(),
            refusal=str(self._refusal),
            tool_calls=self._tool_calls.as_json(),
            finish_reason=self._finish_reason,
            videos=tuple(self.videos),
            last_piece=self._last_piece,
            length_at_fault=self.length_at_fault,
            is_cut_short=self.content.num_dropped > 0,
        )

    def _add_content(self, content: Json, percents: list[float]) -> Found | None:
        if isinstance(content, str):
            if content:
                self._break_after_done()
                self.content.append(content)
                self._last_piece = content
                self._watch(self.content_scanner, content, percents)
            return None
        if isinstance(content, list):
            return self._add_parts(content, percents)
        if isinstance(content, dict):
            found = find(content)
            _note(found.progress, percents)
            return found
        return None

    def _add_parts(self, parts: list[Json], percents: list[float]) -> Found | None:
        """A list of typed parts: texts are content, the rest may hold the video."""
        others: list[Json] = []
        for part in parts:
            text = part if isinstance(part, str) else as_object(part).get("text")
            if isinstance(text, str):
                self._add_content(text, percents)
            else:
                others.append(part)
        return find(others) if others else None

    def _add_reasoning(self, reasoning: Json, percents: list[float]) -> None:
        if isinstance(reasoning, str):
            if reasoning:
                self._break_after_done()
                self.reasoning.append(reasoning)
                self._watch(self.reasoning_scanner, reasoning, percents)
        elif isinstance(reasoning, dict | list):
            _note(find(reasoning).progress, percents)

    def _watch(self, scanner: Scanner, piece: str, percents: list[float]) -> None:
        if self._is_watched:
            _note(scanner.feed(piece), percents)


def _note(new: list[float], percents: list[float]) -> None:
    percents += [percent for percent in new if percent not in percents]
