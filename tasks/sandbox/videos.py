"""The jobs of video models: which clips, which story, how long, what goes wrong."""

from __future__ import annotations

import time
from functools import partial

from reelsweep.tasks.sandbox.arrivals import (
    REFUSED_AT,
    Arrival,
    add_usage,
    choose_seed,
    draw_duration_s,
    explain_end,
    write_fingerprint,
    write_order,
)
from reelsweep.tasks.sandbox.clip import Ticket, describe_clip, write_token
from reelsweep.tasks.sandbox.dialects import Story, tell, write_task_id
from reelsweep.tasks.sandbox.faults import Fault, at_stage
from reelsweep.tasks.sandbox.jobs import Job, draw_name
from reelsweep.tasks.sandbox.script import Dialect, Script, choose_dialect
from reelsweep.tasks.sandbox.spoil import spoil
from reelsweep.tasks.sandbox.text import count_tokens

_GOLDEN = 0x9E3779B97F4A7C15
_PRIVATE_URL = "http://10.255.255.1/clip.mp4"


def take_video(arrival: Arrival, script: Script) -> Job:
    """The job for a request to a video model."""
    request, name, now = arrival.request, draw_name(), time.time()
    fault, asked = at_stage(arrival.faults, "stream"), at_stage(arrival.faults, "status")
    dialect = _dialect(script, request.model, fault, asked)
    failing = asked if asked is not None and asked.kind.ended != "completed" else fault
    duration_s = draw_duration_s(arrival, script)
    slow_s = (asked.s or 0.0) if asked is not None and asked.fault == "task_slow" else 0.0
    tickets = _tickets(arrival, script, name, now + duration_s)
    story = _story(arrival, script, name, dialect, tickets, now)
    return Job(
        name=name,
        request_id=arrival.request_id,
        completion_id=story.completion_id,
        task_id=story.task_id,
        order=write_order(arrival, script.price_musd * request.choices),
        created_at=now,
        ready_at=now + duration_s + slow_s,
        duration_s=0.0 if dialect in ("ack", "videos") else duration_s,
        ended="completed" if failing is None else failing.kind.ended,
        is_video=True,
        tickets=() if story.says_nothing else tickets,
        faults=arrival.faults,
        problem=explain_end(failing),
        tell=add_usage(request, partial(tell, dialect, story), story.usage_chunk(story.usage)),
    )


def _dialect(script: Script, model: str, fault: Fault | None, asked: Fault | None) -> Dialect:
    """The model's dialect, unless a fault needs one that names a task, or one that says nothing else."""
    dialect = choose_dialect(script, model)
    if dialect in ("ack", "videos"):
        return dialect
    if fault is not None and fault.fault == "cut_task":
        return "task"
    return "ack" if asked is not None or (fault is not None and fault.fault == "ack") else dialect


def _tickets(arrival: Arrival, script: Script, name: str, made_at: float) -> tuple[Ticket, ...]:
    """A ticket per choice; choice 0 has the seed itself, the others seeds derived from it."""
    request, fault = arrival.request, at_stage(arrival.faults, "download")
    seed, spoiling = choose_seed(request, script), at_stage(arrival.faults, "clip")
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
    sounding = (clip.model_copy(update={"sound": "tone"}) if request.audio else clip for clip in clips)
    return tuple(
        Ticket(job=name, made_at=round(made_at, 3), clip=spoil(clip, spoiling), fault=fault)
        for clip in sounding
    )


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
        fingerprint=write_fingerprint(script, arrival.epoch),
        seed=request.seed if script.seed == "echoed" else None,
        urls=tuple(paths),
        relative_urls=tuple(short_path(name, idx) for idx in range(len(tickets))),
        poster_url=f"{origin}/files/{name}.webp",
        status_url=f"{origin}/status/{task_id}",
        events=script.events,
        prompt_tokens=count_tokens(request.prompt),
        refusal=REFUSED_AT.get(kind),
        says_nothing=kind == "no_video",
        finish_reason="content_filter" if kind == "content_filter" else None,
    )


def short_path(name: str, choice_idx: int) -> str:
    """The relative address of a job's clip."""
    more = f"&choice={choice_idx}" if choice_idx else ""
    return f"/v1/files/video?id={name}{more}"
