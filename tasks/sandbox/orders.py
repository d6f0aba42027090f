"""From a checked request to a job: which clips, which words, which faults, how long, at what price."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass
from functools import partial

from reelsweep.tasks.sandbox import SANDBOX_VERSION
from reelsweep.tasks.sandbox.clip import Ticket, describe_clip, write_token
from reelsweep.tasks.sandbox.dialects import Beat, Envelope, RefusedAt, Story, tell, write_task_id
from reelsweep.tasks.sandbox.faults import Fault, at_stage
from reelsweep.tasks.sandbox.jobs import Job, Order, draw_name
from reelsweep.tasks.sandbox.parameters import ChatRequest
from reelsweep.tasks.sandbox.script import Dialect, Script, choose_dialect, draw_share
from reelsweep.tasks.sandbox.speech import speak
from reelsweep.tasks.sandbox.streams import error_of
from reelsweep.tasks.sandbox.text import answer_text, count_tokens

_GOLDEN = 0x9E3779B97F4A7C15
_PRIVATE_URL = "http://10.255.255.1/clip.mp4"


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """A request that is going to be answered."""

    request: ChatRequest
    body_sha256: str
    request_sha256: str
    idempotency_key: str | None
    request_id: str
    origin: str
    """`http://host:port` as the client wrote it."""
    faults: tuple[Fault, ...]
    epoch: int
    """Drifts of the model so far."""


def is_text_model(model: str) -> bool:
    """Whether a model answers with words."""
    return "text" in model or "gpt" in model


def take_order(arrival: Arrival, script: Script) -> Job:
    """The job for a request; raises RefusedRequestError for a text request that makes no sense."""
    if is_text_model(arrival.request.model):
        return _take_text(arrival, script)
    return _take_video(arrival, script)


def _order(arrival: Arrival, price_musd: int) -> Order:
    return Order(
        model=arrival.request.model,
        seed=arrival.request.seed,
        n=arrival.request.choices,
        price_musd=price_musd,
        body_sha256=arrival.body_sha256,
        request_sha256=arrival.request_sha256,
        idempotency_key=arrival.idempotency_key,
    )


def _used_seed(request: ChatRequest, script: Script) -> int:
    """The seed that is really used: a new one where none is given or heeded."""
    if request.seed is None or script.seed != "honoured":
        return secrets.randbits(31)
    return request.seed


def _fingerprint(script: Script, epoch: int) -> str | None:
    match script.fingerprint:
        case "absent":
            return None
        case "fixed":
            return f"fp_sandbox_{SANDBOX_VERSION}"
        case "drifting":
            return f"fp_sandbox_{SANDBOX_VERSION}_{epoch}"


def _duration_s(arrival: Arrival, script: Script) -> float:
    lot = draw_share("jitter", script.fault_seed, arrival.body_sha256)
    return script.duration_s * (1 + script.jitter * (2 * lot - 1))


def _take_text(arrival: Arrival, script: Script) -> Job:
    request, name, now = arrival.request, draw_name(), time.time()
    seed = _used_seed(request, script)
    envelope = Envelope(
        completion_id=f"chatcmpl-{name}",
        created=int(now),
        model=request.model,
        fingerprint=_fingerprint(script, arrival.epoch),
        seed=request.seed if script.seed == "echoed" else None,
    )
    answers = answer_text(request, seed)
    duration_s = _duration_s(arrival, script)
    return Job(
        name=name,
        request_id=arrival.request_id,
        completion_id=envelope.completion_id,
        task_id=f"task_{name}",
        order=_order(arrival, 0),
        created_at=now,
        ready_at=now + duration_s,
        duration_s=duration_s,
        ended="completed",
        tickets=(),
        faults=arrival.faults,
        problem=None,
        tell=partial(speak, envelope, answers, count_tokens(request.prompt)),
    )


def _take_video(arrival: Arrival, script: Script) -> Job:
    request, name, now = arrival.request, draw_name(), time.time()
    fault = at_stage(arrival.faults, "stream", "status")
    dialect = _dialect(script, request.model, fault)
    duration_s = _duration_s(arrival, script)
    slow_s = (fault.s or 0.0) if fault is not None and fault.fault == "task_slow" else 0.0
    tickets = _tickets(arrival, script, name, now + duration_s)
    story = _story(arrival, script, name, dialect, tickets, now)
    return Job(
        name=name,
        request_id=arrival.request_id,
        completion_id=story.completion_id,
        task_id=story.task_id,
        order=_order(arrival, script.price_musd * request.choices),
        created_at=now,
        ready_at=now + duration_s + slow_s,
        duration_s=0.0 if dialect in ("ack", "videos") else duration_s,
        ended="completed" if fault is None else fault.kind.ended,
        tickets=tickets,
        faults=arrival.faults,
        problem=_problem(fault),
        tell=partial(
            _tell, dialect, story, bool(request.stream_options and request.stream_options.include_usage)
        ),
    )


def _dialect(script: Script, model: str, fault: Fault | None) -> Dialect:
    """The model's dialect, unless the fault needs one that names a task."""
    dialect = choose_dialect(script, model)
    if fault is None or dialect in ("task", "ack", "videos"):
        return dialect
    if fault.fault == "cut_task":
        return "task"
    return "ack" if fault.fault == "ack" or fault.kind.stage == "status" else dialect


