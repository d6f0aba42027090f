"""Everything the sandbox can do wrong, declared once: name, what happens, what a correct client does.

Tests and documentation derive from `FAULTS`. A fault is asked for by a directive in the prompt
(`[[fault=429 times=2 retry_after=3]]`), by the script's ordered list or by its seeded rates.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

Stage = Literal["answer", "stream", "status", "download", "clip"]
"""Instead of a stream; inside the stream; when the task is asked about; when the file is fetched; in what the
clip shows."""

Ended = Literal["completed", "refused", "failed", "open"]
"""How the job behind an accepted POST ended at the gateway, whatever the client saw of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultKind:
    """One way to go wrong."""

    name: str
    stage: Stage
    meaning: str
    client: str
    """What a correct client does."""
    ends: str
    """How a correct client records it: the attempt's outcome, or the row's status if a download decides."""
    accepted: bool = True
    """Whether the gateway took the job, so that the POST is on the bill."""
    ended: Ended = "completed"
    times: int | None = None
    """How often it happens unless said otherwise; None for always."""


def _answer(name: str, meaning: str, client: str, ends: str, *, accepted: bool = False) -> FaultKind:
    return FaultKind(
        name=name,
        stage="answer",
        meaning=meaning,
        client=client,
        ends=ends,
        accepted=accepted,
        ended="completed",
    )


def _stream(name: str, meaning: str, client: str, ends: str, *, ended: Ended = "completed") -> FaultKind:
    return FaultKind(name=name, stage="stream", meaning=meaning, client=client, ends=ends, ended=ended)


def _status(name: str, meaning: str, client: str, ends: str, *, ended: Ended = "completed") -> FaultKind:
    return FaultKind(name=name, stage="status", meaning=meaning, client=client, ends=ends, ended=ended)


def _download(name: str, meaning: str, client: str, ends: str, *, times: int | None = None) -> FaultKind:
    return FaultKind(name=name, stage="download", meaning=meaning, client=client, ends=ends, times=times)


def _clip(name: str, meaning: str, check: str) -> FaultKind:
    return FaultKind(
        name=name,
        stage="clip",
        meaning=meaning,
        client=f"keeps it, paid for and whole, and rejects it: check_{check}",
        ends="success",
    )


WAIT = "closes the attempt as not billed, waits (every row, as Retry-After says), sends again"
STOP = "sends nothing more in this run"
NEVER = "closes the attempt as not billed, never sends this row again; other rows go on"
LATER = "closes the attempt as not billed, tries again after minutes"
HOLD = "holds the row as unknown and maybe billed; no second POST by itself"
RESUME = "fetches again from the last byte with Range and If-Range"
NOT_A_CLIP = "reads it as nothing but bytes, finds that it is no video, stores nothing"
REFUSED = "records the refusal and where it fell; never sends it again"

