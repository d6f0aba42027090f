"""How video models speak: the same story, told in the ways that gateways have.

standard   progress and result in `content`, the video as a markdown link
reasoning  progress in `reasoning_content`, the video in a `<video>` tag inside a fence, `STOP` in capitals
quoted     an echo of the prompt, quoted progress, a markdown link with a label; no ids
task       a task id and a status URL first, dotted progress, a poster, then the link
ack        a task id and nothing more: no finish_reason, the clip has to be asked for
chars      one character per event, the video as a relative address
videos     one JSON object with the id of a video job, to be asked for at `/v1/videos/{id}`
keepalive  comments while it works, then everything in one event

Pure: a story in, beats out; `wire` turns beats into bytes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, assert_never

from reelsweep.tasks.sandbox.script import Dialect

Mark = Literal["start", "task", "progress", "closing", "end"]
RefusedAt = Literal["input", "output", "likeness"]
Delta = dict[str, Any]
Chunk = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """What every event of one answer has in common."""

    completion_id: str
    created: int
    model: str
    fingerprint: str | None
    seed: int | None
    """Said back when the gateway echoes it."""

    def chunk(self, delta: Delta, finish: str | None = None, idx: int = 0, **more: object) -> Chunk:
        """One event that adds `delta` to choice `idx`."""
        return self._head() | {"choices": [{"index": idx, "delta": delta, "finish_reason": finish}]} | more

    def usage_chunk(self, usage: Mapping[str, int]) -> Chunk:
        """The event without choices that only says the usage."""
        return self._head() | {"choices": [], "usage": usage}

    def _head(self) -> Chunk:
        head: Chunk = {
            "id": self.completion_id,
            "object": "chat.completion.chunk",
            "created": self.created,
            "model": self.model,
        }
        if self.fingerprint is not None:
            head["system_fingerprint"] = self.fingerprint
        return head if self.seed is None else head | {"seed": self.seed}


@dataclass(frozen=True, slots=True, kw_only=True)
class Story(Envelope):
    """What there is to tell of one video job."""

    task_id: str
    prompt: str
    urls: tuple[str, ...]
    """One per choice; absolute but for `relative_urls`."""
    relative_urls: tuple[str, ...]
    poster_url: str
    status_url: str
    events: int
    prompt_tokens: int
    refusal: RefusedAt | None = None
    says_nothing: bool = False
    """A normal end without a video."""
    finish_reason: str | None = None
    """Instead of the dialect's own."""

    @property
    def usage(self) -> dict[str, int]:
        """Words of the prompt, and one token for each video."""
        return count_usage(self.prompt_tokens, len(self.urls))


@dataclass(frozen=True, slots=True)
class Beat:
    """One event: when, as a share of the stream's duration, and what; a text is a comment."""

    at: float
    mark: Mark
    chunk: Chunk | str


def tell(dialect: Dialect, story: Story) -> tuple[Beat, ...]:
    """The events of a stream, in order."""
    return tuple(_TELLERS[dialect](story))


def _says(story: Story, text: str) -> Chunk:
    return story.chunk({"content": text})


def _shares(story: Story) -> Iterator[tuple[float, float]]:
    """When each progress event is due, and the percentage it says."""
    for idx in range(1, story.events + 1):
        at = idx / (story.events + 1)
        yield at, round(at * 100, 1)


def count_usage(prompt_tokens: int, completion_tokens: int) -> dict[str, int]:
    """The usage object."""
    total = prompt_tokens + completion_tokens
    return {"prompt_tokens": prompt_tokens, "completion_tokens": completion_tokens, "total_tokens": total}


def _closings(story: Story, write: Callable[[str], str], *, chinese: bool = False) -> list[str]:
    """What each choice says in the end: its video, as the dialect writes it, or why there is none."""
    if story.finish_reason == "content_filter":
        return ["" for _ in story.urls]
    if story.refusal is not None:
        return [(_REFUSALS_ZH if chinese else REFUSALS)[story.refusal] for _ in story.urls]
    if story.says_nothing:
        return [f"Your video was generated with the prompt: {story.prompt[:80]!r}." for _ in story.urls]
    return [write(url) for url in story.urls]


REFUSALS = {
    "input": "❌ Generation failed: the prompt was blocked, content policy violation (input_moderation).",
    "output": "❌ Generation failed: the generated video was blocked (output_moderation).",
    "likeness": "❌ Generation failed: this may violate our guardrails on similarity to third-party content.",
}
_REFUSALS_ZH = {
    "input": "> 生成失败 ❌\n> 失败原因：input_moderation\n",
    "output": "> 生成失败 ❌\n> 失败原因：output_moderation\n",
    "likeness": "> 生成失败 ❌\n> 失败原因：内容与第三方版权或肖像相似 (third-party likeness)\n",
}


def _standard(story: Story) -> Iterator[Beat]:
    yield Beat(0, "start", story.chunk({"role": "assistant", "content": ""}))
    for at, percent in _shares(story):
        yield Beat(at, "progress", _says(story, f"Progress: {percent}%\n"))
    closings = _closings(story, lambda url: f"\n[video]({url})\n")
    for idx, text in enumerate(closings):
        yield Beat(1, "closing", story.chunk({"content": text}, idx=idx))
    yield from _ends(story, "stop")


def _ends(story: Story, finish: str) -> Iterator[Beat]:
    """One end per choice, the usage on the last."""
    finish, last = story.finish_reason or finish, len(story.urls) - 1
    for idx in range(last):
        yield Beat(1, "end", story.chunk({}, finish, idx))
    yield Beat(1, "end", story.chunk({}, finish, last, usage=story.usage))


