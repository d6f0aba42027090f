"""What the text models answer: words, JSON or a tool call, as the request's parameters ask.

Pure and seeded. A word is a token, and its place in `WORDS` is its id for `logit_bias`, so that
temperature, penalties and the rest have an effect one can see.
"""

from __future__ import annotations

import hashlib
import json
import math
import random
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from reelsweep.tasks.sandbox.parameters import ChatRequest, Function, NamedTool
from reelsweep.tasks.sandbox.request import RefusedRequestError

DEFAULT_TOKENS = 40
MAX_DEPTH = 8
WORDS = tuple(
    """light camera slow frame dawn river red fox snow window street rain neon boat paper storm wave
    sand glass shadow bird city night close wide pan tilt dolly focus grain colour cut fade cloud
    forest mountain train engine child dancer hand smile lantern bridge harbour mist field horse
    silver golden quiet sudden distant warm cold through over under toward beside until""".split()  # noqa: SIM905
)

FinishReason = Literal["stop", "length", "tool_calls", "content_filter"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TextAnswer:
    """One choice of a text model."""

    text: str
    finish_reason: FinishReason
    tool_name: str | None = None
    """When a tool is called, `text` is its arguments."""

    @property
    def tokens(self) -> tuple[str, ...]:
        """The answer in the pieces it is streamed in."""
        words = self.text.split(" ")
        return tuple(word if idx == 0 else f" {word}" for idx, word in enumerate(words))


def answer_text(request: ChatRequest, seed: int) -> tuple[TextAnswer, ...]:
    """A text model's choices, the same for the same request and seed; raises for a senseless schema."""
    try:
        return tuple(_answer(request, _stream_of(request, seed, idx)) for idx in range(request.choices))
    except (TypeError, ValueError, AttributeError, IndexError) as error:
        param = "tools" if request.tools else "response_format"
        raise RefusedRequestError(f"Invalid schema in '{param}': {error}", param) from None


def count_tokens(text: str) -> int:
    """Words."""
    return len(text.split())


def _stream_of(request: ChatRequest, seed: int, idx: int) -> random.Random:
    digest = hashlib.sha256(json.dumps([request.model, request.prompt, seed, idx]).encode()).digest()
    return random.Random(digest)  # noqa: S311


def _answer(request: ChatRequest, rng: random.Random) -> TextAnswer:
    called = _called_function(request)
    if called is not None:
        arguments = json.dumps(_instance(called.parameters or {}, rng, request.title))
        return TextAnswer(text=arguments, finish_reason="tool_calls", tool_name=called.name)
    form = request.response_format
    if form is not None and form.type != "text":
        schema = (form.json_schema and form.json_schema.schema_) or _SHOT_LIST
        return _cut(request, json.dumps(_instance(schema, rng, request.title)))
    limit = request.max_completion_tokens or request.max_tokens or DEFAULT_TOKENS
    return _cut(request, _sentences(_sample(request, rng, min(limit + 1, DEFAULT_TOKENS))))


def _called_function(request: ChatRequest) -> Function | None:
    """The function the model calls: the named one, or the first where calling is allowed and not yet done."""
    functions = [tool.function for tool in request.tools or ()]
    match request.tool_choice:
        case NamedTool() as named:
            return next(function for function in functions if function.name == named.function.name)
        case "none":
            return None
        case "required":
            return functions[0]
        case None | "auto":
            return functions[0] if functions and request.messages[-1].role != "tool" else None


def _sample(request: ChatRequest, rng: random.Random, count: int) -> list[str]:
    """Words, each drawn with regard to the one before it and to all that were said."""
    bias = {int(token): value for token, value in (request.logit_bias or {}).items()}
    heat = 1.0 if request.temperature is None else request.temperature
    said = Counter[int]()
    last, words = 0, list[str]()
    for _ in range(count):
        logits = [_liking(request.title, last, idx) + bias.get(idx, 0.0) for idx in range(len(WORDS))]
        for idx, times in said.items():
            logits[idx] -= (request.presence_penalty or 0) + (request.frequency_penalty or 0) * times
        last = _draw(logits, heat, 1.0 if request.top_p is None else request.top_p, rng)
        said[last] += 1
        words.append(WORDS[last])
    return words


def _liking(prompt: str, last: int, idx: int) -> float:
    """How much the model likes a word after another: arbitrary, and always the same."""
    digest = hashlib.blake2s(f"{prompt[:64]}:{last}:{idx}".encode(), digest_size=2).digest()
    return int.from_bytes(digest, "big") / 65_536 * 4


def _draw(logits: list[float], heat: float, top_p: float, rng: random.Random) -> int:
    """A word's id: the most liked without heat, else by weight from the nucleus that `top_p` leaves."""
    order = sorted(range(len(logits)), key=lambda idx: -logits[idx])
    if heat == 0:
        return order[0]
    weights = [math.exp((logits[idx] - logits[order[0]]) / heat) for idx in order]
    total, kept = sum(weights), 0.0
    for size, weight in enumerate(weights, start=1):
        kept += weight
        if kept >= top_p * total:
            return rng.choices(order[:size], weights[:size])[0]
    return rng.choices(order, weights)[0]


def _sentences(words: list[str]) -> str:
    """Words as sentences of nine."""
    groups = [words[at : at + 9] for at in range(0, len(words), 9)]
    return " ".join(" ".join(group).capitalize() + "." for group in groups)


def _cut(request: ChatRequest, text: str) -> TextAnswer:
    """The text as far as `stop` and the token limit let it go."""
    stops = [request.stop] if isinstance(request.stop, str) else request.stop or []
    ends = [text.find(stop) for stop in stops if stop and stop in text]
    text = text[: min(ends)] if ends else text
    limit = request.max_completion_tokens or request.max_tokens
    words = text.split(" ")
    if limit is None or len(words) <= limit:
        return TextAnswer(text=text, finish_reason="stop")
    return TextAnswer(text=" ".join(words[:limit]), finish_reason="length")


_SHOT_LIST: dict[str, Any] = {
    "type": "object",
    "properties": {
        "title": {"type": "string"},
        "shots": {"type": "array", "items": {"type": "string"}, "minItems": 3},
        "seconds": {"type": "integer", "minimum": 2, "maximum": 12},
    },
}


def _instance(schema: Mapping[str, Any], rng: random.Random, prompt: str, depth: int = 0) -> Any:
    """A value that a JSON schema allows, for the plain parts of the language."""
    if "const" in schema:
        return schema["const"]
    if schema.get("enum"):
        return rng.choice(schema["enum"])
    match _kind_of(schema):
        case "object" if depth < MAX_DEPTH:
            properties: Mapping[str, Any] = schema.get("properties") or {}
            return {name: _instance(part, rng, prompt, depth + 1) for name, part in properties.items()}
        case "array" if depth < MAX_DEPTH:
            count = min(int(schema.get("minItems", 2)), 16)
            return [_instance(schema.get("items") or {}, rng, prompt, depth + 1) for _ in range(count)]
        case "integer" | "number":
            low = schema.get("minimum", 0)
            return rng.randint(math.ceil(low), math.floor(schema.get("maximum", low + 10)))
        case "boolean":
            return rng.random() < 0.5
        case "null" | "object" | "array":
            return None
        case _:
            return " ".join(rng.sample(WORDS, 3)) if depth > 1 else prompt[:64] or "untitled"


def _kind_of(schema: Mapping[str, Any]) -> str:
    """The type a schema asks for, the first where it allows several."""
    kind = schema.get("type", "object" if "properties" in schema else "string")
    return kind if isinstance(kind, str) else kind[0]
