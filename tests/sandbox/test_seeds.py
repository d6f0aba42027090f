"""Seeds and fingerprints: honoured, ignored, echoed, drifting, as the script says."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import pytest

Sandbox = Callable[..., Any]


def clip(caller: Any, **fields: Any) -> str:
    return hashlib.sha256(caller.get(caller.video_url(**fields)).body).hexdigest()


def test_an_honoured_seed_gives_the_same_bytes(sandbox: Sandbox) -> None:
    """The same request twice is the same file, another seed another."""
    caller = sandbox()
    assert clip(caller, seed=7) == clip(caller, seed=7) != clip(caller, seed=8)


def test_without_a_seed_every_clip_is_new(sandbox: Sandbox) -> None:
    """No seed, no repetition."""
    caller = sandbox()
    assert len({clip(caller) for _ in range(4)}) == 4


@pytest.mark.parametrize("mode", ["ignored", "echoed"])
def test_an_ignored_seed_gives_another_clip(sandbox: Sandbox, mode: str) -> None:
    """The seed changes nothing, whether it is said back or not."""
    caller = sandbox(seed=mode)
    assert clip(caller, seed=7) != clip(caller, seed=7)
    said = {event.get("seed") for event in caller.post(seed=7).events}
    assert said == ({7} if mode == "echoed" else {None})


def test_size_and_seconds_are_heeded(sandbox: Sandbox) -> None:
    """`size` and `seconds` of the request win over the script's."""
    caller = sandbox()
    assert len({clip(caller, seed=1, **more) for more in ({}, {"size": "96x64"}, {"seconds": "1"})}) == 3


@pytest.mark.parametrize(("mode", "expected"), [("fixed", 1), ("drifting", 3)])
def test_fingerprints_drift_when_told(sandbox: Sandbox, mode: str, expected: int) -> None:
    """A drifting fingerprint changes every `drift_every` jobs, a fixed one never."""
    caller = sandbox(fingerprint=mode, drift_every=2)
    assert len({caller.post().events[0]["system_fingerprint"] for _ in range(6)}) == expected


def test_a_fingerprint_can_be_absent(sandbox: Sandbox) -> None:
    """Many gateways never send one."""
    assert all("system_fingerprint" not in event for event in sandbox(fingerprint="absent").post().events)


def test_a_drift_can_change_the_clips(sandbox: Sandbox) -> None:
    """With `drift_changes_clips` the same seed gives another file after a drift, and the same within one."""
    caller = sandbox(fingerprint="drifting", drift_every=2, drift_changes_clips=True)
    one, same, other = (clip(caller, seed=7) for _ in range(3))
    assert one == same != other


def test_clips_are_padded_with_bytes_of_their_own(sandbox: Sandbox) -> None:
    """Load tests get large files that differ, of few pictures."""
    caller = sandbox(clip_bytes=100_000, clip_variants=1)
    bodies = [caller.get(caller.video_url(seed=seed)).body for seed in range(3)]
    assert min(map(len, bodies)) >= 100_000
    assert len(set(bodies)) == 3
