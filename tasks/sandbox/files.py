"""`GET /files/…`: a clip by its ticket, drawn if need be, and sent as `delivery` or `downloads` decides."""

from __future__ import annotations

import asyncio
import time

from reelsweep.tasks.sandbox.answers import SentSteps
from reelsweep.tasks.sandbox.clip import Ticket, parse_token
from reelsweep.tasks.sandbox.delivery import Delivery, Fetch, deliver
from reelsweep.tasks.sandbox.downloads import Spoilt, choose_clip, deliver_spoilt
from reelsweep.tasks.sandbox.jobs import Desk
from reelsweep.tasks.sandbox.render import Renderer
from reelsweep.tasks.sandbox.wire import Step, Transmission
from starlette.requests import Request
from starlette.responses import Response

_BLOCK_BYTES = 65_536
_SLOW_BLOCKS = 20


async def get_file(request: Request) -> Response:
    """A clip by its ticket."""
    name, _, ending = request.path_params["name"].rpartition(".")
    ticket = parse_token(name) if ending == "mp4" else None
    return Response("not found\n", status_code=404) if ticket is None else await send_clip(request, ticket)


async def send_clip(request: Request, ticket: Ticket) -> Response:
    """The clip, with the ticket's fault."""
    delivery = await _deliver(request, ticket)
    headers = {"content-type": "video/mp4", "content-length": str(len(delivery.body)), **delivery.headers}
    if request.method == "HEAD":
        return Response(status_code=delivery.status, headers=headers)
    return SentSteps(_transmit(delivery), headers, status=delivery.status)


async def _deliver(request: Request, ticket: Ticket) -> Delivery:
    desk: Desk = request.app.state.desk
    renderer: Renderer = request.app.state.renderer
    fetch = Fetch(
        path=request.url.path,
        range=request.headers.get("range"),
        if_range=request.headers.get("if-range"),
        earlier=desk.count_get(f"{ticket.job}{ticket.clip.digest}") if request.method == "GET" else 0,
        age_s=time.time() - ticket.made_at,
    )
    clip = choose_clip(ticket, fetch)
    video = await renderer.fetch(clip)
    if ticket.fault is None:
        return deliver(video, clip, fetch)
    # Spoiling walks through whole files; streams shall not wait for it.
    return await asyncio.to_thread(
        deliver_spoilt, Spoilt(video=video, clip=clip, fault=ticket.fault, fetch=fetch)
    )


def _transmit(delivery: Delivery) -> Transmission:
    """Blocks of the body; a file that shall take its time leaves in twenty."""
    body = delivery.body if delivery.stop_at is None else delivery.body[: delivery.stop_at]
    size = max(1, -(-len(body) // _SLOW_BLOCKS)) if delivery.takes_s else _BLOCK_BYTES
    blocks = [body[at : at + size] for at in range(0, len(body), size)]
    pause_s = delivery.takes_s / len(blocks) if blocks else 0.0
    steps = tuple(Step(idx * pause_s, block) for idx, block in enumerate(blocks))
    return Transmission(steps=steps, close="end" if delivery.stop_at is None else "close")
