"""What a JSON object says outside the text: videos, drafts, ids, where to ask, how the job stands.

Gateways put these under many names and depths; what counts is the kind of field, not the gateway.
Used by `fold` for events and by `poll` for status pages. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from reelsweep.prompts.request import Json
from reelsweep.tasks.gateway.links import cannot_be_video, tidy_url
from reelsweep.tasks.gateway.states import State, state_of
from reelsweep.tasks.gateway.values import JsonObject, as_percent, as_text

_MAX_DEPTH = 8
_MAX_NODES = 2000

_VIDEO_FIELDS = (
    "videourl",
    "video",
    "resulturl",
    "outputurl",
    "playurl",
    "mediaurl",
    "fileurl",
    "downloadurl",
    "mp4url",
    "mp4",
    "upsamplevideourl",
    "output",
    "result",
)
_URL_FIELDS = ("url", "uri", "src")
_LISTS = frozenset(
    {"output", "outputs", "videos", "results", "urls", "videourls", "resulturls", "data", "video"}
)
_TASK_FIELDS = ("taskid", "jobid", "videoid", "generationid", "predictionid")
_STATUS_URL_FIELDS = ("statusurl", "pollingurl", "pollurl", "queryurl", "fetchurl", "geturl")
_STATE_FIELDS = ("status", "state", "taskstatus", "jobstatus", "videostatus")
_PROGRESS_FIELDS = ("progress", "percent", "percentage", "progresspct", "progresspercent")
_NOT_THE_RESULT = ("thumb", "poster", "cover", "image", "preview", "gif", "frame", "reference")
_ECHO = frozenset(
    {
        "input",
        "inputs",
        "request",
        "prompt",
        "params",
        "parameters",
        "messages",
        "error",
        "usage",
        "source",
        "urls",
    }
)


@dataclass(slots=True)
class Found:
    """What was found. `videos` are the videos of one result, several where one answer holds a list."""

    videos: list[str] = field(default_factory=list[str])
    preview: str | None = None
    task_id: str | None = None
    status_url: str | None = None
    state: State | None = None
    progress: list[float] = field(default_factory=list[float])

    @property
    def is_something(self) -> bool:
        """Whether the object said anything about a job."""
        return bool(
            self.videos or self.preview or self.task_id or self.status_url or self.state or self.progress
        )


def find(value: Json) -> Found:
    """Look through an object, a list or a plain value."""
    search = _Search()
    search.found.videos = search.look(value, None, 0)
    return search.found


def is_echo(value: JsonObject) -> bool:
    """Whether an object repeats the request: a prompt, and nothing about a job or a result."""
    names = {_plain(name) for name in value}
    return bool(names & {"prompt", "messages"}) and not names & {
        *_STATE_FIELDS,
        *_TASK_FIELDS,
        "videourl",
        "results",
    }


def hides_text(value: Json, depth: int = 0) -> bool:
    """Whether something like a piece of text lies in an object that could not be understood."""
    if depth > 4:
        return False
    if isinstance(value, list):
        return any(hides_text(item, depth + 1) for item in value[:8])
    if not isinstance(value, dict):
        return False
    if isinstance(value.get("content"), str) or isinstance(value.get("reasoning_content"), str):
        return True
    return any(hides_text(item, depth + 1) for item in value.values() if isinstance(item, dict | list))


class _Search:
    def __init__(self) -> None:
        self.found = Found()
        self._nodes = 0

    def look(self, value: Json, state: State | None, depth: int) -> list[str]:
        """The videos at or below a value; a running job has none yet."""
        self._nodes += 1
        if self._nodes > _MAX_NODES or depth > _MAX_DEPTH:
            return []
        if isinstance(value, dict):
            return self._object(value, state, depth)
        if isinstance(value, list):
            return [url for item in value for url in self._item(item, state, depth)]
        return []

    def _item(self, item: Json, state: State | None, depth: int) -> list[str]:
        if isinstance(item, str):
            return _video(item) if state != "running" else []
        return self.look(item, state, depth + 1)[:1]

    def _object(self, value: JsonObject, state: State | None, depth: int) -> list[str]:
        fields = {_plain(name): item for name, item in value.items()}
        state = _state(fields) or state
        self.found.state = self.found.state or state
        self._ids(fields)
        for name in _PROGRESS_FIELDS:
            percent = as_percent(fields.get(name))
            if percent is not None and percent not in self.found.progress:
                self.found.progress.append(percent)
        own = self._own_video(fields, state)
        below = [
            self._below(name, item, state, depth) for name, item in fields.items() if _may_hold(name, item)
        ]
        return own or next((videos for videos in below if videos), list[str]())

    def _below(self, name: str, item: Json, state: State | None, depth: int) -> list[str]:
        if isinstance(item, list) and name not in _LISTS:
            item = [entry for entry in item if isinstance(entry, dict)]
        return self.look(item, state, depth + 1)

    def _own_video(self, fields: dict[str, Json], state: State | None) -> list[str]:
        if state == "running" or not _is_video_kind(fields):
            return []
        names = (*_VIDEO_FIELDS, *_URL_FIELDS)
        urls = next((urls for name in names if (urls := _video(as_text(fields.get(name))))), list[str]())
        if urls and fields.get("watermarkfree") is False:
            self.found.preview = urls[0]
            return []
        return urls

    def _ids(self, fields: dict[str, Json]) -> None:
        names: list[str] = [*_TASK_FIELDS]
        if "choices" not in fields and _is_about_a_job(fields):
            names.append("id")
        for name in names:
            task_id = as_text(fields.get(name)).strip()
            if task_id and len(task_id) <= 200 and not self.found.task_id:
                self.found.task_id = task_id
        urls = fields.get("urls")
        nested = urls.get("get") if isinstance(urls, dict) else None
        for url in (nested, *(fields.get(name) for name in _STATUS_URL_FIELDS)):
            self.found.status_url = self.found.status_url or tidy_url(as_text(url))


def _is_about_a_job(fields: dict[str, Json]) -> bool:
    """Whether an object's `id` is a job's: it has a state, is a video, or is nothing but an id."""
    return bool(_state(fields)) or "video" in as_text(fields.get("object")) or fields.keys() == {"id"}


def _plain(name: str) -> str:
    return name.replace("_", "").replace("-", "").lower()


def _state(fields: dict[str, Json]) -> State | None:
    return next((state for name in _STATE_FIELDS if (state := state_of(as_text(fields.get(name))))), None)


def _may_hold(name: str, item: Json) -> bool:
    """Whether a field can hold a result: not the request's echo, not a picture of it."""
    if not isinstance(item, dict | list) or name in _ECHO:
        return False
    return not any(word in name for word in _NOT_THE_RESULT)


def _is_video_kind(fields: dict[str, Json]) -> bool:
    kind = (as_text(fields.get("type")) or as_text(fields.get("mimetype"))).lower()
    return not kind.startswith(("image", "text", "thumb", "audio", "poster"))


def _video(text: str) -> list[str]:
    url = tidy_url(text) if text.startswith(("http://", "https://", "/", "\\/")) else None
    return [url] if url and not cannot_be_video(url) else []