def _reasoning(story: Story) -> Iterator[Beat]:
    def think(text: str, **more: str) -> Chunk:
        return story.chunk({**more, "content": None, "reasoning_content": text}, usage={"prompt_tokens": 0})

    yield Beat(
        0, "start", think("**Generation starts**\n\nThe request is being prepared...\n", role="assistant")
    )
    for at, percent in _shares(story):
        yield Beat(at, "progress", think(f"\n**Video Generation Progress**: {percent}% (running)\n"))
    for idx, text in enumerate(_closings(story, _video_tag)):
        chunk = story.chunk({"content": text}, story.finish_reason or "STOP", idx, usage=story.usage)
        yield Beat(1, "closing", chunk)


def _video_tag(url: str) -> str:
    return f"```html\n<video src='{url}' controls></video>\n```"


def _echo(story: Story) -> str:
    echo = json.dumps({"prompt": story.prompt[:400], "mode": "landscape"}, ensure_ascii=False, indent=2)
    return f"```json\n{echo}\n```\n\n"


def _quoted(story: Story) -> Iterator[Beat]:
    yield Beat(0, "start", story.chunk({"role": "assistant"}))
    yield Beat(0, "start", _says(story, _echo(story)))
    yield Beat(0, "start", _says(story, "> ⌛️ 任务正在队列中，请耐心等待...\n\n"))
    for at, percent in _shares(story):
        yield Beat(at, "progress", _says(story, f"> 🏃 进度：{percent}%\n\n"))
    closings = _closings(
        story, lambda url: f"> ✅ 视频生成成功，[点击这里]({url}) 查看视频~~~\n\n", chinese=True
    )
    for idx, text in enumerate(closings):
        yield Beat(1, "closing", story.chunk({"content": text}, idx=idx))
    yield from _ends(story, "stop")


def _task(story: Story) -> Iterator[Beat]:
    yield Beat(0, "start", story.chunk({"role": "assistant", "content": ""}))
    yield Beat(0, "start", _says(story, _echo(story)))
    yield Beat(
        0, "task", _says(story, f"> ID: `{story.task_id}`\n> [原始数据]({story.status_url})\n> 排队中.")
    )
    yield Beat(0, "progress", _says(story, ".\n\n> 生成中.\n\n>🏃 进度 "))
    for at, percent in _shares(story):
        yield Beat(at, "progress", _says(story, f"{percent:.0f}.."))
    poster = f"![{story.poster_url}]({story.poster_url})"
    closings = _closings(story, lambda url: f"> 生成完成 ✅\n\n{poster}\n[在线播放▶️]({url})", chinese=True)
    for idx, text in enumerate(closings):
        yield Beat(1, "closing", story.chunk({"content": f"\n\n{text}"}, idx=idx))
    yield from _ends(story, "stop")


def _ack(story: Story) -> Iterator[Beat]:
    text = (
        "I'll help you make this video.\n\n"
        f"**Task ID: `{story.task_id}`**\n\n"
        "The task has been submitted. Ask for it with the task ID above.\n\n"
        "**Estimated completion time**: 1-5 minutes\n"
    )
    yield Beat(0, "task", story.chunk({"content": text}, usage=None))


def _chars(story: Story) -> Iterator[Beat]:
    def spell(at: float, mark: Mark, text: str, idx: int = 0) -> Iterator[Beat]:
        for letter in text:
            delta = {"content": letter, "role": None, "tool_calls": None, "reasoning_content": ""}
            yield Beat(at, mark, story.chunk(delta, idx=idx))

    for at, percent in _shares(story):
        yield from spell(at, "progress", f"> Video {percent:.0f}%\n")
    urls = iter(story.relative_urls)
    for idx, text in enumerate(_closings(story, lambda _: f"\n{next(urls)}\n")):
        yield from spell(1, "closing", text, idx)
    yield from _ends(story, "stop")


def _videos(story: Story) -> Iterator[Beat]:
    document = {
        "id": story.task_id,
        "object": "video",
        "task_id": story.task_id,
        "status": "queued",
        "progress": 0,
    }
    yield Beat(0, "task", story.chunk({"role": "assistant", "content": json.dumps(document)}))
    yield Beat(0, "end", story.chunk({}, "stop"))


def _keepalive(story: Story) -> Iterator[Beat]:
    for at, _ in _shares(story):
        yield Beat(at, "progress", "keep-alive")
    closings = _closings(
        story, lambda url: f'\n<video controls="controls">\n{url}\n</video>\n\n[Download Video]({url})\n'
    )
    for idx, text in enumerate(closings):
        chunk = story.chunk({"role": "assistant", "content": text}, idx=idx)
        yield Beat(1, "closing", chunk | {"created": story.created * 1000})
    yield from _ends(story, "stop")


_TELLERS: dict[Dialect, Callable[[Story], Iterator[Beat]]] = {
    "standard": _standard,
    "reasoning": _reasoning,
    "quoted": _quoted,
    "task": _task,
    "ack": _ack,
    "chars": _chars,
    "videos": _videos,
    "keepalive": _keepalive,
}


def write_task_id(dialect: Dialect, name: str) -> str:
    """A task id as the dialect writes it; `name` is 32 hex digits."""
    match dialect:
        case "videos":
            return f"video_{name}"
        case "ack":
            return f"sandbox:{name[:8]}-{name[8:12]}-{name[12:16]}-{name[16:20]}-{name[20:]}"
        case "standard" | "reasoning" | "quoted" | "task" | "chars" | "keepalive":
            return f"task_{name}"
        case _:
            assert_never(dialect)
