"""Mutated transcripts against the reader: nothing raises, no address is made up.

    python tests/gateway/fuzz.py --inputs 1000000 [--seed 1]

Every input is two of the project's transcripts, spliced, cut, repeated, glued and damaged, fed in random
chunks. It prints how many inputs there were, how many yielded an event and what they were read as.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from reelsweep.tasks.gateway.fold import Reader
from reelsweep.tasks.gateway.outcome import Outcome

TRANSCRIPTS = Path(__file__).parents[1] / "contract" / "transcripts"
_NOISE = (
    b"data: ",
    b"\n\n",
    b"\r",
    b"\r\n",
    b"[DONE]",
    b"data: [DONE]",
    b"}",
    b"{",
    b"]]}",
    b'"',
    b"\\",
    b"\\u",
    b"\\ud83d",
    b"\xff\xfe",
    b"\xf0\x9f",
    b"\xe2\x80\xa8",
    b"\x00",
    b"```json",
    b"<think>",
    b"</think>",
    b"<video src='",
    b"](http",
    b"https://",
    b"event: error\n",
    b"id: \x00\n",
    b"retry: 1\n",
    b": ping\n\n",
    b'{"error":',
    b'{"choices":null}',
    b'{"choices":[{"delta":{"content":{"a":[1]}}}]}',
    b"NaN",
    b"1e999",
    b"9" * 5000,
    b"[" * 3000,
)
_STRINGS = re.compile(r'"(content|reasoning_content|text|url)"\s*:\s*"((?:[^"\\]|\\.)*)')

Mutation = Callable[[random.Random, bytes, bytes], bytes]


def splice(rng: random.Random, body: bytes, other: bytes) -> bytes:
    """The head of one body and the tail of another, at line ends more often than not."""
    if rng.random() < 0.6:
        head, tail = body.split(b"\n"), other.split(b"\n")
        return b"\n".join(head[: rng.randint(0, len(head))] + tail[rng.randint(0, len(tail)) :])
    return body[: rng.randint(0, len(body))] + other[rng.randint(0, len(other)) :]


def drop(rng: random.Random, body: bytes, _other: bytes) -> bytes:
    """A body without a stretch of it."""
    start = rng.randint(0, len(body))
    return body[:start] + body[start + rng.choice((1, 2, 10, 100, 1000)) :]


def repeat(rng: random.Random, body: bytes, _other: bytes) -> bytes:
    """A body with a stretch of it twice."""
    start = rng.randint(0, len(body))
    end = start + rng.choice((1, 5, 50, 500))
    return body[:end] + body[start:]


def cut(rng: random.Random, body: bytes, _other: bytes) -> bytes:
    """The beginning of a body."""
    return body[: rng.randint(0, len(body))]


def glue(rng: random.Random, body: bytes, other: bytes) -> bytes:
    """A body without some of its line ends, or two in one line."""
    if rng.random() < 0.3:
        return body.rstrip() + other
    return body.replace(b"\n\n", rng.choice((b"", b"\n", b" ", b"\r")), rng.randint(1, 5))


def shuffle(rng: random.Random, body: bytes, _other: bytes) -> bytes:
    """Two lines of a body exchanged."""
    lines = body.split(b"\n")
    first, second = rng.randrange(len(lines)), rng.randrange(len(lines))
    lines[first], lines[second] = lines[second], lines[first]
    return b"\n".join(lines)


def damage(rng: random.Random, body: bytes, _other: bytes) -> bytes:
    """A body with some bytes changed or noise put in."""
    changed = bytearray(body)
    for _ in range(rng.randint(1, 4)):
        at = rng.randint(0, len(changed))
        if rng.random() < 0.5 and at < len(changed):
            changed[at] = rng.randrange(256)
        else:
            changed[at:at] = rng.choice(_NOISE)
    return bytes(changed)


MUTATIONS: tuple[Mutation, ...] = (splice, drop, repeat, cut, glue, shuffle, damage)


@dataclass
class Tally:
    """What a run of the fuzzer came to."""

    num_inputs: int = 0
    num_with_event: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    num_urls: int = 0


def mutate(rng: random.Random, bodies: list[bytes]) -> bytes:
    """One input."""
    body = rng.choice(bodies)
    for _ in range(rng.randint(1, 3)):
        body = rng.choice(MUTATIONS)(rng, body, rng.choice(bodies))
    return body[:20000]


def read(rng: random.Random, body: bytes) -> tuple[Outcome, int]:
    """The Outcome of one input, fed in one to a hundred chunks, and its number of events."""
    reader = Reader(http_status=rng.choice((200, 200, 200, 200, 200, 200, 429, 500, 503, 403)))
    cuts = sorted(rng.randint(0, len(body)) for _ in range(rng.choice((0, 0, 1, 5, 100))))
    for start, end in zip([0, *cuts], [*cuts, len(body)], strict=True):
        reader.feed(body[start:end])
    outcome = reader.end(rng.choice((None, None, "reset", "idle", "timeout", "client")))
    return outcome, reader.num_events


def addresses(outcome: Outcome) -> list[str]:
    """Every address in an Outcome."""
    urls = [choice.video_url for choice in outcome.choices]
    return [url for url in (*urls, outcome.status_url, outcome.preview_url) if url]


def contains(body: bytes, url: str) -> bool:
    """Whether a body holds an address: as it stands, unescaped, or put together from its pieces."""
    text = body.decode("utf-8", "replace")
    plain = _unescaped(text)
    url = url.removeprefix("https:")  # an address may begin with its slashes
    if url in text or url in plain:
        return True
    pieces: dict[str, list[str]] = {}
    for match in _STRINGS.finditer(text):
        pieces.setdefault(match[1], []).append(_unescaped(match[2]))
    return any(url in "".join(parts) for parts in (*pieces.values(), *_joined(text)))


def _joined(text: str) -> list[list[str]]:
    """The texts of every object that a plain parser finds, in order, choice by choice."""
    parts: dict[tuple[int, str], list[str]] = {}
    decoder = json.JSONDecoder(strict=False)
    for line in re.split(r"\r\n|\r|\n", text):
        position = 0
        while (position := line.find("{", position)) >= 0:
            try:
                value, position = decoder.raw_decode(line, position)
            except (ValueError, RecursionError):
                position += 1
                continue
            for index, name, piece in _pieces(value):
                parts.setdefault((index, name), []).append(
                    _unescaped(json.dumps(piece, ensure_ascii=False)[1:-1])
                )
    return list(parts.values())


def _pieces(value: object) -> list[tuple[int, str, str]]:
    """The pieces of text in one event: choice, field, text."""
    choices = value.get("choices") if isinstance(value, dict) else None
    found: list[tuple[int, str, str]] = []
    for choice in choices if isinstance(choices, list) else []:
        if not isinstance(choice, dict):
            continue
        delta = choice.get("delta") or choice.get("message")
        for name in ("content", "reasoning_content"):
            piece = delta.get(name) if isinstance(delta, dict) else None
            if isinstance(piece, str):
                found.append((_index(choice.get("index")), name, piece))
    return found


def _index(value: object) -> int:
    """A choice's number; whatever is none counts as the first."""
    try:
        return int(value) if isinstance(value, int | float | str) and not isinstance(value, bool) else 0
    except (ValueError, OverflowError):
        return 0


