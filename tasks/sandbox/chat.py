"""`POST /v1/chat/completions`: check, decide what goes wrong, take the job, answer."""

from __future__ import annotations

import hashlib
import time

import orjson
from reelsweep.tasks.sandbox.answers import Reset, SentSteps, respond
from reelsweep.tasks.sandbox.arrivals import Arrival
from reelsweep.tasks.sandbox.faults import Fault, at_stage
from reelsweep.tasks.sandbox.jobs import Desk, Job, draw_name
from reelsweep.tasks.sandbox.parameters import ChatRequest
from reelsweep.tasks.sandbox.protocol import wire_of
from reelsweep.tasks.sandbox.replies import Reply, reply_error, reply_fault
from reelsweep.tasks.sandbox.request import RefusedRequestError, parse_request
from reelsweep.tasks.sandbox.script import DIALECTS, Script, choose_faults
from reelsweep.tasks.sandbox.speech import is_text_model, take_text
from reelsweep.tasks.sandbox.streams import write_stream
from reelsweep.tasks.sandbox.videos import take_video
from reelsweep.tasks.sandbox.wire import Step, Transmission, add_comments, fold_completion
from starlette.requests import Request
from starlette.responses import Response

MAX_BODY_BYTES = 128_000_000
EVENT_STREAM = {"content-type": "text/event-stream; charset=utf-8", "cache-control": "no-cache"}


async def post_chat(request: Request) -> Response:
    """Answer one chat completion; raises RefusedRequestError."""
    desk: Desk = request.app.state.desk
    request_id = f"req_{draw_name()}"
    body = await _read_body(request)
    asked, request_sha256 = parse_request(body)
    _check_model(asked.model, desk.script)
    body_sha256 = hashlib.sha256(body).hexdigest()
    earlier, nth = desk.count_arrival(body_sha256)
    key = request.headers.get("idempotency-key")
    known = desk.find_replay(key)
    if known is not None:
        return _replay(known, asked, body_sha256, request_id)
    faults = _faults(desk.script, asked, body_sha256, earlier, nth)
    arrival = Arrival(
        request=asked,
        body_sha256=body_sha256,
        request_sha256=request_sha256,
        idempotency_key=key,
        request_id=request_id,
        origin=f"http://{request.headers.get('host', '127.0.0.1')}",
        faults=faults,
        epoch=desk.accepted // desk.script.drift_every,
    )
    return await _answer(request, desk, arrival)


async def _read_body(request: Request) -> bytes:
    """The whole body; a larger one is read to its end all the same, else the client would see a reset."""
    body = bytearray()
    async for piece in request.stream():
        if len(body) <= MAX_BODY_BYTES:
            body += piece
    if len(body) > MAX_BODY_BYTES:
        raise RefusedRequestError(f"The request is larger than {MAX_BODY_BYTES} bytes.", status=413)
    return bytes(body)


def _check_model(model: str, script: Script) -> None:
    stems = {model.removesuffix(f"-{dialect}") for dialect in DIALECTS}
    if script.unknown_models == "refuse" and stems.isdisjoint(script.models):
        message = f"The model '{model}' does not exist or you do not have access to it."
        raise RefusedRequestError(message, "model", "model_not_found", 404)


def _faults(
    script: Script, asked: ChatRequest, body_sha256: str, earlier: int, nth: int
) -> tuple[Fault, ...]:
    try:
        return choose_faults(
            script, prompt=asked.title, body_sha256=body_sha256, earlier=earlier, arrival=nth
        )
    except ValueError as error:
        raise RefusedRequestError(str(error), "messages") from None


def _replay(job: Job, asked: ChatRequest, body_sha256: str, request_id: str) -> Response:
    """The answer to a key that is known: the first job's, at once and undamaged."""
    if job.order.body_sha256 != body_sha256:
        message = "This Idempotency-Key was used with another body."
        return respond(reply_error(422, message, "idempotency_error", "idempotency_key_reused"), request_id)
    if not job.is_ready:
        message = "The request with this Idempotency-Key is still running."
        return respond(reply_error(409, message, "idempotency_error", "idempotency_key_in_use"), request_id)
    stream_fault = at_stage(job.faults, "stream")
    fault = stream_fault if stream_fault is not None and stream_fault.kind.ended != "completed" else None
    headers = {"idempotent-replayed": "true", "x-request-id": request_id}
    return _tell(job, asked, 0.0, fault, headers, None)


async def _answer(request: Request, desk: Desk, arrival: Arrival) -> Response:
    fault, script, asked = at_stage(arrival.faults, "answer"), desk.script, arrival.request
    if fault is not None and not fault.is_accepted:
        return await _instead(request, fault, arrival)
    if script.max_running is not None and desk.running >= script.max_running:
        message = f"You already have {desk.running} generations in progress."
        reply = reply_error(429, message, "rate_limit_error", "too_many_concurrent_tasks")
        return respond(reply, arrival.request_id)
    job = (take_text if is_text_model(asked.model) else take_video)(arrival, script)
    await desk.accept(job)
    if fault is not None and fault.fault == "slow_headers":
        await wire_of(request.scope).sleep(fault.s or 0.0)
    elif fault is not None and fault.fault == "plain":
        asked = asked.model_copy(update={"stream": False})
    elif fault is not None:
        return await _instead(request, fault, arrival)
    if not asked.stream:
        await wire_of(request.scope).sleep(job.duration_s)
    headers = {"x-request-id": arrival.request_id}
    return _tell(job, asked, job.duration_s, at_stage(job.faults, "stream"), headers, script.keepalive_s)


async def _instead(request: Request, fault: Fault, arrival: Arrival) -> Response:
    """What is sent in place of an answer, after `s` seconds where the fault says so."""
    await wire_of(request.scope).sleep(fault.s or 0.0)
    reply = reply_fault(fault, origin=arrival.origin, now=time.time())
    return Reset() if reply is None else respond(reply, arrival.request_id)


def _tell(
    job: Job,
    asked: ChatRequest,
    duration_s: float,
    fault: Fault | None,
    headers: dict[str, str],
    keepalive_s: float | None,
) -> Response:
    """The job's answer, as a stream or as one document."""
    if not asked.stream:
        return _tell_at_once(job, fault, headers)
    transmission = write_stream(job.tell(), duration_s, fault)
    if keepalive_s is not None:
        steps = add_comments(transmission.steps, keepalive_s)
        transmission = Transmission(steps=steps, close=transmission.close)
    return SentSteps(transmission, EVENT_STREAM | headers)


def _tell_at_once(job: Job, fault: Fault | None, headers: dict[str, str]) -> Response:
    """One JSON document; what cuts a stream cuts it in the middle, what fails in a stream is an error."""
    if job.ended == "failed" and job.problem is not None:
        reply = reply_error(500, job.problem, "server_error", None)
        return Response(reply.body, status_code=500, media_type=reply.media_type, headers=headers)
    body = orjson.dumps(fold_completion(job.tell()))
    if fault is None or not fault.fault.startswith(("cut", "eof")):
        return Response(body, media_type="application/json", headers=headers)
    half = Transmission(steps=(Step(0, body[: len(body) // 2]),), close="close")
    return SentSteps(half, {"content-type": "application/json", "content-length": str(len(body)), **headers})


def reply_refused(error: RefusedRequestError) -> Reply:
    """The error object for a request that cannot be answered."""
    return Reply(status=error.status, body=orjson.dumps(error.body()))
