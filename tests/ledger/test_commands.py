"""How a command that a person copies names a ledger."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from reelsweep.prompts.errors import SettingsError, TroubleError
from reelsweep.tasks.ledger.place import ServerPlace, about, parse_place, reconcile_command
from reelsweep.tasks.ledger.trouble import REBUILD

_SECRET = "hunter2"


def test_an_outs_own_ledger_is_not_named(tmp_path: Path) -> None:
    """It is found by itself; another one is named by its whole path, wherever the command is typed."""
    own = parse_place(f"sqlite:///{tmp_path / 'ledger.db'}")
    assert own.option(str(tmp_path)) == ""
    other = parse_place("sqlite:///my ledger.db")
    assert shlex.split(other.option(str(tmp_path))) == [
        "--ledger",
        f"sqlite:///{Path('my ledger.db').absolute()}",
    ]


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://me@host:5432/db?sslmode=require", "postgresql://me@host:5432/db?sslmode=require"),
        (f"postgresql://me:{_SECRET}@host/db", "postgresql://me:PASSWORD@host/db"),
        (f"postgresql://me@host/db?password={_SECRET}", "postgresql://me@host/db?password=PASSWORD"),
        (f"postgresql://host/db?sslpassword={_SECRET}&a=b", "postgresql://host/db?sslpassword=PASSWORD&a=b"),
    ],
)
def test_a_servers_url_is_named_without_its_password(url: str, shown: str) -> None:
    """What is printed is seen by others, and copied into messages."""
    place = parse_place(url)
    assert isinstance(place, ServerPlace)
    option = place.option("out", {"OTHER": "postgresql://elsewhere/db"})
    assert shlex.split(option) == ["--ledger", shown]
    assert _SECRET not in option


@pytest.mark.parametrize(
    "login", ["me:hun/ter2", "me:hun#ter2", "me:12/ter2@x", "me:hunter2@[", "me:hun?ter2", "me:12?ter2"]
)
def test_a_url_whose_password_cannot_be_told_apart_is_refused(login: str) -> None:
    """Before a driver reads it otherwise, and says a part of it."""
    with pytest.raises(SettingsError, match="cannot be read") as caught:
        parse_place(f"postgresql://{login}@host/db")
    assert "ter2" not in str(caught.value)


@pytest.mark.parametrize(
    "rest",
    [
        "/db",
        "me@h1:5432,h2:5433/db",
        "me:@/db?host=/run/pg",
        "[::1]:5432/db",
        "[::1]/db",
        "me@host",
        "me:p%2Fw@h/d",
    ],
)
def test_other_urls_of_servers_are_taken_as_they_are(rest: str) -> None:
    """Several hosts, a socket's folder, an address in brackets."""
    assert parse_place(f"postgresql://{rest}") == ServerPlace(f"postgresql://{rest}")


def test_a_secret_url_is_named_by_its_variable() -> None:
    """The command then runs as it stands, in the shell that the first one was given in."""
    place = ServerPlace(f"postgresql://me:{_SECRET}@host/db")
    environ = {"WORDS": "x", "LEDGER_URL": f"postgres://me:{_SECRET}@host/db"}
    assert place.option("out", environ) == '--ledger "$LEDGER_URL"'


def test_damage_names_the_output_folder(tmp_path: Path) -> None:
    """The ledger itself knows none by its name; who opened it does."""
    place = parse_place(f"sqlite:///{tmp_path / 'other.db'}")
    error = about(TroubleError("damaged.", f"Run `{REBUILD}`."), "my out", place)
    command = f"reelsweep reconcile 'my out' --rebuild --ledger sqlite:///{tmp_path / 'other.db'}"
    assert (error.message, error.remedy) == ("damaged.", f"Run `{command}`.")
    assert command == reconcile_command("my out", place, "--rebuild")
    full = TroubleError("full.", "Free some space.")
    assert about(full, "my out", place) is full
