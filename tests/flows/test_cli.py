"""`reelsweep --help`: what a newcomer reads first."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib import import_module
from inspect import getdoc

import pytest
from reelsweep.flows.cli import COMMANDS

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
