"""The record of the gateways that this user has named: names only, many writers, never in the way."""

from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from reelsweep.flows.access import named_gateway
from reelsweep.flows.options import RunOptions
from reelsweep.flows.trust import MOST_KEPT, NAME, read_namings, remember

URL = "https://video.example.com/v1"
NEWER = '{"format_version": 2, "gateways": [{"gateway": "https://video.example.com", "how": "anyhow"}]}'


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """This user's folder, not there yet."""
    monkeypatch.setenv("REELSWEEP_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def name(gateway: str, **options: str) -> None:
    """Name a gateway, as a command does."""
    named = RunOptions(gateway=gateway, **options)  # type: ignore[arg-type]
    remember(named_gateway(named), named)


def test_the_last_naming_of_a_gateway_is_kept(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One entry a gateway, with the variable of its key and no key; for this user's eyes only."""
    monkeypatch.setenv("MINE", "sk-Kq7Vx9wZt3")
    name(URL)
    name("https://other.example.com")
    name(f"{URL}/chat/completions", api_key_env="MINE")
    assert [(one.gateway, one.named, one.api_key_env) for one in read_namings(home)] == [
        ("https://other.example.com", "https://other.example.com", "REELSWEEP_API_KEY"),
        ("https://video.example.com", f"{URL}/chat/completions", "MINE"),
    ]
    assert "sk-" not in (home / NAME).read_text()
    assert stat.S_IMODE((home / NAME).stat().st_mode) == 0o600


def test_a_profile_is_kept_by_a_path_that_stays_true(
    home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The next command may be given in another folder."""
    (tmp_path / "mine.yaml").write_text(f"base_url: {URL}\n")
    monkeypatch.chdir(tmp_path)
    name("mine.yaml")
    assert [one.named for one in read_namings(home)] == [str(tmp_path / "mine.yaml")]


def test_the_sandbox_needs_no_trust(home: Path) -> None:
    """It gets no key and is on this machine."""
    name("sandbox:8777")
    assert not home.exists()


@pytest.mark.parametrize("text", ["", "{", "[]", "\x00", '{"gateways": [{}]}', NEWER])
def test_a_record_that_cannot_be_read_trusts_nobody(home: Path, text: str) -> None:
    """Whatever was written there; naming a gateway begins it anew."""
    home.mkdir()
    (home / NAME).write_text(text)
    assert read_namings(home) == ()
    name(URL)
    assert [one.gateway for one in read_namings(home)] == ["https://video.example.com"]


def test_a_record_that_cannot_be_written_stops_nothing(home: Path) -> None:
    """A home that is a file, or a folder in the record's place: the gateway is named again the next time."""
    home.write_text("a file")
    name(URL)
    home.unlink()
    (home / NAME).mkdir(parents=True)
    name(URL)
    assert read_namings(home) == ()


def test_writers_at_once_lose_nothing(home: Path) -> None:
    """Each one's gateway is there."""
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: name(f"https://g{number}.example.com"), range(24)))
    assert len(read_namings(home)) == 24


def test_the_record_does_not_grow_for_ever(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The gateways named longest ago go first."""
    monkeypatch.setattr("reelsweep.flows.trust.MOST_KEPT", 2)
    for number in range(3):
        name(f"https://g{number}.example.com")
    assert MOST_KEPT > 100
    assert [one.gateway for one in read_namings(home)] == ["https://g1.example.com", "https://g2.example.com"]
