"""The answer's text without what is not the answer: the echoed request and the thinking.

What is left keeps its place: removed parts become spaces, so that positions stay comparable.
Used by `judge` at the end of a body. Pure.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from itertools import islice

from reelsweep.prompts.request import Json
from reelsweep.tasks.gateway.structure import Found, find, is_echo
from reelsweep.tasks.gateway.values import JsonObject, parse_json, parse_json_at

_MAX_OBJECTS = 64
_ANSWER_FIELDS = frozenset(
    {
        "url",
        "video_url",
        "status",
        "task_id",
        "type",
        "results",
        "error",
        "videoUrl",
        "taskId",
        "output",
        "state",
    }
)

_THINK = re.compile(r"<think(?:ing)?>(.*?)(?:</think(?:ing)?>|\Z)", re.DOTALL | re.IGNORECASE)
_THINK_TAG = re.compile(r"<(/?)think(?:ing)?>", re.IGNORECASE)
_FENCE = re.compile(r"```[ \t]*([A-Za-z]*)[^\S\n]*\n?(.*?)(?:```|\Z)", re.DOTALL)
_BRACE = re.compile(r"(?:^|(?<=[\s>]))\{", re.MULTILINE)
_PROMPT_LINE = re.compile(
    r"^[\s>*#\-]{0,12}(?:(?:input |original )?prompt|提示词|描述|参考图片?)[*_`]{0,3}\s{0,2}[:：][^\n]*",
    re.MULTILINE | re.IGNORECASE,
)


@dataclass(slots=True)
class Answer:
    """The cleaned text, the thinking, and the JSON objects that were answers, with their places."""

    text: str
    thinking: str = ""
    whole: JsonObject | None = None
    """The object that is the entire content."""
    objects: list[tuple[int, Found]] = field(default_factory=list[tuple[int, Found]])


def clean(content: str) -> Answer:
    """Take the echo and the thinking out of a content."""
    whole = _whole_object(content)
    if whole is not None:
        return Answer(text=" " * len(content), whole=whole, objects=[(0, find(whole))])
    text, thinking = _without_thinking(content)
    answer = Answer(text=text, thinking=thinking)
    _take_fences(answer)
    _take_objects(answer)
    answer.text = _PROMPT_LINE.sub(_spaces, answer.text)
    return answer


def _without_thinking(content: str) -> tuple[str, str]:
    """The text with the thinking blanked, and the thinking; its opening tag may be missing."""
    first = _THINK_TAG.search(content)
    if first is None:
        return content, ""
    if first[1]:
        content = f"<think>{content[7 : first.start()].rjust(first.start() - 7)}{content[first.start() :]}"
    thinking = "\n".join(match[1] for match in _THINK.finditer(content))
    return _THINK.sub(_spaces, content), thinking


def _whole_object(content: str) -> JsonObject | None:
    """The JSON object that is the whole content, bare or in one fence, when it is an answer."""
    stripped = content.strip()
    fence = _FENCE.fullmatch(stripped)
    body = fence[2].strip() if fence else stripped
    if not body.startswith("{"):
        return None
    value = parse_json(body)
    if not isinstance(value, dict) or is_echo(value) or not value.keys() & _ANSWER_FIELDS:
        return None
    return value


def _take_fences(answer: Answer) -> None:
    """Blank every fence that holds JSON; where it is an answer, note what it says."""

    def take(match: re.Match[str]) -> str:
        body = match[2].lstrip()
        if match[1].lower() != "json" and not body.startswith("{"):
            return match[0]
        found = parse_json_at(body, 0) if body else None
        if found is None:
            return _spaces(match)
        _note(answer, match.start(), found[0])
        is_closed = match.end(2) < match.end()
        rest = "" if is_closed else body[found[1] :]
        return " " * (len(match[0]) - len(rest)) + rest

    answer.text = _FENCE.sub(take, answer.text)


def _take_objects(answer: Answer) -> None:
    """Blank the JSON objects that stand in the text without a fence."""
    parts: list[str] = []
    position = 0
    for match in islice(_BRACE.finditer(answer.text), _MAX_OBJECTS):
        start = match.end() - 1
        found = parse_json_at(answer.text, start) if start >= position else None
        if found is not None and found[0]:
            _note(answer, start, found[0])
            parts += [answer.text[position:start], " " * (found[1] - start)]
            position = found[1]
    answer.text = "".join([*parts, answer.text[position:]])


def _note(answer: Answer, start: int, value: Json) -> None:
    """Keep what an object says about a result, unless it is the request again."""
    if not isinstance(value, dict) or is_echo(value):
        return
    if "video_url" in value or len(value.keys() & _ANSWER_FIELDS) > 1:
        answer.objects.append((start, find(value)))


def _spaces(match: re.Match[str]) -> str:
    return " " * len(match[0])