def _unescaped(text: str) -> str:
    text = re.sub(r"\\(?:u([0-9a-fA-F]{4})|(.))", _unescape, text, flags=re.DOTALL)
    text = text.replace("\\/", "/")
    return text.replace("&amp;", "&").replace("&#38;", "&").replace("&quot;", '"').replace("&#39;", "'")


def _unescape(match: re.Match[str]) -> str:
    if match[1]:
        return chr(int(match[1], 16))
    return {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}.get(match[2], match[2])


def fuzz(num_inputs: int, seed: int, *, report_every: int = 0) -> Tally:
    """Read that many inputs; raises AssertionError with the input where an address is made up."""
    bodies = [path.read_bytes() for path in sorted(TRANSCRIPTS.glob("*.sse"))]
    rng = random.Random(seed)
    tally = Tally()
    for index in range(num_inputs):
        body = mutate(rng, bodies)
        try:
            outcome, num_events = read(rng, body)
        except Exception as error:
            raise AssertionError(f"input {index} of seed {seed} raised {error!r}: {body!r}") from error
        for url in addresses(outcome):
            assert contains(body, url), f"input {index} of seed {seed}: {url!r} is not in {body!r}"
            tally.num_urls += 1
        tally.num_inputs += 1
        tally.num_with_event += num_events > 0
        tally.statuses[outcome.status] += 1
        if report_every and (index + 1) % report_every == 0:
            print(f"{index + 1} inputs", flush=True)
    return tally


def main() -> None:
    """Run it from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inputs", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    started = time.monotonic()
    tally = fuzz(arguments.inputs, arguments.seed, report_every=100_000)
    share = tally.num_with_event / tally.num_inputs
    print(
        f"{tally.num_inputs} inputs, {share:.1%} with an event, {tally.num_urls} addresses, no exception, "
        f"{time.monotonic() - started:.0f} s: {dict(tally.statuses)}"
    )


if __name__ == "__main__":
    main()
