"""What is written down is what is there."""

from __future__ import annotations

import importlib.util
import re
import subprocess
from pathlib import Path

import pytest


def load_generated(project: Path) -> object:
    """The module that makes the README's generated parts."""
    spec = importlib.util.spec_from_file_location("generated", project / "tests/conventions/generated.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_generated_parts_of_the_readme_are_current(project: Path) -> None:
    """Columns and causes in the README are those of the code; `make docs` writes them."""
    text = (project / "README.md").read_text()
    assert load_generated(project).generate(text) == text  # type: ignore[attr-defined]


def test_links_lead_somewhere(project: Path) -> None:
    """Every relative link of every README names a file that exists."""
    for readme in [*project.glob("*.md"), *project.glob("*/README.md"), *project.glob("*/*/README.md")]:
        if ".venv" in readme.parts or "node_modules" in readme.parts:
            continue
        for link in re.findall(r"\]\(([^)#:]+)\)", readme.read_text()):
            assert (readme.parent / link).exists(), f"{readme}: {link}"


def test_make_help_lists_every_target(project: Path) -> None:
    """`make help` explains every target there is."""
    makefile = (project / "Makefile").read_text()
    phony = re.search(r"^\.PHONY: (.*)$", makefile, re.M)
    assert phony is not None
    shown = subprocess.run(["make", "help"], cwd=project, capture_output=True, text=True, check=True).stdout
    missing = [name for name in phony[1].split() if not re.search(rf"^\s+{name}\s", shown, re.M)]
    assert not missing


@pytest.mark.parametrize(
    "name", ["README.md", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "constraints.txt"]
)
def test_what_a_visitor_looks_for_is_there(project: Path, name: str) -> None:
    """The files every project has stand at the root."""
    assert (project / name).stat().st_size > 100
