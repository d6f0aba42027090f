"""Answers instead of a stream: what each fault of stage `answer` sends. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import formatdate

import orjson
from reelsweep.tasks.sandbox.faults import Fault


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """A whole response."""

    status: int
    body: bytes
    media_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict[str, str])


def reply_error(status: int, message: str, kind: str, code: str | None, *, param: str | None = None) -> Reply:
    """An error object."""
    error = {"message": message, "type": kind, "param": param, "code": code}
    return Reply(status=status, body=orjson.dumps({"error": error}))


def reply_page(status: int, title: str) -> Reply:
    """An HTML page as a content delivery network sends it."""
    page = f"<!DOCTYPE html>\n<html><head><title>{title}</title></head><body><h1>{title}</h1></body></html>\n"
    return Reply(status=status, body=page.encode(), media_type="text/html; charset=utf-8")


_ERRORS: dict[str, tuple[int, str, str, str | None]] = {
    "429_saturated": (429, "Upstream load is saturated, please try again later.", "rate_limit_error", None),
    "quota": (
        429,
        "You exceeded your current quota, please check your plan.",
        "insufficient_quota",
        "insufficient_quota",
    ),
    "quota_403": (403, "Not enough quota: 0.00 left, 0.10 needed.", "api_error", "insufficient_user_quota"),
    "400": (400, "Invalid request.", "invalid_request_error", None),
    "401": (401, "Incorrect API key provided.", "invalid_request_error", "invalid_api_key"),
    "402": (402, "Payment required: your balance is used up.", "billing_error", "payment_required"),
    "403": (403, "Your account may not use this service.", "permission_error", "access_denied"),
    "403_model": (403, "This key has no access to the model.", "invalid_request_error", "model_not_allowed"),
    "404": (
        404,
        "The model does not exist or you do not have access to it.",
        "invalid_request_error",
        "model_not_found",
    ),
    "400_in_500": (500, "400: Invalid model", "server_error", None),
    "503_model": (503, "No channel is available for this model.", "api_error", "model_not_found"),
    "refused_400": (400, "The prompt contains sensitive words.", "api_error", "sensitive_words_detected"),
    "500": (500, "Internal server error.", "server_error", None),
    "500_known": (500, "The upstream request failed.", "api_error", "do_request_failed"),
    "503": (503, "No account is available right now.", "api_error", "channel:no_available_key"),
}


def reply_fault(fault: Fault, *, origin: str, now: float) -> Reply | None:
    """The response for a fault; None when it is none that answers with a response of its own."""
    match fault.fault:
        case "429":
            reply = reply_error(
                429, "Rate limit reached, please slow down.", "rate_limit_error", "rate_limit_exceeded"
            )
            return Reply(status=429, body=reply.body, headers=_retry_after(fault, now))
        case "502":
            return reply_page(502, "502: Bad gateway")
        case "504":
            return reply_page(504, "504: Gateway time-out")
        case "html":
            return reply_page(200, "Please sign in")
        case "empty":
            return Reply(status=200, body=b"", media_type="text/event-stream")
        case "redirect":
            place = fault.to or f"{origin}/moved/v1/chat/completions"
            return Reply(status=307, body=b"", headers={"location": place})
        case name if name in _ERRORS:
            reply = reply_error(*_ERRORS[name])
            return Reply(status=reply.status, body=reply.body, headers=_retry_after(fault, now))
        case _:
            return None


def _retry_after(fault: Fault, now: float) -> dict[str, str]:
    if fault.retry_after is None:
        return {}
    if fault.form == "seconds":
        return {"retry-after": str(fault.retry_after)}
    return {"retry-after": formatdate(math.ceil(now + fault.retry_after), usegmt=True)}
