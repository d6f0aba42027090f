"""Asking about a job: the status page of the task-id family and the `/v1/videos` shape. It costs nothing."""

from __future__ import annotations

from typing import Any

from reelsweep.tasks.sandbox.answers import respond
from reelsweep.tasks.sandbox.clip import write_token
from reelsweep.tasks.sandbox.faults import at_stage
from reelsweep.tasks.sandbox.files import send_clip
from reelsweep.tasks.sandbox.jobs import Desk, Job
from reelsweep.tasks.sandbox.replies import Reply, reply_error
from starlette.requests import Request
from starlette.responses import JSONResponse, Response


def _find(request: Request, name: str) -> Job | Reply:
    """The job, or what is answered in its place."""
    desk: Desk = request.app.state.desk
    job = desk.jobs.get(name)
    fault = None if job is None else at_stage(job.faults, "status")
    if fault is not None and fault.fault == "task_error" and fault.applies(desk.count_get(f"status {name}")):
        return reply_error(500, "Internal server error.", "server_error", None)
    if job is None or not job.is_video or (fault is not None and fault.fault == "task_404"):
        return reply_error(404, f"No task {name!r}.", "invalid_request_error", "task_not_found")
    return job


async def get_status(request: Request) -> Response:
    """The status page: `status` is running, completed or failed."""
    job = _find(request, request.path_params["task_id"])
    if isinstance(job, Reply):
        return respond(job, "status")
    document: dict[str, Any] = {
        "id": job.task_id,
        "task_id": job.task_id,
        "model": job.order.model,
        "status": _status(job, "running"),
        "progress": job.progress,
        "video_url": None,
        "error_message": job.problem if job.is_ready else None,
    }
    if document["status"] == "completed":
        origin = f"http://{request.headers.get('host', '127.0.0.1')}"
        document["video_urls"] = [f"{origin}/files/{write_token(ticket)}.mp4" for ticket in job.tickets]
        document["video_url"] = next(iter(document["video_urls"]), None)
    return JSONResponse(document)


def _status(job: Job, running: str) -> str:
    if not job.is_ready:
        return running
    return "completed" if job.ended == "completed" else "failed"


async def get_video(request: Request) -> Response:
    """The job as a video object: `status` is in_progress, completed or failed."""
    job = _find(request, request.path_params["task_id"])
    if isinstance(job, Reply):
        return respond(job, "status")
    failed = job.is_ready and job.problem is not None
    document: dict[str, Any] = {
        "id": job.task_id,
        "object": "video",
        "model": job.order.model,
        "status": _status(job, "in_progress"),
        "progress": job.progress,
        "created_at": int(job.created_at),
        "completed_at": int(job.ready_at) if _status(job, "") == "completed" else None,
        "error": {"code": f"video_{job.ended}", "message": job.problem} if failed else None,
    }
    for ticket in job.tickets[:1]:
        document["seconds"] = f"{ticket.clip.seconds:g}"
        document["size"] = f"{ticket.clip.width}x{ticket.clip.height}"
    return JSONResponse(document)


async def get_content(request: Request) -> Response:
    """The finished clip of a video object."""
    return await _send_choice(request, request.path_params["task_id"], 0)


async def get_short(request: Request) -> Response:
    """The finished clip by the job's name: `/v1/files/video?id=…&choice=…`."""
    choice = request.query_params.get("choice", "0")
    return await _send_choice(
        request, request.query_params.get("id", ""), int(choice) if choice.isdecimal() else -1
    )


async def _send_choice(request: Request, name: str, choice_idx: int) -> Response:
    desk: Desk = request.app.state.desk
    job = desk.jobs.get(name)
    if job is None or not 0 <= choice_idx < len(job.tickets):
        return respond(
            reply_error(404, "No such video.", "invalid_request_error", "video_not_found"), "content"
        )
    if _status(job, "") != "completed":
        message = job.problem or "The video is not ready yet."
        return respond(reply_error(400, message, "invalid_request_error", "video_not_ready"), "content")
    return await send_clip(request, job.tickets[choice_idx])
