"""Profiles: what is particular about one gateway, as data."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reelsweep.prompts.errors import SettingsError
from reelsweep.tasks.gateway.profiles import SHIPPED, Profile, load_profile, read_profile

MESSAGES = [{"role": "system", "content": "s"}, {"role": "user", "content": "a cat"}]


def profile(**fields: Any) -> Profile:
    """A profile of some gateway."""
    return Profile.model_validate({"name": "p", "base_url": "https://api.example.com", **fields})


def test_every_shipped_profile_is_valid() -> None:
    """The shipped files load, and the sandbox and a documented example are among them."""
    names = {path.stem for path in SHIPPED.glob("*.yaml")}
    assert {"sandbox", "example"} <= names
    for name in names:
        assert load_profile(name).name == name
    assert load_profile("sandbox").auth == "none"


def test_the_example_says_every_field() -> None:
    """Each field of a profile stands in the documented example."""
    text = (SHIPPED / "example.yaml").read_text()
    assert [name for name in Profile.model_fields if name != "name" and f"\n{name}:" not in text] == []


def test_a_url_is_a_profile_by_itself() -> None:
    """An unknown URL gets the default profile; its forms are one gateway."""
    forms = (
        "https://gw.example.net",
        "https://GW.example.net/v1/",
        "https://gw.example.net/v1/chat/completions",
    )
    loaded = [load_profile(form) for form in forms]
    assert {one.base_url for one in loaded} == {"https://gw.example.net/v1"}
    assert {one.origins for one in loaded} == {("https://gw.example.net",)}


def test_a_listed_origin_is_its_profile() -> None:
    """A past address finds the profile, is asked as given, and keeps the gateway's name."""
    loaded = load_profile("https://old.example.com/v1")
    assert (loaded.name, loaded.base_url) == ("example", "https://old.example.com/v1")
    assert loaded.origins[0] == "https://api.example.com"


def test_a_users_profile_wins_by_name(tmp_path: Path) -> None:
    """A folder of the user's is looked at too; a file can be named directly."""
    (tmp_path / "example.yaml").write_text("base_url: https://mine.example.org\n")
    assert load_profile("example", [tmp_path]).base_url == "https://mine.example.org/v1"
    assert load_profile(str(tmp_path / "example.yaml")).name == "example"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{}", "base_url"),
        ("base_url: ftp://x", "https://host/v1"),
        ("base_url: https://user:pw@x.example.com", "no user name"),
        ("base_url: https://x.example.com\napi_key: sk-1", "api_key"),
        ("base_url: https://x.example.com\napi_key_env: sk-123-456", "api_key_env"),
        ("base_url: https://x.example.com\nprices: {m: {price: cheap, date: 2026-01-01}}", "prices.m.price"),
        ("base_url: https://x.example.com\nstatus_url: https://x.example.com/tasks", "task_id"),
        (
            "base_url: https://x.example.com\nsize: {as: model, template: '{size.__class__}'}",
            "expected one of",
        ),
        ("base_url: https://x.example.com\nsize: {as: magic}", "size"),
        ("- a list", "mapping"),
        ("a: [", "profile"),
    ],
)
def test_a_wrong_profile_says_what_is_wrong(tmp_path: Path, text: str, problem: str) -> None:
    """One line names the file and the field; a key in the file is refused."""
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(SettingsError) as caught:
        read_profile(path)
    assert problem in str(caught.value)
    assert "\n" not in caught.value.message
    assert "sk-123" not in str(caught.value)


def test_an_unknown_name_lists_the_known() -> None:
    """A misspelt profile is told what there is."""
    with pytest.raises(SettingsError, match="example, sandbox"):
        load_profile("exampel")


@pytest.mark.parametrize(
    ("fields", "payload", "changed"),
    [
        ({}, {"size": "1280x720", "seconds": 8}, {"size": "1280x720", "seconds": 8}),
        (
            {"size": {"as": "body", "field": "aspect", "values": {"1280x720": "large"}}},
            {"size": "1280x720"},
            {"aspect": "large"},
        ),
        (
            {"seconds": {"as": "body", "field": "duration", "type": "string"}},
            {"seconds": 8.0},
            {"duration": "8"},
        ),
        ({"seconds": {"as": "body", "type": "number"}}, {"seconds": "8"}, {"seconds": 8}),
        (
            {
                "size": {"as": "model", "template": "-{orientation}"},
                "seconds": {"as": "model", "template": "-{seconds}s"},
            },
            {"model": "m", "size": "720x1280", "seconds": 15},
            {"model": "m-15s-portrait"},
        ),
        (
            {"size": {"as": "prompt", "template": ", ratio {ratio}"}},
            {"size": "720x1280", "messages": MESSAGES},
            {"messages": [MESSAGES[0], {"role": "user", "content": "a cat, ratio 9:16"}]},
        ),
        (
            {"size": {"as": "prompt", "template": " {size}"}},
            {
                "size": "1x1",
                "messages": [
                    {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "image_url"}]}
                ],
            },
            {
                "messages": [
                    {"role": "user", "content": [{"type": "text", "text": "a 1x1"}, {"type": "image_url"}]}
                ]
            },
        ),
    ],
)
def test_size_and_seconds_are_said_the_gateways_way(fields: Any, payload: Any, changed: Any) -> None:
    """Body fields, pieces of the model's name, or words after the prompt."""
    before = repr(payload)
    assert profile(**fields).respell(payload) == changed
    assert repr(payload) == before


@given(
    st.dictionaries(st.sampled_from(["model", "seed", "temperature"]), st.one_of(st.text(), st.integers()))
)
def test_what_is_not_asked_is_not_changed(payload: Any) -> None:
    """Without size and seconds, every spelling leaves the request alone."""
    spelled = profile(
        size={"as": "model", "template": "-{size}"}, seconds={"as": "prompt", "template": "{seconds}"}
    )
    assert spelled.respell(payload) == payload


def test_a_model_past_its_end_of_life_is_told() -> None:
    """After the date there is a line, on it and before there is none."""
    dated = profile(models={"m": {"end_of_life": "2026-09-24"}})
    assert dated.model_warning("m", date(2026, 9, 24)) is None
    assert "2026-09-24" in (dated.model_warning("m", date(2026, 9, 25)) or "")
    assert dated.model_warning("other", date(2030, 1, 1)) is None


@pytest.mark.parametrize(
    ("written", "ttl_s"),
    [
        ({"honoured": True, "ttl": "24h"}, 86_400),
        ({"honoured": True, "ttl": 90}, 90),
        ({"honoured": False, "ttl": "1d"}, None),
        ({}, None),
    ],
)
def test_a_profile_says_how_long_a_key_is_honoured(written: dict[str, Any], ttl_s: float | None) -> None:
    """A time as people write it; without the promise there is none."""
    assert profile(idempotency=written).key_ttl_s == ttl_s


@pytest.mark.parametrize("written", [{"honoured": True}, {"honoured": True, "ttl": "soon"}, {"ttl": -1}])
def test_a_promise_without_an_end_is_refused(written: dict[str, Any], tmp_path: Path) -> None:
    """Nobody remembers for ever, and nothing is guessed: one line says what is expected."""
    path = tmp_path / "mine.yaml"
    path.write_text(json.dumps({"base_url": "https://api.example.com", "idempotency": written}))
    with pytest.raises(SettingsError, match=r"idempotency.*: got .*, expected .*\. Correct the file\."):
        read_profile(path)
