"""The content checks that are switched on, as a person writes them: `--checks` (pure)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from reelsweep.prompts.errors import SettingsError
from reelsweep.tasks.artifacts.asked import Asked
from reelsweep.tasks.artifacts.checks import CHECKS, Facts

_BY_NAME = {check.name: check for check in CHECKS}
EXPECT_AUDIO = "expect_audio"


@dataclass(frozen=True, slots=True, kw_only=True)
class Checks:
    """The checks that are switched on."""

    limits: Mapping[str, float]
    """Check to threshold."""
    expect_audio: bool = False
    """Audio counts as asked for, whatever the request says."""

    @classmethod
    def parse(cls, text: str) -> Checks:
        """`default`, `none`, or a list such as `black,frozen` or `-near_duplicate,black=0.5`.

        A list that begins with a plain name holds what it names and nothing else; any other changes the
        default. Raises SettingsError.
        """
        items = [item.strip() for item in text.split(",")]
        limits = {} if items[0] in _BY_NAME else dict(DEFAULT_CHECKS.limits)
        expect_audio = False
        for item in items:
            name, equals, number = item.removeprefix("-").partition("=")
            if item == "default":
                limits = dict(DEFAULT_CHECKS.limits)
            elif item == "none":
                limits = {}
            elif item == EXPECT_AUDIO:
                expect_audio = True
            elif name not in _BY_NAME or (equals and item.startswith("-")):
                raise _refused(item)
            elif item.startswith("-"):
                limits.pop(name, None)
            else:
                limits[name] = _limit(name, number) if equals else limits.get(name, _BY_NAME[name].limit)
        return cls(limits=limits, expect_audio=expect_audio)

    def __str__(self) -> str:
        """What `parse` reads as these."""
        if self == DEFAULT_CHECKS:
            return "default"
        told = [f"{name}={self.limits[name]:g}" for name in _BY_NAME if name in self.limits]
        return ",".join(["none", *told, *([EXPECT_AUDIO] if self.expect_audio else [])])


DEFAULT_CHECKS = Checks(limits={check.name: check.limit for check in CHECKS})


def _limit(name: str, text: str) -> float:
    low, high = {"silent": (-120.0, 0.0), "duration": (0.0, 3600.0)}.get(name, (0.0, 1.0))
    try:
        limit = float(text)
    except ValueError:
        limit = float("nan")
    if not low <= limit <= high:
        expected = f"a number from {low:g} to {high:g} ({_BY_NAME[name].limit_means})"
        raise SettingsError(f"--checks {name}: got {text!r}, expected {expected}.")
    return limit


def _refused(item: str) -> SettingsError:
    if item.removeprefix("-").partition("=")[0] == "decodes":
        return SettingsError("--checks: `decodes` is always on; a clip that does not decode is no success.")
    known = ", ".join((*_BY_NAME, EXPECT_AUDIO))
    return SettingsError(
        f"--checks: got {item!r}, expected default, none, NAME, NAME=LIMIT or -NAME.", f"Names: {known}."
    )


def judge(asked: Asked, facts: Facts, checks: Checks) -> dict[str, str | None]:
    """For each check that looks at one clip alone: empty when it passes, why it fails, or None."""
    wanted = replace(asked, audio=True) if checks.expect_audio else asked
    return {
        check.name: check.judge(wanted, facts, checks.limits[check.name])
        for check in CHECKS
        if check.judge is not None and check.name in checks.limits
    }