def _problem(fault: Fault | None) -> str | None:
    if fault is None or fault.kind.ended == "completed":
        return None
    if fault.kind.ended == "refused":
        return f"The request was blocked: content policy violation ({fault.fault})."
    return str(error_of(fault)["error"]["message"])


def _tickets(arrival: Arrival, script: Script, name: str, made_at: float) -> tuple[Ticket, ...]:
    """A ticket per choice; choice 0 has the seed itself, the others seeds derived from it."""
    request, fault = arrival.request, at_stage(arrival.faults, "download")
    seed = _used_seed(request, script)
    clips = (
        describe_clip(
            request.model,
            request.prompt,
            (seed + idx * _GOLDEN) % 2**63 if idx else seed,
            request.size or script.size,
            float(request.seconds or script.seconds),
            title=request.title,
            epoch=arrival.epoch if script.drift_changes_clips else 0,
            variants=script.clip_variants,
            min_bytes=script.clip_bytes,
        )
        for idx in range(request.choices)
    )
    return tuple(Ticket(job=name, made_at=round(made_at, 3), clip=clip, fault=fault) for clip in clips)


def _story(
    arrival: Arrival, script: Script, name: str, dialect: Dialect, tickets: tuple[Ticket, ...], now: float
) -> Story:
    request, origin, fault = arrival.request, arrival.origin, at_stage(arrival.faults, "stream")
    kind = fault.fault if fault is not None else ""
    paths = [f"{origin}/files/{write_token(ticket)}.mp4" for ticket in tickets]
    if fault is not None and kind == "private_url":
        paths = [fault.to or _PRIVATE_URL for _ in tickets]
    task_id = write_task_id(dialect, name)
    return Story(
        completion_id=f"foaicmpl-{name}" if dialect == "quoted" else f"chatcmpl-{name}",
        task_id=task_id,
        created=0 if dialect == "quoted" else int(now),
        model=request.model,
        prompt=request.title,
        fingerprint=_fingerprint(script, arrival.epoch),
        seed=request.seed if script.seed == "echoed" else None,
        urls=tuple(paths),
        relative_urls=tuple(short_path(name, idx) for idx in range(len(tickets))),
        poster_url=f"{origin}/files/{name}.webp",
        status_url=f"{origin}/status/{task_id}",
        events=script.events,
        prompt_tokens=count_tokens(request.prompt),
        refusal=_REFUSED_AT.get(kind),
        says_nothing=kind == "no_video",
        finish_reason="content_filter" if kind == "content_filter" else None,
    )


_REFUSED_AT: dict[str, RefusedAt] = {
    "refused_input": "input",
    "refused_output": "output",
    "refused_likeness": "likeness",
}


def short_path(name: str, choice_idx: int) -> str:
    """The relative address of a job's clip."""
    more = f"&choice={choice_idx}" if choice_idx else ""
    return f"/v1/files/video?id={name}{more}"


def _tell(dialect: Dialect, story: Story, include_usage: bool) -> tuple[Beat, ...]:
    beats = tell(dialect, story)
    return (*beats, Beat(1, "end", story.usage_chunk(story.usage))) if include_usage else beats