_KINDS = (
    _answer("429", "429, throttled; `retry_after=` seconds, `form=date` as an HTTP date", WAIT, "failed"),
    _answer("429_saturated", "429, upstream saturated, no Retry-After", WAIT, "failed"),
    _answer("quota", "429 whose code says that the quota is used up", STOP, "stopped"),
    _answer("quota_403", "403 with an error that says that the balance is used up", STOP, "stopped"),
    _answer("400", "400 with an error object", NEVER, "failed"),
    _answer("401", "401, the key is wrong", STOP, "stopped"),
    _answer("402", "402, payment required", STOP, "stopped"),
    _answer("403", "403 with an error object", STOP, "stopped"),
    _answer(
        "403_model", "403, this key may not use this model", "sends nothing more of this model", "stopped"
    ),
    _answer("404", "404, the model does not exist", NEVER, "failed"),
    _answer("400_in_500", "500 that wraps `400: Invalid model`", NEVER, "failed"),
    _answer("503_model", "503 with code model_not_found", NEVER, "failed"),
    _answer("refused_400", "400 with code sensitive_words_detected", REFUSED, "refused"),
    _answer("500", "500 without a known code; the job runs all the same", HOLD, "incomplete", accepted=True),
    _answer("500_known", "500 with code do_request_failed", LATER, "failed"),
    _answer("503", "503, no account is free", LATER, "failed"),
    _answer("502", "502 with an HTML page", HOLD, "incomplete"),
    _answer("504", "504 with an HTML page; the job runs all the same", HOLD, "incomplete", accepted=True),
    _answer("redirect", "307 to `to=`, or to another path of this gateway", NEVER, "failed"),
    _answer("reset", "the connection is reset before any answer", HOLD, "incomplete"),
    _answer(
        "reset_accepted", "the job is taken, then the connection is reset", HOLD, "incomplete", accepted=True
    ),
    _answer(
        "slow_headers", "the response begins only after `s=` seconds", "waits", "succeeded", accepted=True
    ),
    _answer(
        "plain", "a plain JSON answer although a stream was asked", "reads it", "succeeded", accepted=True
    ),
    _answer("html", "200 with an HTML page", HOLD, "incomplete", accepted=True),
    _answer("empty", "200 with an empty body", HOLD, "incomplete", accepted=True),
    _stream("silence", "no byte for `s=` seconds after the first event", HOLD, "incomplete"),
    _stream("cut_first", "the connection closes before the first event", HOLD, "incomplete"),
    _stream("cut", "the connection closes inside an event", HOLD, "incomplete"),
    _stream("eof", "the body ends properly in the middle", HOLD, "incomplete"),
    _stream("cut_task", "the connection closes after the task id", "asks about the task", "incomplete"),
    _stream("cut_url", "the connection closes between the URL and the end", "takes the URL", "succeeded"),
    _stream("no_done", "no [DONE] at the end", "needs none", "succeeded"),
    _stream(
        "no_finish", "neither finish_reason nor [DONE]", "takes the URL at the end of the body", "succeeded"
    ),
    _stream("glued", "[DONE] glued to the last event's JSON", "reads both", "succeeded"),
    _stream(
        "done_typo", "[DONE] ends in a literal backslash-n instead of a line break", "reads it", "succeeded"
    ),
    _stream("broken_json", "every second event is cut-off JSON", "skips and counts them", "succeeded"),
    _stream("heavy_load", "an error object in mid-stream: heavy load", HOLD, "failed", ended="failed"),
    _stream(
        "no_tokens", "an error object as the first event: no account is free", LATER, "failed", ended="failed"
    ),
    _stream("gen_timeout", "an error object: the generation timed out", HOLD, "failed", ended="failed"),
    _stream("bare_error", "an error object without `data:`, glued to [DONE]", HOLD, "failed", ended="failed"),
    _stream(
        "refused_input",
        "a refusal as text with a normal end: the prompt",
        REFUSED,
        "refused",
        ended="refused",
    ),
    _stream("refused_output", "the same: what was generated", REFUSED, "refused", ended="refused"),
    _stream("refused_likeness", "the same: likeness or copyright", REFUSED, "refused", ended="refused"),
    _stream(
        "content_filter", "finish_reason content_filter and no text", REFUSED, "refused", ended="refused"
    ),
    _stream("no_video", "friendly text, a normal end, no video", "counts it as billed and empty", "no_video"),
    _stream("ack", "only a task id is said; the clip is ready later", "asks about the task", "submitted"),
    _stream(
        "private_url",
        "the URL names a private address (`to=`)",
        "does not connect to it, says why",
        "failed_to_download",
    ),
    _status("task_failed", "the task ends as failed", "records the failure", "failed", ended="failed"),
    _status("task_slow", "the task takes `s=` seconds longer than the stream", "asks again", "succeeded"),
    _status("task_error", "the first `times=` questions are answered with 500", "asks again", "succeeded"),
    _status("task_404", "the task is not known", HOLD, "incomplete"),
    _download("video_404", "404 for the file", "gives up after a few tries", "failed_to_download"),
    _download(
        "video_expired",
        "403 once `s=` seconds have passed, or from the `gets=`th request on",
        "gives up after a few tries",
        "failed_to_download",
    ),
    _download("video_500", "500 for the first requests", "tries again", "success", times=1),
    _download("video_short", "always fewer bytes than Content-Length", RESUME, "failed_to_download"),
    _download("video_cut", "cut in the middle once; Range works", RESUME, "success", times=1),
    _download(
        "video_no_range", "cut once; Range is ignored, 200 comes back", "starts over", "success", times=1
    ),
    _download(
        "video_changed",
        "cut once, then another ETag",
        "starts over, since If-Range says so",
        "success",
        times=1,
    ),
    _download(
        "video_bad_range",
        "cut once, then 206 with the wrong Content-Range",
        "sees it and starts over",
        "success",
        times=2,
    ),
    _download("video_slow", "the file takes `s=` seconds", "waits", "success"),
    _download(
        "video_corrupt",
        "bytes flipped in the picture data",
        "finds that it does not decode",
        "invalid_output",
    ),
    _download(
        "video_truncated",
        "the file ends inside a box, the length agrees",
        "finds the box that leaves the file",
        "invalid_output",
    ),
    _download(
        "video_no_moov", "the file has no index (moov)", "finds that it does not open", "invalid_output"
    ),
    _download("video_empty", "200 with no bytes", "gives up after a few tries", "failed_to_download"),
    _download("video_html", "an HTML page under the video's name", NOT_A_CLIP, "invalid_output"),
    _download("video_ffconcat", "an ffconcat script under the video's name", NOT_A_CLIP, "invalid_output"),
    _download("video_sdp", "a session description under the video's name", NOT_A_CLIP, "invalid_output"),
    _download("video_hls", "an HLS playlist under the video's name", NOT_A_CLIP, "invalid_output"),
    _download(
        "video_bomb",
        "Content-Encoding gzip, a megabyte that unpacks to a gigabyte",
        "unpacks nothing it did not ask for",
        "failed_to_download",
    ),
    _download("video_loop", "302 to itself for ever", "follows five", "failed_to_download"),
    _download(
        "video_elsewhere",
        "302 to `to=`, a link-local address",
        "does not connect to it",
        "failed_to_download",
    ),
    _clip("clip_black", "every frame is black", "black"),
    _clip("clip_frozen", "every frame is the first", "frozen"),
    _clip("clip_silent", "there is a sound track, and silence on it", "silent"),
    _clip("clip_size", "of size `to=`, or half as wide and high as asked", "size"),
    _clip("clip_short", "takes `s=` seconds, or half as long as asked", "duration"),
    _clip("clip_fps", "half as many frames a second", "fps"),
    _clip("clip_twin", "shows the same, whatever the seed", "near_duplicate"),
)

