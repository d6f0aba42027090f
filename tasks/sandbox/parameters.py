"""The parameters of a Chat Completions request, each with its documented type and range."""

from __future__ import annotations

import hashlib
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator
from reelsweep.tasks.sandbox.clip import MAX_SECONDS, parse_size

MAX_STOPS = 4
MAX_CHOICES = 16


class _Wire(BaseModel):
    """A border: what we do not know is let through, what we know is of its type exactly."""

    model_config = ConfigDict(extra="ignore", strict=True, frozen=True)


class ImageUrl(_Wire):
    """Where an image is: a data URL or an address."""

    url: str = Field(min_length=1)


class Part(_Wire):
    """One piece of a message's content."""

    type: Literal["text", "image_url"]
    text: str | None = None
    image_url: ImageUrl | None = None

    @model_validator(mode="after")
    def _has_what_its_type_says(self) -> Part:
        if getattr(self, self.type) is None:
            raise ValueError(f"a part of type {self.type!r} needs {self.type!r}")
        return self


class Message(_Wire):
    """One turn of the conversation."""

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | list[Part] | None = None
    tool_calls: list[dict[str, Any]] | None = None

    @model_validator(mode="after")
    def _says_something(self) -> Message:
        if self.content is None and self.role not in ("assistant", "function"):
            raise ValueError(f"a message of role {self.role!r} needs 'content'")
        return self

    @property
    def text(self) -> str:
        """The words of it; an image stands as the hash of its address."""
        if not isinstance(self.content, list):
            return self.content or ""
        return "\n".join(part.text or f"image {_digest(part.image_url)}" for part in self.content)


def _digest(image: ImageUrl | None) -> str:
    return hashlib.sha256(image.url.encode() if image else b"").hexdigest()[:16]


class Function(_Wire):
    """A function the model may call."""

    name: str = Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")
    description: str | None = None
    parameters: dict[str, Any] | None = None


class Tool(_Wire):
    """A tool; functions are the only kind."""

    type: Literal["function"]
    function: Function


class NamedFunction(_Wire):
    """The name of one function."""

    name: str


class NamedTool(_Wire):
    """The wish that one function be called."""

    type: Literal["function"]
    function: NamedFunction


class JsonSchema(_Wire):
    """What a JSON answer must look like."""

    name: str
    schema_: dict[str, Any] | None = Field(default=None, alias="schema")


class ResponseFormat(_Wire):
    """What an answer must be."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchema | None = None

    @model_validator(mode="after")
    def _has_its_schema(self) -> ResponseFormat:
        if self.type == "json_schema" and self.json_schema is None:
            raise ValueError("type 'json_schema' needs 'json_schema'")
        return self


class StreamOptions(_Wire):
    """How to stream."""

    include_usage: bool | None = None


Penalty = Annotated[float, Field(ge=-2, le=2)]
Bias = Annotated[float, Field(ge=-100, le=100)]


class ChatRequest(_Wire):
    """A request that may be answered. None means that a parameter was not given."""

    model: str = Field(min_length=1)
    messages: list[Message] = Field(min_length=1)
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    n: Annotated[int, Field(ge=1, le=MAX_CHOICES)] | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    stop: str | Annotated[list[str], Field(max_length=MAX_STOPS)] | None = None
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None
    presence_penalty: Penalty | None = None
    frequency_penalty: Penalty | None = None
    logit_bias: dict[Annotated[str, Field(pattern=r"^\d+$")], Bias] | None = None
    user: str | None = None
    response_format: ResponseFormat | None = None
    seed: Annotated[int, Field(ge=-(2**63), le=2**63 - 1)] | None = None
    tools: Annotated[list[Tool], Field(min_length=1, max_length=128)] | None = None
    tool_choice: Literal["none", "auto", "required"] | NamedTool | None = None
    size: str | None = None
    seconds: float | str | None = None
    audio: bool | None = None

    @field_validator("size")
    @classmethod
    def _is_a_size(cls, size: str | None) -> str | None:
        if size is not None:
            parse_size(size)
        return size

    @field_validator("seconds")
    @classmethod
    def _is_a_duration(cls, seconds: float | str | None) -> float | None:
        if seconds is None:
            return None
        try:
            number = float(seconds)
        except ValueError:
            number = 0.0
        if not 0 < number <= MAX_SECONDS:
            raise ValueError(f"got {seconds!r}, expected a number above 0, up to {MAX_SECONDS:g}")
        return number

    @property
    def choices(self) -> int:
        """How many results are asked for."""
        return self.n or 1

    @property
    def title(self) -> str:
        """The words of the last user message."""
        return next((m.text for m in reversed(self.messages) if m.role == "user"), self.messages[-1].text)

    @property
    def prompt(self) -> str:
        """All that was said: one user message literally, else every turn with its role."""
        if len(self.messages) == 1 and self.messages[0].role == "user":
            return self.messages[0].text
        return "\n".join(f"{message.role}: {message.text}" for message in self.messages)
