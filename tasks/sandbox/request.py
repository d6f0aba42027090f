"""The request as it came: bytes in, a checked `ChatRequest` out, or an error that names the parameter."""

from __future__ import annotations

import hashlib
import json
from typing import Any, cast

from pydantic import ValidationError
from reelsweep.tasks.sandbox.parameters import (
    ChatRequest,
    Function,
    ImageUrl,
    JsonSchema,
    Message,
    NamedFunction,
    NamedTool,
    Part,
    ResponseFormat,
    StreamOptions,
    Tool,
)


class RefusedRequestError(Exception):
    """A request that is answered with an error object instead of a result."""

    def __init__(
        self,
        message: str,
        param: str | None = None,
        code: str | None = None,
        status: int = 400,
        kind: str = "invalid_request_error",
    ) -> None:
        super().__init__(message, param, code, status, kind)
        self.message, self.param, self.code, self.status, self.kind = message, param, code, status, kind

    def body(self) -> dict[str, object]:
        """The error object."""
        return {"error": {"message": self.message, "type": self.kind, "param": self.param, "code": self.code}}


def parse_request(body: bytes) -> tuple[ChatRequest, str]:
    """The request and the sha256 of it with sorted keys; raises RefusedRequestError."""
    try:
        document = _parse_object(body)
        request = ChatRequest.model_validate(document)
        request.prompt.encode()
    except ValidationError as error:
        raise _explain(error) from None
    except (ValueError, RecursionError) as error:
        raise RefusedRequestError(f"We could not parse the JSON body of your request: {error}") from None
    _check_together(request)
    return request, _canonical(document)


def _parse_object(body: bytes) -> dict[str, Any]:
    document: object = json.loads(body, parse_constant=_refuse_constant)
    if not isinstance(document, dict):
        raise ValueError("expected an object")
    return cast("dict[str, Any]", document)


def _canonical(document: dict[str, Any]) -> str:
    """The request's hash, less what cannot change the result."""
    asked = {name: value for name, value in document.items() if name not in ("stream", "user")}
    return hashlib.sha256(json.dumps(asked, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _refuse_constant(word: str) -> None:
    raise ValueError(f"{word} is not JSON")


def _explain(error: ValidationError) -> RefusedRequestError:
    """What is wrong deepest inside, with the parameter's name as a path: `messages[0].content`."""
    # A union reports each branch; the one that got furthest is the one that was meant.
    place = max(error.errors(), key=lambda place: len(place["loc"]))
    param = ""
    for step in place["loc"]:
        if isinstance(step, int):
            param += f"[{step}]"
        elif step in _NAMES:
            param += f".{step}" if param else step
    got = "" if place["type"] == "missing" else f", got {str(place['input'])[:80]!r}"
    return RefusedRequestError(f"Invalid value for '{param}': {place['msg']}{got}", param)


_MODELS = (
    ChatRequest,
    Message,
    Part,
    ImageUrl,
    Tool,
    Function,
    NamedTool,
    NamedFunction,
    ResponseFormat,
    JsonSchema,
    StreamOptions,
)
_NAMES = frozenset(name for model in _MODELS for name in model.model_fields) | {"schema"}
"""Words that are parameters; the rest of a path names branches of a union."""


def _check_together(request: ChatRequest) -> None:
    """What no parameter can know alone."""
    form, choice = request.response_format, request.tool_choice
    if form and form.type == "json_object" and "json" not in request.prompt.lower():
        message = (
            "'messages' must contain the word 'json' in some form, to use 'response_format' 'json_object'."
        )
        raise RefusedRequestError(message, "messages")
    if choice is not None and not request.tools:
        raise RefusedRequestError("'tool_choice' is only allowed when 'tools' are specified.", "tool_choice")
    names = [tool.function.name for tool in request.tools or ()]
    if isinstance(choice, NamedTool) and choice.function.name not in names:
        message = f"'tool_choice' names {choice.function.name!r}, which is not in 'tools'."
        raise RefusedRequestError(message, "tool_choice")
    if request.stream_options and not request.stream:
        raise RefusedRequestError("'stream_options' is only allowed when 'stream' is true.", "stream_options")
