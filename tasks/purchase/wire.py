"""From a GenerationSpec to the exact bytes and headers of its POST.

The body is a pure function of the spec, the profile, the stored inputs and the parents' turns: the
same key always sends the same bytes.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from urllib.parse import urlencode

from reelsweep.prompts.request import GenerationSpec, turns_in, url_query, wire_body
from reelsweep.tasks.artifacts.images import data_url
from reelsweep.tasks.gateway.client import Request
from reelsweep.tasks.purchase.context import RunContext

USER_AGENT = f"reelsweep/{version('reelsweep')}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """The bytes of one POST and their name in the ledger."""

    content: bytes
    sha256: str


async def build_body(spec: GenerationSpec, context: RunContext) -> Body:
    """Fill the canonical request with images and the earlier turns, respelt by the profile."""
    store = context.store
    images = {sha256: await store.off_loop(partial(data_url, sha256, store)) for sha256 in spec.images}
    turns = {earlier: await _turn(context, earlier) for earlier in turns_in(spec.payload)}
    content = wire_body(context.profile.respell(dict(spec.payload)), images=images, turns=turns)
    return Body(content=content, sha256=hashlib.sha256(content).hexdigest())


async def _turn(context: RunContext, fingerprint: str) -> str:
    """The finished assistant turn of a parent, unmodified; the window has seen that it succeeded."""
    for attempt in reversed(await context.ledger.attempts_of(context.gateway, fingerprint)):
        for result in attempt.results:
            if result.choice_idx == 0 and result.status == "success" and result.text is not None:
                return result.text
    raise LookupError(f"the parent {fingerprint} has no finished turn")


def build_request(spec: GenerationSpec, context: RunContext, body: Body, idempotency_key: str) -> Request:
    """Address and headers of a POST; the key goes nowhere else."""
    query = url_query(spec.payload)
    headers = {
        "Content-Type": "application/json",
        "Accept": "text/event-stream, application/json",
        "Accept-Encoding": "identity",
        "User-Agent": USER_AGENT,
        "Idempotency-Key": idempotency_key,
        **authorization(context),
    }
    url = f"{str(context.profile.base_url).rstrip('/')}/chat/completions"
    return Request(url=f"{url}?{urlencode(query)}" if query else url, headers=headers, body=body.content)


def authorization(context: RunContext) -> dict[str, str]:
    """The Authorization header as the profile spells it; empty without a key."""
    if not context.key or context.profile.auth == "none":
        return {}
    bearer = context.profile.auth == "bearer"
    return {"Authorization": f"Bearer {context.key}" if bearer else context.key}
