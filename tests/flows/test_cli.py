"""`reelsweep --help`: what a newcomer reads first."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib import import_module
from inspect import getdoc
from pathlib import Path

import pytest
from reelsweep.flows.cli import COMMANDS
from reelsweep.flows.commands.sandbox import sandbox
from reelsweep.prompts.errors import UsageError
from reelsweep.tasks.sandbox.script import Script

PLACES = {
    "run": "runs/sandbox/TABLE.",
    "plan": "runs/TABLE,",
    "seedcheck": "runs/seedcheck/GATEWAY-MODEL when",
}


def help_of(*arguments: str) -> str:
    """What `reelsweep …` prints on a terminal so wide that no line is broken."""
    return subprocess.run(
        [sys.executable, "-m", "reelsweep.flows.cli", *arguments],
        env={**os.environ, "COLUMNS": "400"},
        capture_output=True,
        check=True,
        encoding="utf-8",
        timeout=120,
    ).stdout


def test_the_list_of_commands_says_what_each_does() -> None:
    """Beside the name of every command stands how its docstring begins."""
    listed = help_of("--help")
    for name, does in COMMANDS.items():
        command = getattr(import_module(f"reelsweep.flows.commands.{name}"), name)
        assert (getdoc(command) or "").startswith(does)
        assert does.replace("`", "") in listed


@pytest.mark.parametrize("name", PLACES)
def test_the_help_shows_what_a_path_is_made_of(name: str) -> None:
    """No part of a path is lost as if it were markup."""
    assert PLACES[name] in help_of(name, "--help")


@pytest.mark.parametrize(
    "text", ['{"rates": [{"name": "cut", "rate": 0.1}]}', "not JSON", None], ids=["fields", "JSON", "missing"]
)
def test_a_mistake_in_a_sandbox_script_is_one_line_whose_remedy_works(
    tmp_path: Path, text: str | None
) -> None:
    """It names file and fields; the example in it is a script that the sandbox takes."""
    path = tmp_path / "script.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(UsageError) as caught:
        sandbox(script=path)
    assert "\n" not in caught.value.message
    assert str(path) in caught.value.message
    assert Script.model_validate_json(caught.value.remedy.removeprefix("Write JSON such as ").rstrip("."))


@pytest.mark.parametrize(
    ("words", "said", "remedy"),
    [
        (
            ("status", "one", "two three"),
            "takes no more than came before: 'two three'",
            "reelsweep status --help",
        ),
        (("show", "one"), "--row requires", "reelsweep show --help"),
    ],
)
def test_what_cannot_be_read_names_the_command_and_its_help(
    words: tuple[str, ...], said: str, remedy: str
) -> None:
    """One word too many, or too few: the line says which, and whose help says how it is meant."""
    ended = subprocess.run(
        [sys.executable, "-m", "reelsweep.flows.cli", *words],
        capture_output=True,
        encoding="utf-8",
        timeout=120,
    )
    assert ended.returncode == 2
    assert said in ended.stderr
    assert f"See `{remedy}`." in ended.stderr
