"""The real `openai` package understands the sandbox: streams, choices, tools, JSON, errors."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import openai
import pytest

Sandbox = Callable[..., Any]
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "cut_scene",
            "parameters": {
                "type": "object",
                "properties": {
                    "at_s": {"type": "number", "minimum": 1, "maximum": 3},
                    "kind": {"enum": ["hard", "soft"]},
                    "notes": {"type": "array", "items": {"type": "string"}},
                    "loud": {"type": "boolean"},
                },
            },
        },
    },
    {"type": "function", "function": {"name": "fade"}},
]


@pytest.fixture
def client(sandbox: Sandbox) -> Iterator[openai.OpenAI]:
    """A client with the right key and no retries of its own."""
    server = sandbox().server
    with openai.OpenAI(base_url=server.base_url, api_key="sk-sandbox-tests", max_retries=0) as client:
        yield client


def ask(client: openai.OpenAI, content: str = "a fox in json", **settings: Any) -> Any:
    model = settings.pop("model", "sandbox-text")
    return client.chat.completions.create(
        model=model, messages=[{"role": "user", "content": content}], **settings
    )


def text(client: openai.OpenAI, **settings: Any) -> str:
    return ask(client, **{"seed": 1, **settings}).choices[0].message.content or ""


def test_video_streams_progress_and_a_link(client: openai.OpenAI) -> None:
    """A video model streams progress, then a link, a finish reason, usage and a fingerprint."""
    chunks = list(ask(client, model="sora-2", stream=True, seed=7))
    content = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert "Progress: 20.0%" in content
    assert "[video](http://127.0.0.1:" in content
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert chunks[-1].usage.total_tokens > 0
    assert {chunk.system_fingerprint for chunk in chunks} == {"fp_sandbox_1"}
    assert len({chunk.id for chunk in chunks}) == 1


def test_n_videos_are_n_choices(client: openai.OpenAI) -> None:
    """`n` gives as many choices, each with another clip, streamed or not."""
    whole = ask(client, model="sora-2", n=3)
    assert len({choice.message.content.split("[video]")[1] for choice in whole.choices}) == 3
    streamed = {chunk.choices[0].index for chunk in ask(client, model="sora-2", n=3, stream=True)}
    assert streamed == {0, 1, 2}


def test_text_is_the_same_for_the_same_seed_only(client: openai.OpenAI) -> None:
    """A seed gives the same words again, another seed others, streamed or not."""
    streamed = "".join(chunk.choices[0].delta.content or "" for chunk in ask(client, seed=1, stream=True))
    assert text(client) == text(client) == streamed
    assert text(client) != text(client, seed=2)
    assert ask(client).choices[0].message.content != ask(client).choices[0].message.content


def test_max_tokens_cuts_and_says_so(client: openai.OpenAI) -> None:
    """At the limit the answer ends with `length`."""
    choice = ask(client, seed=1, max_tokens=5).choices[0]
    assert (len(choice.message.content.split()), choice.finish_reason) == (5, "length")
    assert ask(client, seed=1).choices[0].finish_reason == "stop"


def test_stop_ends_before_the_sequence(client: openai.OpenAI) -> None:
    """The answer ends before the first stop sequence, which may be one or a list."""
    whole = text(client)
    word = whole.split()[6]
    assert text(client, stop=word) == text(client, stop=["never said", word]) == whole[: whole.index(word)]


def test_temperature_zero_needs_no_seed(client: openai.OpenAI) -> None:
    """Without heat the words are the same whatever the seed."""
    assert text(client, temperature=0, seed=1) == text(client, temperature=0, seed=2)
    assert text(client, top_p=0, seed=1) == text(client, top_p=0, seed=2)


def test_penalties_lessen_repetition(client: openai.OpenAI) -> None:
    """More penalty, more different words; less than none, fewer."""

    def variety(**settings: float) -> int:
        words = text(client, temperature=0.5, **settings).lower().replace(".", "").split()
        return len(set(words))

    assert variety(frequency_penalty=-2) < variety() < variety(frequency_penalty=2)
    assert variety(presence_penalty=-2) < variety(presence_penalty=2)


def test_logit_bias_forbids_and_forces(client: openai.OpenAI) -> None:
    """A token at -100 is never said, one at 100 always."""
    forced = text(client, logit_bias={"7": 100}).lower().replace(".", "").split()
    assert set(forced) == {"fox"}
    assert "fox" not in text(client, logit_bias={"7": -100}).lower()


def test_json_answers_parse(client: openai.OpenAI) -> None:
    """With `response_format` the text is JSON, of the schema where one is given."""
    assert "shots" in json.loads(text(client, response_format={"type": "json_object"}))
    schema = {"type": "object", "properties": {"n": {"type": "integer", "minimum": 3, "maximum": 5}}}
    shaped = {"type": "json_schema", "json_schema": {"name": "s", "schema": schema}}
    assert 3 <= json.loads(text(client, response_format=shaped))["n"] <= 5


def test_a_tool_is_called_with_arguments_of_its_schema(client: openai.OpenAI) -> None:
    """`auto` calls the first tool, a named choice that one, `none` none; streamed pieces add up."""
    call = ask(client, seed=1, tools=TOOLS).choices[0]
    arguments = json.loads(call.message.tool_calls[0].function.arguments)
    assert (call.finish_reason, call.message.tool_calls[0].function.name) == ("tool_calls", "cut_scene")
    assert 1 <= arguments["at_s"] <= 3
    assert arguments["kind"] in ("hard", "soft")
    named = ask(client, tools=TOOLS, tool_choice={"type": "function", "function": {"name": "fade"}}).choices[
        0
    ]
    assert named.message.tool_calls[0].function.name == "fade"
    assert ask(client, tools=TOOLS, tool_choice="none").choices[0].message.tool_calls is None
    deltas = [chunk.choices[0].delta for chunk in ask(client, seed=1, tools=TOOLS, stream=True)]
    pieces = [delta.tool_calls[0].function.arguments for delta in deltas if delta.tool_calls]
    assert len(pieces) > 2
    assert json.loads("".join(pieces)) == arguments


def test_usage_chunk_comes_when_asked(client: openai.OpenAI) -> None:
    """`include_usage` adds one last event without choices."""
    for model in ("sora-2", "sandbox-text"):
        *_, last = ask(client, model=model, stream=True, stream_options={"include_usage": True})
        assert (last.choices, last.usage.prompt_tokens) == ([], 4)


def test_bad_parameters_are_bad_requests(client: openai.OpenAI) -> None:
    """The package raises its BadRequestError, which names the parameter."""
    with pytest.raises(openai.BadRequestError) as caught:
        ask(client, temperature=3)
    assert caught.value.param == "temperature"
    with pytest.raises(openai.BadRequestError) as caught:
        ask(
            client,
            tools=[
                {**TOOLS[0], "function": {"name": "x", "parameters": {"minimum": "low", "type": "number"}}}
            ],
        )
    assert caught.value.param == "tools"


def test_faults_raise_what_the_package_has_for_them(client: openai.OpenAI) -> None:
    """Each error class of the package is met."""
    for directive, error in (
        ("401", openai.AuthenticationError),
        ("403", openai.PermissionDeniedError),
        ("404", openai.NotFoundError),
        ("429", openai.RateLimitError),
        ("500", openai.InternalServerError),
        ("reset", openai.APIConnectionError),
    ):
        with pytest.raises(error):
            ask(client, f"[[fault={directive}]]")
    with pytest.raises(openai.APIError, match="heavy load"):
        list(ask(client, "[[fault=heavy_load]]", model="sora-2", stream=True))


def test_a_wrong_key_is_refused(sandbox: Sandbox) -> None:
    """Started with a key, the sandbox answers 401 to any other."""
    server = sandbox().server
    with (
        openai.OpenAI(base_url=server.base_url, api_key="sk-other", max_retries=0) as client,
        pytest.raises(openai.AuthenticationError),
    ):
        client.models.list()


def test_models_are_listed(client: openai.OpenAI) -> None:
    """Every dialect has a model."""
    names = {model.id for model in client.models.list()}
    assert {"sora-2", "sandbox-text", "sandbox-video-task", "sandbox-video-chars"} <= names


async def test_the_async_client_streams_many_at_once(sandbox: Sandbox) -> None:
    """Fifty streams at once all come to their end."""
    import asyncio

    server = sandbox(duration_s=0.3).server
    async with openai.AsyncOpenAI(
        base_url=server.base_url, api_key="sk-sandbox-tests", max_retries=0
    ) as client:

        async def one(seed: int) -> bool:
            stream = await ask_async(client, seed)
            return [chunk async for chunk in stream][-1].choices[0].finish_reason == "stop"

        assert all(await asyncio.gather(*(one(seed) for seed in range(50))))


async def ask_async(client: openai.AsyncOpenAI, seed: int) -> Any:
    messages: Any = [{"role": "user", "content": "a fox"}]
    return await client.chat.completions.create(model="sora-2", messages=messages, stream=True, seed=seed)
