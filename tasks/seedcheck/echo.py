"""Whether an answer repeats the seed it was sent: a field `seed` with that number, in any event. Pure."""

from __future__ import annotations

from reelsweep.prompts.request import Json
from reelsweep.tasks.gateway.decode import Decoder


def echoes_seed(body: bytes, seed: int) -> bool:
    """Whether one of the body's JSON objects says `"seed": <seed>` (a number, or its digits as text)."""
    decoder = Decoder()
    events = (*decoder.feed(body), *decoder.end())
    return any(_says(event.value, seed) for event in events if event.kind == "object")


def _says(value: Json, seed: int) -> bool:
    match value:
        case dict():
            said = value.get("seed")
            if not isinstance(said, bool) and (said == seed or said == str(seed)):
                return True
            return any(_says(item, seed) for item in value.values())
        case list():
            return any(_says(item, seed) for item in value)
        case _:
            return False
