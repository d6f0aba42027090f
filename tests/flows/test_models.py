"""A plan says when a model is gone, before anything is bought from it."""

from __future__ import annotations

from datetime import date

import pytest
from reelsweep.flows.access import api_key
from reelsweep.flows.options import RunOptions
from reelsweep.flows.planning.models import listed_models, model_warnings
from reelsweep.prompts.errors import SettingsError
from reelsweep.tasks.gateway.profiles import Profile
from reelsweep.tasks.sandbox.server import SandboxServer

PROFILE = Profile.model_validate(
    {
        "name": "mine",
        "base_url": "https://gateway.example/v1",
        "models": {"old": {"end_of_life": "2026-09-24"}, "new": {}},
    }
)
TODAY = date(2026, 11, 22)


def test_a_model_past_its_date_and_one_not_listed_are_named() -> None:
    """The profile's date counts first, then the gateway's own list; a served model is no news."""
    told = list(model_warnings(PROFILE, ["old", "new", "gone", "new"], frozenset({"new", "old"}), TODAY))
    assert len(told) == 2
    assert "gone is not among the 2 models" in told[0]
    assert "old is past its end of life" in told[1]


def test_a_gateway_that_does_not_list_is_not_blamed() -> None:
    """No list, no warning: many gateways have no /models."""
    assert list(model_warnings(PROFILE, ["new", "gone"], None, TODAY)) == []


def test_the_list_of_a_real_gateway_is_read() -> None:
    """GET /models of the sandbox names its models; where nothing answers, nothing is known."""
    with SandboxServer() as sandbox:
        profile = Profile(name="here", base_url=sandbox.base_url, auth="none")
        assert "sora-2" in (listed_models(profile, None) or ())
    assert listed_models(profile, None) is None


def test_a_key_never_travels_in_clear(monkeypatch: pytest.MonkeyPatch) -> None:
    """Over http a key goes to this machine only; elsewhere nothing is sent and the error says why."""
    monkeypatch.setenv("REELSWEEP_API_KEY", "sk-secret")
    clear = Profile(name="clear", base_url="http://gateway.example/v1")
    with pytest.raises(SettingsError, match="in clear") as raised:
        api_key(RunOptions(), clear, is_sandbox=False)
    assert "sk-secret" not in str(raised.value)
    here = Profile(name="here", base_url="http://127.0.0.1:9/v1")
    assert api_key(RunOptions(), here, is_sandbox=False) == "sk-secret"
