"""The error that a JSON object carries, unwrapped: code, type, message, and the status within.

Gateways nest: an upstream's JSON inside a message, `400:` before it, `status_code` beside it. The
innermost cause is what `rules` are asked about. Used by `fold` and `poll`. Pure.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from reelsweep.prompts.request import Json
from reelsweep.tasks.gateway.states import state_of
from reelsweep.tasks.gateway.values import (
    JsonObject,
    as_int,
    as_object,
    as_objects,
    as_text,
    first_text,
    parse_json_at,
)

MAX_MESSAGE_CHARS = 2000
_MAX_DEPTH = 4

_STATUS = re.compile(
    r"(?:^|failed:?\s|error:?\s|status(?:[ _]code)?\s?[:=]?\s?|http[ /:]?\s?)\(?([45]\d\d)\b", re.IGNORECASE
)
_REQUEST_ID = re.compile(r"\(?request[ _]id\s*[:：]\s*([\w\-]{6,80})\)?", re.IGNORECASE)
_SUCCESS_CODES = frozenset({"", "0", "200", "success", "ok", "succeeded"})
_REASONS = (
    "failure_reason",
    "fail_reason",
    "failureReason",
    "failReason",
    "error_message",
    "errorMessage",
    "error_msg",
    "error",
    "message",
    "msg",
    "reason",
    "detail",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What went wrong, in the words of whoever knew best.

    `status` is an HTTP status named inside; `is_upstream` when the words are those of a gateway behind
    the one that was asked, so that *its* key and *its* quota are meant.
    """

    code: str | None = None
    type: str | None = None
    message: str = ""
    status: int | None = None
    is_upstream: bool = False
    request_id: str | None = None


def fault_of(value: JsonObject, *, event_name: str = "") -> Fault | None:
    """The fault of one event or body, or None when it carries none."""
    found = _fault_in(value, event_name, 0)
    return None if found is None else _unwrap(found, 0)


def fault_of_text(text: str) -> Fault:
    """The fault that a sentence describes."""
    return _unwrap(Fault(message=text[:MAX_MESSAGE_CHARS]), 0)


def _fault_in(value: JsonObject, event_name: str, depth: int) -> Fault | None:
    error = value.get("error")
    if isinstance(error, dict) and any(error.values()):
        return _from_error(error)
    if error is True:
        return _from_error(value)
    if isinstance(error, str) and error.strip() and error.strip().lower() not in ("null", "none"):
        return Fault(code=_code_of(value), message=error[:MAX_MESSAGE_CHARS])
    if isinstance(value.get("choices"), list):
        return None
    if state_of(as_text(value.get("status")) or as_text(value.get("state"))) == "failed":
        return _from_error({"message": _reason(value), "code": value.get("error_code")})
    if "detail" in value:
        return _from_detail(value["detail"])
    if event_name == "error" or _says_no(value):
        return _from_error(value)
    data = as_object(value.get("data"))
    return _fault_in(data, "", depth + 1) if data and depth < _MAX_DEPTH else None


def _says_no(value: JsonObject) -> bool:
    """An object with a code and a message that are no success, and no result beside them."""
    if not first_text(value, "message", "msg", "error_message"):
        return False
    if value.get("success") is False:
        return True
    return "code" in value and (_code_of(value) or "").lower() not in _SUCCESS_CODES


def _from_error(error: JsonObject) -> Fault:
    code = _code_of(error)
    status = as_int(error.get("status_code")) or as_int(error.get("http_code")) or as_int(error.get("code"))
    return Fault(
        code=code,
        type=as_text(error.get("type")).strip() or None,
        message=_reason(error)[:MAX_MESSAGE_CHARS],
        status=status if status and 400 <= status <= 599 else None,
    )


def _from_detail(detail: Json) -> Fault | None:
    if isinstance(detail, str):
        return Fault(message=detail[:MAX_MESSAGE_CHARS]) if detail.strip() else None
    if isinstance(detail, dict):
        return _fault_in(detail, "", 1) or _from_error(detail)
    parts = [as_text(item.get("msg")) for item in as_objects(detail)]
    return Fault(message="; ".join(filter(None, parts))[:MAX_MESSAGE_CHARS]) if parts else None


def _code_of(value: JsonObject) -> str | None:
    code = value.get("code")
    if isinstance(code, int) and not isinstance(code, bool):
        return str(code)
    return as_text(code).strip()[:200] or None


def _reason(value: JsonObject) -> str:
    for name in _REASONS:
        reason = value.get(name)
        if isinstance(reason, dict):
            reason = first_text(reason, "message", "msg", "code")
        if isinstance(reason, str) and reason.strip():
            return reason.strip()
    return ""


def _unwrap(fault: Fault, depth: int) -> Fault:
    """Look inside the message: a status, a request id, a whole JSON object of someone upstream."""
    message = fault.message
    request_id = _REQUEST_ID.search(message)
    status = _STATUS.search(message)
    fault = replace(
        fault,
        message=_REQUEST_ID.sub("", message).strip(),
        request_id=request_id[1] if request_id else fault.request_id,
        status=fault.status or (int(status[1]) if status else None),
    )
    start = message.find("{")
    inner = parse_json_at(message, start) if start >= 0 and depth < _MAX_DEPTH else None
    nested = _fault_in(as_object(inner[0]), "error", depth + 1) if inner else None
    if nested is None or not (nested.message or nested.code):
        return fault
    nested = _unwrap(nested, depth + 1)
    return replace(
        nested,
        status=fault.status or nested.status,
        code=nested.code or fault.code,
        message=nested.message or fault.message,
        request_id=fault.request_id or nested.request_id,
        is_upstream=True,
    )
