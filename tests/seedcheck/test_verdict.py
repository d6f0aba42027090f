"""What three generations say about a seed."""

from __future__ import annotations

from typing import Any

import pytest
from reelsweep.tasks.artifacts.likeness import Look
from reelsweep.tasks.seedcheck.echo import echoes_seed
from reelsweep.tasks.seedcheck.verdict import Made, judge

BITS = 512


def clip(frames: str, bits: int = 0) -> Look:
    """A clip whose hash has so many bits set."""
    return Look(sha256=frames, frames_sha256=frames, phash=f"{(1 << bits) - 1:0128x}")


def made(look: Look | None = None, name: str = "A", **fields: Any) -> Made:
    """One of the three."""
    return Made(name=name, **{"status": "success", "look": look, **fields})


@pytest.mark.parametrize(
    ("same", "other", "verdict"),
    [
        (clip("a"), clip("b", 240), "honoured"),
        (clip("c", 50), clip("b", 240), "honoured"),
        (clip("a"), clip("b", 3), "honoured"),
        (clip("c", 60), clip("b", 240), "ignored"),
        (clip("c", 230), clip("b", 240), "ignored"),
        (clip("c", 240), clip("a"), "ignored"),
        (clip("a"), clip("a"), "cannot tell"),
        (clip("c", 1), clip("b", 9), "cannot tell"),
        (clip("c", 9), clip("b", 1), "cannot tell"),
    ],
)
def test_a_seed_is_honoured_when_its_repetition_is_far_closer(same: Look, other: Look, verdict: str) -> None:
    """Closer than a quarter of the way to the other seed; three clips that are all alike say nothing."""
    found = judge(made(clip("a")), made(same), made(other))
    assert (found.verdict, found.same is not None) == (verdict, True)


def test_a_seed_that_is_only_said_back_is_called_that() -> None:
    """Every answer must repeat it: one alone may be chance."""
    three = [made(clip("a"), echoes_seed=True), made(clip("c", 200)), made(clip("b", 240), echoes_seed=True)]
    assert judge(*three).verdict == "ignored"
    three[1] = made(clip("c", 200), echoes_seed=True)
    assert judge(*three).verdict == "echoed only"


def test_a_seed_that_is_said_back_and_followed_is_honoured() -> None:
    """What the results do counts, not what is said."""
    three = [made(look, echoes_seed=True) for look in (clip("a"), clip("a"), clip("b", 240))]
    assert judge(*three).verdict == "honoured"


def test_a_cached_answer_is_no_evidence() -> None:
    """The first job given back again would look like an honoured seed."""
    a, again, b = made(clip("a"), job="1"), made(clip("a"), job="1"), made(clip("b", 240), job="2")
    assert judge(a, again, b).verdict == "cannot tell"
    assert judge(a, again, made(clip("b", 240), job="1")).verdict == "honoured"  # a gateway without real ids


@pytest.mark.parametrize("place", [0, 1, 2])
def test_one_of_three_missing_tells_nothing(place: int) -> None:
    """The reason names it, and why it is missing."""
    three = [made(clip("a"), name=name) for name in ("A", "A'", "B")]
    three[place] = made(name=three[place].name, status="refused", message="no kites")
    found = judge(*three)
    assert found.verdict == "cannot tell"
    assert found.reason == f"{three[place].name} ended as refused: no kites"


@pytest.mark.parametrize(
    ("texts", "verdict"),
    [(("x", "x", "y"), "honoured"), (("x", "y", "z"), "ignored"), (("x", "x", "x"), "cannot tell")],
)
def test_texts_are_compared_letter_for_letter(texts: tuple[str, str, str], verdict: str) -> None:
    """Equal or not."""
    assert judge(*(made(said=text) for text in texts)).verdict == verdict


@pytest.mark.parametrize(
    ("body", "echoed"),
    [
        (b'data: {"seed": 4001, "choices": []}\n\ndata: [DONE]\n\n', True),
        (b'data: {"choices": [{"delta": {}, "meta": {"seed": "4001"}}]}\n\n', True),
        (b'{"seed": 4001}', True),
        (b'data: {"seed": 4002}\n\n', False),
        (b'data: {"seed": true, "choices": [{"delta": {"content": "seed 4001"}}]}\n\n', False),
        (b"", False),
    ],
)
def test_an_echo_is_a_field_of_an_event(body: bytes, echoed: bool) -> None:
    """The number sent, in a field `seed`; words in an answer are none."""
    assert echoes_seed(body, 4001) == echoed
