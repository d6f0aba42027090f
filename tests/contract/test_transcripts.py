"""Every transcript, the project's own and those recorded elsewhere, is read as its expectation says.

The project's transcripts stand in `transcripts/`, one `.sse` body and one `.json` each, named by family.
Where a folder of recorded bodies lies beside the project, those are read too.
"""

from __future__ import annotations

import json
import random
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from reelsweep.tasks.gateway.explain import explain, manifest_status_of
from reelsweep.tasks.gateway.fold import Reader, read_body
from reelsweep.tasks.gateway.outcome import Outcome

OWN = Path(__file__).parent / "transcripts"
RECORDED = Path(__file__).parents[2].parent / "shared" / "wire-samples"

FAMILIES = "ABCDEFGHIJKLMNOPQRST"
ABSENT_FROM_BODY = {"L01_apicore_veo3_ack_only_real": "status_url"}
"""An expectation that names a host which stands nowhere in the body: null is right there."""


@dataclass(frozen=True)
class Transcript:
    """One recorded body and what is expected of it."""

    name: str
    body: bytes
    facts: dict[str, Any]
    is_own: bool

    @property
    def expected(self) -> dict[str, Any]:
        return self.facts["expected"]

    def read(self, body: bytes | None = None, cut: str | None = None) -> Outcome:
        return read_body(self.body if body is None else body, cut=cut, **self.terms)

    @property
    def terms(self) -> dict[str, Any]:
        names = ("http_status", "content_type", "base_url", "headers")
        return {name: self.facts[name] for name in names if name in self.facts}


def transcripts() -> list[Transcript]:
    """The project's own, then the recorded ones where they are."""
    return [
        Transcript(
            path.stem, path.read_bytes(), json.loads(path.with_suffix(".json").read_text()), folder == OWN
        )
        for folder in (OWN, RECORDED)
        for path in sorted(folder.glob("*.sse"))
    ]


ALL = transcripts()
each = pytest.mark.parametrize("transcript", ALL, ids=lambda transcript: transcript.name)
each_own = pytest.mark.parametrize(
    "transcript", [one for one in ALL if one.is_own], ids=lambda transcript: transcript.name
)


def test_every_family_has_a_transcript() -> None:
    """Each family of dialects that is known has at least one transcript of the project's own."""
    assert {one.name[0] for one in ALL if one.is_own} == set(FAMILIES)


@each
def test_it_is_read_as_expected(transcript: Transcript) -> None:
    """Status, video, ids, retry, progress and causes are what the expectation names."""
    outcome = transcript.read()
    got: dict[str, Any] = {**explain(outcome), **_facts(outcome)}
    expected = dict(transcript.expected)
    if not transcript.is_own:
        got = _in_recorded_words(got, transcript)
        expected = {name: value for name, value in expected.items() if name in RECORDED_FIELDS}
        expected["retry"] = expected["retry"] or "none"
        if ABSENT_FROM_BODY.get(transcript.name) == "status_url":
            assert expected["status_url"].split("/")[2].encode() not in transcript.body
            expected["status_url"] = None
    assert {name: got[name] for name in expected} == expected


@each
def test_it_is_the_same_in_any_chunks(transcript: Transcript) -> None:
    """Single bytes and a hundred random ways to cut the body give the same Outcome."""
    whole = transcript.read()
    rng = random.Random(transcript.name)
    body = transcript.body
    splits = [list(range(len(body)))] if len(body) < 4000 else []
    splits += [
        sorted(rng.randrange(len(body) + 1) for _ in range(rng.choice((1, 3, 20)))) for _ in range(100)
    ]
    for cuts in splits:
        reader = Reader(**transcript.terms)
        for start, end in zip([0, *cuts], [*cuts, len(body)], strict=True):
            reader.feed(body[start:end])
        assert reader.end() == whole


@each
def test_names_do_not_matter(transcript: Transcript) -> None:
    """Other hosts, models and ids in the body change these strings in the result and nothing else."""
    before = transcript.read()
    renamed = _renaming(transcript, before)
    body = transcript.body
    for old, new in renamed:
        body = body.replace(old.encode(), new.encode())
    expected = json.dumps(explain(before), ensure_ascii=False)
    for old, new in renamed:
        expected = expected.replace(old, new)
    assert explain(transcript.read(body)) == json.loads(expected)


@each
def test_a_cut_makes_nothing_up(transcript: Transcript) -> None:
    """Cut anywhere, a body never yields half an address, half an id, or a result it does not hold."""
    whole = transcript.read()
    step = max(1, len(transcript.body) // 60)
    for end in range(0, len(transcript.body), step):
        part = transcript.read(transcript.body[:end], cut="reset")
        for name in ("video_url", "task_id", "status_url", "preview_url"):
            assert getattr(part, name) in (None, getattr(whole, name)), (name, end)
        if part.status == "succeeded":
            assert whole.status == "succeeded"


@each_own
def test_a_cut_before_the_end_is_never_a_normal_end(transcript: Transcript) -> None:
    """With half of a body that succeeds and no address in it, the outcome is open and maybe billed."""
    half = transcript.read(transcript.body[: len(transcript.body) // 2], cut="reset")
    if transcript.expected["status"] == "succeeded" and half.video_url is None:
        assert (half.status, half.billed) == ("incomplete", "maybe")


RECORDED_FIELDS = (
    "status",
    "video_url",
    "task_id",
    "status_url",
    "retry",
    "progress",
    "error_code",
    "retry_after_s",
)


def _facts(outcome: Outcome) -> dict[str, Any]:
    return {
        "billed": outcome.billed,
        "error_type": outcome.error_type,
        "refused_at": outcome.refused_at,
        "stop_scope": outcome.stop_scope,
        "preview_url": outcome.preview_url,
        "retry_after_s": outcome.retry_after_s,
        "manifest_status": manifest_status_of(outcome),
    }


def _in_recorded_words(got: dict[str, Any], transcript: Transcript) -> dict[str, Any]:
    """The recorded expectations call refusals and stops `failed`, and leave out what they do not ask."""
    status = {"refused": "failed", "stopped": "failed"}.get(got["status"], got["status"])
    return {**got, "status": status, "retry": got["retry"] or "none"}


def _renaming(transcript: Transcript, outcome: Outcome) -> list[tuple[str, str]]:
    """New names for every host, model and id that stands in the body, the longest first."""
    text = transcript.body.decode("utf-8", "replace")
    hosts = set(re.findall(r"https?://([^/\s\"'\\<>()?]+)", text))
    ids = set(re.findall(r'"(?:id|task_id)": ?"([^"]{2,})"', text)) | {outcome.task_id or ""}
    ids = {name for name in ids if name in text}
    models = {name for name in re.findall(r'"model": ?"([^"]*)"', text) if name.strip()}
    names = sorted(hosts | ids | models, key=len, reverse=True)
    pairs: list[tuple[str, str]] = []
    for index, name in enumerate(filter(None, names)):
        clashes = [other for other in names if other and other != name and name in other]
        if not clashes and text.count(name) < 300:
            kind = f"h{index}.renamed.test" if name in hosts else f"zq-{index}-renamed"
            pairs.append((name, kind))
    return pairs
