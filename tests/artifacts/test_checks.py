"""What a request asks of its clip, and whether the clip is that."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reelsweep.prompts.errors import SettingsError
from reelsweep.tasks.artifacts.asked import Asked, asked_of
from reelsweep.tasks.artifacts.checklist import DEFAULT_CHECKS, Checks, judge
from reelsweep.tasks.artifacts.checks import CHECKS

GOOD = {
    "duration_s": 4.04,
    "width": 1280,
    "height": 720,
    "fps": 23.976,
    "black_share": 0.1,
    "frozen_share": 0.02,
    "has_audio": True,
    "audio_peak_dbfs": -12.0,
}
ASKED = {"size": "1280x720", "seconds": 4, "fps": 24, "audio": True}


@pytest.mark.parametrize(
    ("payload", "asked"),
    [
        ({}, Asked()),
        ({"size": "1280x720", "seconds": 4}, Asked(width=1280, height=720, seconds=4.0)),
        ({"width": 640, "height": 360, "duration": "5s"}, Asked(width=640, height=360, seconds=5.0)),
        ({"size": "16:9", "frame_rate": 24}, Asked(ratio=16 / 9, fps=24.0)),
        ({"aspect_ratio": "9:16", "resolution": "1080x1920"}, Asked(width=1080, height=1920)),
        ({"size": "large", "seconds": "auto", "fps": True}, Asked()),
        ({"generate_audio": "true"}, Asked(audio=True)),
        ({"audio": {"voice": "alto"}}, Asked(audio=True)),
        ({"audio": "off", "sound": False}, Asked()),
    ],
)
def test_what_is_asked_is_read_from_the_request(payload: dict[str, Any], asked: Asked) -> None:
    """Under the names that gateways use; what cannot be understood asks for nothing."""
    assert asked_of(payload) == asked


def test_a_clip_as_asked_passes_every_check() -> None:
    """Small differences, such as 23.976 frames for 24, are within the tolerances."""
    told = judge(asked_of(ASKED), GOOD, DEFAULT_CHECKS)
    assert told == dict.fromkeys(("duration", "size", "fps", "black", "frozen", "silent"), "")


@pytest.mark.parametrize(
    ("check", "facts", "reason"),
    [
        ("duration", {"duration_s": 8.0}, "8 s, asked for 4 s"),
        ("size", {"width": 720, "height": 1280}, "720x1280, asked for 1280x720"),
        ("fps", {"fps": 16.0}, "16 frames a second, asked for 24"),
        ("black", {"black_share": 0.95}, "95% of its frames are black"),
        ("frozen", {"frozen_share": 0.75}, "nothing moves for 75% of the clip"),
        ("silent", {"audio_peak_dbfs": -91.0}, "it gets no louder than -91 dBFS"),
        ("silent", {"has_audio": False, "audio_peak_dbfs": None}, "there is no sound track"),
    ],
)
def test_each_check_fails_alone_and_says_why(check: str, facts: dict[str, Any], reason: str) -> None:
    """The reason names what came and what was asked."""
    told = judge(asked_of(ASKED), {**GOOD, **facts}, DEFAULT_CHECKS)
    assert {name: why for name, why in told.items() if why} == {check: reason}


def test_what_was_not_asked_or_is_not_known_is_not_judged() -> None:
    """A clip of an older Reelsweep, of a request that says nothing, fails nothing."""
    assert set(judge(Asked(), {}, DEFAULT_CHECKS).values()) == {None}
    assert judge(asked_of(ASKED), {"has_audio": True}, DEFAULT_CHECKS)["silent"] is None


def test_sound_counts_as_asked_for_where_the_user_says_so() -> None:
    """`expect_audio` makes a clip without sound a reject although no request field asks."""
    silent = {**GOOD, "has_audio": False}
    assert judge(Asked(), silent, DEFAULT_CHECKS)["silent"] is None
    assert judge(Asked(), silent, Checks.parse("default,expect_audio"))["silent"] == "there is no sound track"


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("default", {check.name for check in CHECKS}),
        ("none", set[str]()),
        ("black,frozen", {"black", "frozen"}),
        ("-fps,-size", {check.name for check in CHECKS} - {"fps", "size"}),
        ("none,black=0.5", {"black"}),
        ("near_duplicate=0.1", {check.name for check in CHECKS}),
    ],
)
def test_checks_are_switched_by_name(text: str, names: set[str]) -> None:
    """A list that begins with a plain name holds what it names; any other changes the default."""
    assert set(Checks.parse(text).limits) == names


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("blakc", "got 'blakc'"),
        ("", "got ''"),
        ("-black=1", "got '-black=1'"),
        ("black=2", "--checks black: got '2', expected a number from 0 to 1"),
        ("silent=nan", "expected a number from -120 to 0"),
        ("-decodes", "`decodes` is always on"),
    ],
)
def test_a_wrong_list_is_refused_with_what_is_allowed(text: str, message: str) -> None:
    """One line that says what was got and what was expected."""
    with pytest.raises(SettingsError, match=message.replace("(", r"\(")):
        Checks.parse(text)


@given(st.sets(st.sampled_from([check.name for check in CHECKS])), st.booleans())
def test_checks_are_read_back_as_they_are_written(names: set[str], audio: bool) -> None:
    """What an OUT keeps of its checks gives the same checks again."""
    text = ",".join(["none", *sorted(names), *(["expect_audio"] if audio else [])])
    assert Checks.parse(str(Checks.parse(text))) == Checks.parse(text)
