"""One choice, looked at: which video it names and what failure it tells.

Between `fold` and `judge`, at the end of a body. Pure.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from reelsweep.tasks.gateway.classify import Verdict, classify, classify_text
from reelsweep.tasks.gateway.echo import Answer, clean
from reelsweep.tasks.gateway.evidence import ChoiceEvidence, Evidence
from reelsweep.tasks.gateway.faults import Fault, fault_of, fault_of_text
from reelsweep.tasks.gateway.pick import (
    Bounds,
    Pick,
    Strength,
    pick_alone,
    pick_labelled,
    pick_preview,
    pick_video,
)

SENTENCE_CHARS = 600
"""A longer text without a failure marker is no error message."""

_RETRYING = re.compile(r"正在重试|自动重试|次重试|retrying|will retry|falling back", re.IGNORECASE)
_FAILURE = re.compile(
    r"^[^\n]*(?:[❌✖🚫⛔]|(?:生成|处理|创建|任务)失败|失败原因|生成超时"
    r"|\b(?:generation|task|request|video) (?:has )?failed\b"
    r"|^[\s>*#]{0,12}(?:error|failed|错误)\s*[:：])[^\n]*",
    re.MULTILINE | re.IGNORECASE,
)
_REASONING_FAILURE = re.compile(r"fail|失败|错误|\berror\b", re.IGNORECASE)
_DECORATION = re.compile(
    r"[❌✖🚫⛔]|^[\s>*#]+|^\W*(?:(?:视频|图片)?(?:生成|处理|创建|任务)失败|generation failed)\W*[:：]?\s*",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """A choice and what was found in it; `preview` only where there is no video."""

    evidence: ChoiceEvidence
    answer: Answer
    pick: Pick | None
    preview: str | None
    failure: re.Match[str] | None


def read_choice(choice: ChoiceEvidence, evidence: Evidence) -> Reading:
    """Look for the video and for a failure; a video before a told failure is none."""
    answer = clean(choice.marked)
    bounds = Bounds(
        task_id=evidence.task_id,
        status_url=evidence.status_url,
        asked=evidence.terms.asked_urls,
        is_ended=evidence.is_ended,
        last_piece=choice.last_piece,
    )
    failures = [found for found in _FAILURE.finditer(answer.text) if not _RETRYING.search(found[0])]
    failure = failures[-1] if failures else None
    pick = _pick(choice, answer, bounds, evidence)
    if pick and failure and pick.strength < Strength.FIELD:
        pick = pick if pick.position > failure.end() and pick.is_sure else None
    preview = None if pick else pick_preview(answer.text, bounds)
    return Reading(evidence=choice, answer=answer, pick=pick, preview=preview, failure=failure)


def told_failure(reading: Reading, *, is_ended: bool) -> tuple[Verdict, Fault] | None:
    """A failure told in the content: as JSON, in a marked line, or, at a normal end, in a plain sentence."""
    whole = reading.answer.whole
    fault = None if whole is None else fault_of(whole)
    if fault is not None:
        return classify(fault, http_status=200), fault
    is_marked = reading.failure is not None
    text = reading.answer.text[reading.failure.start() if reading.failure else 0 :].strip()
    if not text or (not is_marked and (not is_ended or len(text) > SENTENCE_CHARS)):
        return None
    fault = fault_of_text(text[:SENTENCE_CHARS])
    rule = classify_text(fault.message, is_marked=is_marked)
    if rule is None:
        return None
    verdict = classify(fault, http_status=200)
    return verdict, Fault(message=_undecorated(fault.message), code=fault.code, request_id=fault.request_id)


def _pick(choice: ChoiceEvidence, answer: Answer, bounds: Bounds, evidence: Evidence) -> Pick | None:
    structured = next((url for url in choice.videos if bounds.allow(url)), None)
    if structured:
        return Pick(structured, len(choice.marked), Strength.FIELD)
    pick = pick_video(answer, bounds) or _pick_thought(choice, answer, bounds)
    if pick is not None or choice.choice_idx > 0:
        return pick
    picks = [pick_labelled(clean(fragment).text, bounds) for fragment in evidence.fragments]
    return next((found for found in reversed(picks) if found), None)


def _pick_thought(choice: ChoiceEvidence, answer: Answer, bounds: Bounds) -> Pick | None:
    """Some gateways give the result as reasoning; what follows a failure there is none."""
    text = f"{choice.reasoning}\n{answer.thinking}"
    failure = _REASONING_FAILURE.search(text)
    text = clean(text[: failure.start()] if failure else text).text
    found = pick_labelled(text, bounds) or (pick_alone(text, bounds) if bounds.is_ended else None)
    return Pick(found.url, -1, found.strength) if found else None


def _undecorated(message: str) -> str:
    """A sentence without its marker, where something is left."""
    plain = message
    for _ in range(3):
        plain = _DECORATION.sub("", plain).strip()
    return " ".join((plain or message).split())
