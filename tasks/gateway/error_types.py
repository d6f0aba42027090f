"""Our words for the causes of failures: what each means and what a user does about it.

The README's troubleshooting derives from `ERROR_TYPES`; `rules` and the client use its names. Data only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

ErrorTypeName = Literal[
    "content_policy",
    "no_capacity",
    "quota",
    "concurrency",
    "rate_limit",
    "auth",
    "region",
    "permission",
    "invalid_model",
    "bad_request",
    "not_found",
    "too_large",
    "redirect",
    "gateway_trouble",
    "gateway_timeout",
    "gateway_failed",
    "server_error",
    "busy",
    "cut",
    "silence",
    "timeout",
    "interrupted",
    "web_page",
    "no_video",
    "no_text",
    "bad_json",
    "connect",
    "dns",
    "tls",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorType:
    """One of our words for a cause: what it means and what to do."""

    meaning: str
    remedy: str


ERROR_TYPES: Mapping[ErrorTypeName, ErrorType] = {
    "content_policy": ErrorType(
        meaning="The gateway's moderation refused the prompt, the picture or the clip it had made.",
        remedy="Change the prompt; `refused_at` says where it was refused. It is never sent again as it is.",
    ),
    "no_capacity": ErrorType(
        meaning="The gateway has no account or worker free for this model.",
        remedy="Nothing was made. It is tried again after minutes; run the same command later for the rest.",
    ),
    "quota": ErrorType(
        meaning="The account's credit or quota is used up.",
        remedy="Top up the account, then run the same command again.",
    ),
    "concurrency": ErrorType(
        meaning="The account already has as many jobs running as it may.",
        remedy="It is tried again after minutes; lower --concurrency to have fewer of these.",
    ),
    "rate_limit": ErrorType(
        meaning="Too many requests, or the gateway is under heavy load.",
        remedy="All sends wait and go on by themselves; --rpm or --concurrency keep the rate lower.",
    ),
    "auth": ErrorType(
        meaning="The gateway does not accept the API key.",
        remedy="Check the variable that holds the key (--api-key-env) with `reelsweep doctor`.",
    ),
    "region": ErrorType(
        meaning="The model is not offered in this country.",
        remedy="Choose another model or gateway.",
    ),
    "permission": ErrorType(
        meaning="The key may not do this, or may not use this model.",
        remedy="Ask the gateway for access, or choose another --model.",
    ),
    "invalid_model": ErrorType(
        meaning="The gateway does not know this model or has no channel for it.",
        remedy="`reelsweep doctor` lists the gateway's models; choose one with --model.",
    ),
    "bad_request": ErrorType(
        meaning="The gateway refused the request as wrong.",
        remedy="The gateway's message names the parameter; correct the table or the gateway's profile.",
    ),
    "not_found": ErrorType(
        meaning="There is nothing at this address.",
        remedy="Check the base URL; it usually ends in /v1.",
    ),
    "too_large": ErrorType(
        meaning="The request, or the answer, is too large.",
        remedy="Send smaller images or a shorter prompt.",
    ),
    "redirect": ErrorType(
        meaning="The gateway sent the request elsewhere; a POST is never sent on.",
        remedy="Use the new address as --gateway if you trust it.",
    ),
    "gateway_trouble": ErrorType(
        meaning="The gateway could not reach what makes its videos; nothing had begun.",
        remedy="It is tried again after minutes; run the same command later for the rest.",
    ),
    "gateway_timeout": ErrorType(
        meaning="The gateway gave up waiting; the job may still run there, and may be billed.",
        remedy="`reelsweep reconcile` asks again where a task id is known; --on-unknown resubmit buys again.",
    ),
    "gateway_failed": ErrorType(
        meaning="The gateway says that its generation failed; it may be billed.",
        remedy="Look at the transcript; --on-unknown resubmit buys again.",
    ),
    "server_error": ErrorType(
        meaning="The gateway answered with a server error that says nothing about the job.",
        remedy="`reelsweep reconcile` asks again where a task id is known; --on-unknown resubmit buys again.",
    ),
    "busy": ErrorType(
        meaning="The gateway says that this very request is still running.",
        remedy="`reelsweep reconcile` asks for it later.",
    ),
    "cut": ErrorType(
        meaning="The stream ended without an end; the job may still run and may be billed.",
        remedy="`reelsweep reconcile` asks again where a task id is known; --on-unknown resubmit buys again.",
    ),
    "silence": ErrorType(
        meaning="No byte came for so long that the stream was given up.",
        remedy="Raise --idle-timeout if the gateway is silent for longer; then as for `cut`.",
    ),
    "timeout": ErrorType(
        meaning="The stream took longer than --stream-timeout.",
        remedy="Raise --stream-timeout; then as for `cut`.",
    ),
    "interrupted": ErrorType(
        meaning="This side stopped reading before the end.",
        remedy="Run the same command again; `reelsweep reconcile` asks where a task id is known.",
    ),
    "web_page": ErrorType(
        meaning="A web page or plain text came instead of an answer.",
        remedy="Check the base URL; it usually ends in /v1.",
    ),
    "no_video": ErrorType(
        meaning="The answer ended normally and there is no video in it.",
        remedy="Look at the transcript: the model may only write text, or the gateway's dialect is new.",
    ),
    "no_text": ErrorType(
        meaning="The answer ended normally and there is no text in it.",
        remedy="Look at the transcript; for a video model use --output video.",
    ),
    "bad_json": ErrorType(
        meaning="`response_format` asked for JSON and what came does not parse.",
        remedy="Raise `max_tokens`, or use --retry-failed to ask again.",
    ),
    "connect": ErrorType(
        meaning="No connection to the gateway could be made; nothing was sent.",
        remedy="Check --gateway and the network with `reelsweep doctor`.",
    ),
    "dns": ErrorType(
        meaning="The gateway's name does not resolve; nothing was sent.",
        remedy="Check --gateway for a typing error.",
    ),
    "tls": ErrorType(
        meaning="The gateway's certificate is not trusted; nothing was sent.",
        remedy="Check --gateway and the clock; for a private authority, set SSL_CERT_FILE.",
    ),
}
