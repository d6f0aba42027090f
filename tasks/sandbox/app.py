"""The sandbox as an ASGI application: routes, the key, the control door.

Files, status pages and `/healthz` go without the key; `/script` takes the control token.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from pydantic import ValidationError
from reelsweep.tasks.sandbox import SANDBOX_VERSION
from reelsweep.tasks.sandbox.answers import respond
from reelsweep.tasks.sandbox.chat import post_chat, reply_refused
from reelsweep.tasks.sandbox.files import get_file
from reelsweep.tasks.sandbox.jobs import Desk, draw_name
from reelsweep.tasks.sandbox.polls import get_content, get_short, get_status, get_video
from reelsweep.tasks.sandbox.render import Renderer
from reelsweep.tasks.sandbox.replies import reply_error
from reelsweep.tasks.sandbox.request import RefusedRequestError
from reelsweep.tasks.sandbox.script import DIALECTS, Script
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

Endpoint = Callable[[Request], Awaitable[Response]]


def create_app(
    script: Script, *, key: str | None = None, bill: Path | None = None, control_token: str | None = None
) -> Starlette:
    """The application. It needs `protocol.SandboxProtocol` under it, to cut connections."""
    app = Starlette(
        routes=[
            Route("/v1/chat/completions", _keyed(post_chat, key), methods=["POST"]),
            # Where the fault "redirect" points: whoever follows is found on the bill.
            Route("/moved/v1/chat/completions", _keyed(post_chat, key), methods=["POST"]),
            Route("/v1/models", _keyed(_get_models, key)),
            Route("/v1/files/video", get_short),
            Route("/v1/videos/{task_id}/content", _keyed(get_content, key)),
            Route("/v1/videos/{task_id}", _keyed(get_video, key)),
            Route("/status/{task_id}", get_status),
            Route("/files/{name}", get_file),
            Route("/healthz", _get_health),
            Route("/bill", _keyed(_get_bill, key)),
            Route("/script", _controlled(_post_script, control_token), methods=["POST"]),
        ],
        exception_handlers={
            RefusedRequestError: _explain_refused,
            HTTPException: _explain_http,
            ClientDisconnect: _end_quietly,
        },
    )
    app.state.desk = Desk(script, bill)
    app.state.renderer = Renderer()
    return app


def close_app(app: Starlette) -> None:
    """Close the bill and stop drawing."""
    app.state.renderer.close()
    app.state.desk.bill.close()


def _keyed(endpoint: Endpoint, key: str | None) -> Endpoint:
    """The endpoint behind `Authorization: Bearer`, when the sandbox was started with a key."""
    if key is None:
        return endpoint

    async def check(request: Request) -> Response:
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and secrets.compare_digest(given.strip().encode(), key.encode()):
            return await endpoint(request)
        async for _ in request.stream():
            pass  # An answer before the end of a large body would reach the client as a reset.
        reply = reply_error(401, "Incorrect API key provided.", "invalid_request_error", "invalid_api_key")
        return respond(reply, f"req_{draw_name()}")

    return check


def _controlled(endpoint: Endpoint, token: str | None) -> Endpoint:
    """The endpoint behind the control token; without one there is no such door."""

    async def check(request: Request) -> Response:
        given = request.headers.get("x-sandbox-token", "")
        if token is not None and secrets.compare_digest(given.encode(), token.encode()):
            return await endpoint(request)
        return respond(
            reply_error(403, "The control token is missing or wrong.", "control_error", None), "control"
        )

    return check


async def _get_models(request: Request) -> Response:
    desk: Desk = request.app.state.desk
    names = [*desk.script.models, *(f"sandbox-video-{dialect}" for dialect in DIALECTS)]
    models = [
        {"id": name, "object": "model", "created": 0, "owned_by": "sandbox"} for name in dict.fromkeys(names)
    ]
    return JSONResponse({"object": "list", "data": models})


async def _get_health(request: Request) -> Response:
    desk: Desk = request.app.state.desk
    return JSONResponse(
        {"ok": True, "version": SANDBOX_VERSION, "running": desk.running, "time": time.time()}
    )


async def _get_bill(request: Request) -> Response:
    desk: Desk = request.app.state.desk
    return Response(desk.bill.read(), media_type="application/jsonl")


async def _post_script(request: Request) -> Response:
    desk: Desk = request.app.state.desk
    try:
        desk.follow(Script.model_validate_json(await request.body()))
    except ValidationError as error:
        raise RefusedRequestError(str(error), "script") from None
    return JSONResponse({"ok": True})


async def _explain_refused(_: Request, error: Exception) -> Response:
    if not isinstance(error, RefusedRequestError):
        raise error
    return respond(reply_refused(error), f"req_{draw_name()}")


async def _explain_http(_: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    return respond(
        reply_error(error.status_code, error.detail, "invalid_request_error", None), f"req_{draw_name()}"
    )


async def _end_quietly(_: Request, _error: Exception) -> Response:
    """The client was gone before its request was read: nobody hears the answer."""
    return Response(status_code=400)
