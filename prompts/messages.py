"""The messages of a request: system, user turns with their images, turns that follow others.

Used by `expand`. Pure. Images stand in them by sha256 and followed turns by the parent's fingerprint
(`request.wire_body` puts the real ones in).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from reelsweep.prompts.request import IMAGE_TAG, TURN_TAG, Json


def user_turn(text: str, images: Sequence[str] = ()) -> dict[str, Json]:
    """A user message: text alone, or text and then the images of these sha256."""
    if not images:
        return {"role": "user", "content": text}
    return {"role": "user", "content": [{"type": "text", "text": text}, *map(_image_part, images)]}


def followed_turn(parent_fingerprint: str) -> dict[str, Json]:
    """The assistant message that stands for the finished turn of a parent."""
    return {"role": "assistant", "content": TURN_TAG + parent_fingerprint}


def with_images(messages: Sequence[Json], images: Sequence[str]) -> list[Json]:
    """The conversation with images after the text of its last user message."""
    last = max(index for index, message in enumerate(messages) if _role(message) == "user")
    match messages[last]:
        case {"content": str(text)} as message:
            parts: list[Json] = [{"type": "text", "text": text}]
        case {"content": list(parts)} as message:
            pass
        case _:
            return list(messages)
    filled: dict[str, Json] = {**message, "content": [*parts, *map(_image_part, images)]}
    return [*messages[:last], filled, *messages[last + 1 :]]


def without_images(messages: Sequence[Json]) -> list[Json]:
    """The conversation as `with_images` was given it."""
    return [_without_images(message) for message in messages]


def _without_images(message: Json) -> Json:
    match message:
        case {"content": list(parts)} as told:
            return {**told, "content": [part for part in parts if not image_hashes([{"content": [part]}])]}
        case _:
            return message


def _image_part(sha256: str) -> dict[str, Json]:
    return {"type": "image_url", "image_url": {"url": IMAGE_TAG + sha256}}


def followed_fingerprint(messages: Sequence[Json]) -> str | None:
    """The parent whose turn the last message answers; None where nothing is followed."""
    match messages:
        case [*_, {"content": str(text)}, _] if text.startswith(TURN_TAG):
            return text.removeprefix(TURN_TAG)
        case _:
            return None


def has_system(messages: Sequence[Json]) -> bool:
    """Whether the conversation brings its own system message."""
    return any(_role(message) in ("system", "developer") for message in messages)


def prompt_text(messages: Sequence[Json]) -> str | None:
    """The text of the last user message, for people."""
    last = next((message for message in reversed(messages) if _role(message) == "user"), None)
    texts = list(_texts([last]))
    return "\n".join(texts) if texts else None


def mention_json(messages: Sequence[Json]) -> bool:
    """Whether JSON is asked for in words, as `json_object` demands."""
    return any("json" in text.casefold() for text in _texts(messages))


def image_hashes(messages: Sequence[Json]) -> tuple[str, ...]:
    """The sha256 of every image, in order."""
    urls = (part["image_url"] for message in messages for part in _parts(message) if "image_url" in part)
    found = (image.get("url") for image in urls if isinstance(image, dict))
    return tuple(
        url.removeprefix(IMAGE_TAG) for url in found if isinstance(url, str) and url.startswith(IMAGE_TAG)
    )


def _texts(messages: Sequence[Json]) -> Iterator[str]:
    for message in messages:
        match message:
            case {"content": str(text)}:
                yield text
            case _:
                parts = (part.get("text") for part in _parts(message))
                yield from (text for text in parts if isinstance(text, str))


def _parts(message: Json) -> list[dict[str, Json]]:
    content = message.get("content") if isinstance(message, dict) else None
    return [part for part in content if isinstance(part, dict)] if isinstance(content, list) else []


def _role(message: Json) -> Json:
    return message.get("role") if isinstance(message, dict) else None