FAULTS: dict[str, FaultKind] = {kind.name: kind for kind in _KINDS}


class Fault(BaseModel):
    """One fault as it was asked for: its name and its settings."""

    model_config = ConfigDict(frozen=True, extra="forbid", coerce_numbers_to_str=True)

    fault: str
    times: int | None = Field(default=None, ge=0)
    """How often: POSTs of one body for `answer` and `stream`, requests otherwise. None: as the kind says."""
    s: float | None = Field(default=None, ge=0, le=86_400)
    """Seconds, where the meaning names them."""
    retry_after: int | None = Field(default=None, ge=0)
    form: Literal["seconds", "date"] = "seconds"
    at: float = Field(default=0.5, ge=0, le=1)
    """Where in the stream or file it happens, as a share."""
    to: str | None = None
    gets: int = Field(default=1, ge=1)
    accepted: bool | None = None
    """Overrides whether the gateway takes the job."""

    @field_validator("fault")
    @classmethod
    def _is_known(cls, name: str) -> str:
        if name not in FAULTS:
            raise ValueError(f"got {name!r}, expected one of {', '.join(FAULTS)}")
        return name

    @property
    def kind(self) -> FaultKind:
        """What the table says of it."""
        return FAULTS[self.fault]

    @property
    def is_accepted(self) -> bool:
        """Whether the gateway takes the job all the same."""
        return self.kind.accepted if self.accepted is None else self.accepted

    def applies(self, earlier: int) -> bool:
        """Whether it still happens after `earlier` occasions."""
        times = self.kind.times if self.times is None else self.times
        return times is None or earlier < times


_DIRECTIVE = re.compile(r"\[\[(fault=[^\]]*)\]\]")


def parse_directives(prompt: str) -> tuple[Fault, ...]:
    """The faults a prompt asks for; raises ValueError for a directive that is none."""
    return tuple(_parse_directive(match[1]) for match in _DIRECTIVE.finditer(prompt))


def _parse_directive(text: str) -> Fault:
    words = [word.partition("=") for word in text.split()]
    try:
        return Fault.model_validate({name: value for name, _, value in words})
    except ValidationError as error:
        place = error.errors()[0]
        raise ValueError(f"[[{text}]]: {'.'.join(map(str, place['loc']))}: {place['msg']}") from None


def at_stage(faults: Iterable[Fault], *stages: Stage) -> Fault | None:
    """The first fault of these stages."""
    return next((fault for fault in faults if fault.kind.stage in stages), None)
