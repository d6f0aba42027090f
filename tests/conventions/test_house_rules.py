"""House rules that a reviewer would otherwise have to remember."""

from __future__ import annotations

import ast
import importlib
import inspect
import pickle
import pkgutil
import re
import subprocess
from pathlib import Path

import pytest
import reelsweep.flows
import reelsweep.prompts
import reelsweep.tasks
from packaging.requirements import Requirement
from reelsweep.flows.bulk import bulk
from reelsweep.flows.commands.flags import RunFlags
from reelsweep.prompts.errors import Problem, ReelsweepError

PACKAGES = ("prompts", "tasks", "flows")
NOT_NAMES = re.compile(r"(^|_)(utils?|helpers?|common|manager|data|misc)$")


def tracked(project: Path, *patterns: str) -> list[Path]:
    """Files of the project that git knows, or would take."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *patterns]
    names = subprocess.run(command, cwd=project, capture_output=True, text=True, check=True).stdout
    return [project / name for name in names.splitlines() if (project / name).is_file()]


def modules(project: Path) -> list[Path]:
    return tracked(project, *(f"{package}/*.py" for package in PACKAGES))


def test_every_module_says_its_place(project: Path) -> None:
    """Every module with code begins with a docstring."""
    silent = [
        path
        for path in modules(project)
        if path.read_text() and not ast.get_docstring(ast.parse(path.read_text()))
    ]
    assert not silent


def test_no_module_is_a_drawer(project: Path) -> None:
    """A module is named for its one idea, never utils, helpers or manager."""
    assert not [path for path in modules(project) if NOT_NAMES.search(path.stem)]


def test_nothing_is_left_undone(project: Path) -> None:
    """No stub, no note to self, no test that is switched off."""
    undone = re.compile(r"NotImplementedError|\bTODO\b|\bFIXME\b|pytest\.mark\.(skip|xfail)\b")
    found = [
        f"{path}: {line}"
        for path in tracked(project, "*.py")
        if path.name != "test_house_rules.py"
        for line in path.read_text().splitlines()
        if undone.search(line)
    ]
    assert not found


def test_no_address_of_a_package_index_is_written_down(project: Path) -> None:
    """Where packages come from is the machine's business, and no path of a machine is the project's."""
    parts = ["py" + "pi.org", "python" + "hosted", "registry." + "npmjs", "/" + "work/", "/root" + "/"]
    found = [
        f"{path}: {part}"
        for path in tracked(project)
        if path.suffix not in {".jpg", ".png", ".mp4"}
        for part in parts
        if part in path.read_text(errors="replace")
    ]
    assert not found


def test_the_pins_fit_what_is_asked_for(project: Path) -> None:
    """constraints.txt pins a version for every dependency, within its bounds, without an address."""
    lines = (project / "constraints.txt").read_text().splitlines()
    assert not [line for line in lines if "://" in line or "@" in line]
    pins = dict(line.split("==") for line in lines if "==" in line)
    pinned = {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in pins.items()}
    text = (project / "pyproject.toml").read_text()
    asked = [
        Requirement(spec) for spec in re.findall(r'^    "([A-Za-z][^"]*[0-9])",$', text, re.M) if ">=" in spec
    ]
    assert len(asked) > 20
    for requirement in asked:
        version = pinned[re.sub(r"[-_.]+", "-", requirement.name).lower()]
        assert requirement.specifier.contains(version), requirement


def all_errors() -> list[type[ReelsweepError]]:
    """Every error class of ours."""
    for package in (reelsweep.prompts, reelsweep.tasks, reelsweep.flows):
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not found.name.endswith("__main__"):
                importlib.import_module(found.name)
    classes: list[type[ReelsweepError]] = [ReelsweepError]
    for kind in classes:
        classes += kind.__subclasses__()
    return [kind for kind in dict.fromkeys(classes) if kind.__module__.startswith("reelsweep.")]


SAMPLES = {"problems": (Problem(row=1, column="seed", message="no"),), "http_status": 404, "retryable": True}


def test_every_error_survives_pickling() -> None:
    """An error that crosses a process keeps its words and its facts."""
    kinds = all_errors()
    assert len(kinds) > 8
    for kind in kinds:
        names = list(inspect.signature(kind).parameters)
        if names == ["summary"]:
            continue
        error = kind(*(SAMPLES.get(name, name) for name in names))
        again = pickle.loads(pickle.dumps(error))
        assert (type(again), str(again), again.args) == (kind, str(error), error.args)


def test_options_have_one_name_everywhere() -> None:
    """What `run` takes `bulk` takes, under the same name."""
    flags = set(RunFlags.__dataclass_fields__)
    parameters = set(inspect.signature(bulk.fn).parameters) - {"table"}
    assert flags == parameters


HOST = re.compile(r"https?://([A-Za-z0-9.-]+)")
NO_GATEWAY = re.compile(
    r"^[^.]*$|^[0-9.]+$|\.(example|invalid|test)$|^example\.|\.example\.|^docs\.prefect\.io$|^www\.w3\.org$"
)


@pytest.mark.parametrize("package", PACKAGES)
def test_no_gateways_host_is_in_the_code(project: Path, package: str) -> None:
    """A gateway is known by its structure: no host of one is in any module or shipped profile."""
    found = [
        f"{path}: {host}"
        for path in tracked(project, f"{package}/*.py", f"{package}/*.yaml")
        for host in HOST.findall(path.read_text())
        if not NO_GATEWAY.search(host.rstrip("."))
    ]
    assert not found
