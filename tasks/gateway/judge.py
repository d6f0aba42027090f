"""The verdict on a body that has ended: evidence in, one Outcome out.

The last step of reading a body, after `fold`. The order of the questions is the law: what the HTTP status
says, what was refused, what failed, what is there, what can still be asked for; whatever no question
answers is `incomplete` and maybe billed. Pure.
"""

from __future__ import annotations

import re
from dataclasses import replace

from reelsweep.tasks.gateway.classify import classify, classify_text
from reelsweep.tasks.gateway.compose import failed, incomplete, outcome_of, without_result
from reelsweep.tasks.gateway.evidence import ChoiceEvidence, Evidence
from reelsweep.tasks.gateway.faults import Fault, fault_of_text
from reelsweep.tasks.gateway.links import join_url
from reelsweep.tasks.gateway.outcome import Choice, Outcome
from reelsweep.tasks.gateway.pick import Strength
from reelsweep.tasks.gateway.reading import SENTENCE_CHARS, Reading, read_choice, told_failure
from reelsweep.tasks.gateway.values import parse_json

_PAGE = re.compile(r"<(?:!doctype|html|head|body|title)\b", re.IGNORECASE)
_TITLE = re.compile(r"<title[^<>]*>([^<>]{1,200})", re.IGNORECASE)
_THINKING = re.compile(r"<think(?:ing)?>.*?</think(?:ing)?>", re.DOTALL | re.IGNORECASE)
_FENCED = re.compile(r"\A\s*```[A-Za-z]*\s*\n(.*?)\n\s*```\s*\Z", re.DOTALL)


def judge(evidence: Evidence) -> Outcome:
    """The Outcome of a body."""
    if not evidence.terms.is_ok:
        return _by_status(evidence)
    if evidence.terms.output == "text":
        return _judge_text(evidence)
    readings = tuple(read_choice(choice, evidence) for choice in evidence.choices)
    return _judge_video(_enriched(evidence, readings), readings)


def _judge_video(evidence: Evidence, readings: tuple[Reading, ...]) -> Outcome:
    choices = tuple(_choice(reading, evidence.terms.base_url) for reading in readings)
    has_video = any(choice.video_url for choice in choices)
    refused = _refused(evidence, choices)
    if refused is not None:
        return refused
    if evidence.fault is not None and not _is_overtaken(readings):
        verdict = classify(evidence.fault, http_status=evidence.terms.http_status)
        if verdict.rule.status == "refused" or not has_video:
            return failed(evidence, _without_videos(choices), verdict, evidence.fault)
        evidence = _noted(evidence, f"an error came after the video: {evidence.fault.message[:200]}")
    if has_video:
        return outcome_of(evidence, choices, status="succeeded", retry=None, billed="yes")
    for reading in readings:
        told = told_failure(reading, is_ended=evidence.is_ended)
        if told is not None:
            return failed(evidence, choices, *told)
    return _open(evidence, choices)


def _open(evidence: Evidence, choices: tuple[Choice, ...]) -> Outcome:
    """No video and no failure: ask on, or say that there is none, or leave it open."""
    if not evidence.is_ended:
        return _unanswered(evidence, choices)
    if evidence.task_id or evidence.status_url:
        return outcome_of(evidence, choices, status="submitted", retry="poll_status_url", billed="yes")
    if not evidence.is_readable:
        fault = Fault(message="no video could be read, and some events are broken")
        return incomplete(evidence, choices, fault=fault)
    said = next((choice.text.strip() for choice in choices if choice.text and choice.text.strip()), "")
    message = "the answer ended normally without a video" + (f": {said[:200]}" if said else "")
    return without_result(evidence, choices, "no_video", message)


def _unanswered(evidence: Evidence, choices: tuple[Choice, ...]) -> Outcome:
    """A body without an end; where it is no answer at all, say what came instead."""
    junk = evidence.junk.strip()
    if evidence.is_json or not junk or evidence.cut:
        return incomplete(evidence, choices)
    if _is_page(evidence):
        fault = Fault(message=f"a web page came instead of an answer: {_title(junk)}".rstrip(": "))
        return incomplete(evidence, choices, error_type="web_page", fault=fault)
    fault = fault_of_text(junk[:SENTENCE_CHARS])
    if len(junk) <= SENTENCE_CHARS and classify_text(junk, is_marked=False):
        return failed(evidence, choices, classify(fault, http_status=200), fault)
    return incomplete(evidence, choices, error_type="web_page", fault=fault)


def _judge_text(evidence: Evidence) -> Outcome:
    """For text, the content is the result and is not judged: only fields and errors speak."""
    choices = tuple(_text_choice(choice) for choice in evidence.choices)
    refused = _refused(evidence, choices)
    if refused is not None:
        return refused
    if evidence.fault is not None:
        return failed(evidence, choices, classify(evidence.fault, http_status=200), evidence.fault)
    if not evidence.is_ended:
        return _unanswered(evidence, choices)
    if not any(choice.tool_calls or (choice.text or "").strip() for choice in choices):
        return without_result(evidence, choices, "no_text", "the answer ended normally without text")
    if any(choice.is_cut_short for choice in evidence.choices):
        return without_result(evidence, choices, "too_large", "the text is longer than what can be kept")
    if evidence.terms.expects_json and not any(
        choice.tool_calls or _is_json(choice.text or "") for choice in choices
    ):
        message = "response_format asked for JSON and the text does not parse"
        return without_result(evidence, choices, "bad_json", message)
    notes = ("the text reads like a gateway's refusal",) if _reads_like_refusal(choices) else ()
    return outcome_of(evidence, choices, status="succeeded", retry=None, billed="yes", notes=notes)


def _by_status(evidence: Evidence) -> Outcome:
    """An HTTP error: by the fault in its body, the text of its event stream, or the status alone."""
    terms = evidence.terms
    is_page = _is_page(evidence)
    text = next((choice.content.strip() for choice in evidence.choices if choice.content.strip()), "")
    text = text or ("" if is_page else evidence.junk.strip())
    fault = evidence.fault or fault_of_text(text[:SENTENCE_CHARS])
    verdict = classify(fault, http_status=terms.http_status, is_json=evidence.is_json)
    if not fault.message:
        moved = f" to {terms.location}" if terms.location else ""
        title = f": {_title(evidence.junk)}" if is_page and _title(evidence.junk) else ""
        fault = replace(fault, message=f"HTTP {terms.http_status}{moved}{title}")
    return failed(evidence, (), verdict, fault)


def _refused(evidence: Evidence, choices: tuple[Choice, ...]) -> Outcome | None:
    """A refusal that the protocol has a field for, where no choice came through."""
    refusals = [choice for choice in evidence.choices if choice.refusal.strip() or _is_filtered(choice)]
    if not refusals or len(refusals) < len(evidence.choices):
        return None
    first = refusals[0]
    message = first.refusal.strip() or first.content.strip()
    rule = classify_text(message, is_marked=False)
    told_at = rule.refused_at if rule and rule.refused_at != "unspecified" else None
    return outcome_of(
        evidence,
        _without_videos(choices),
        status="refused",
        retry="none",
        billed="maybe",
        error_type="content_policy",
        refused_at=told_at or ("output" if _is_filtered(first) else "unspecified"),
        fault=Fault(message=message or "finish_reason is content_filter"),
    )


def _is_filtered(choice: ChoiceEvidence) -> bool:
    return (choice.finish_reason or "").lower() == "content_filter"


def _is_overtaken(readings: tuple[Reading, ...]) -> bool:
    """Whether a video came after the error: the gateway tried again by itself."""
    return any(
        reading.pick is not None
        and reading.pick.strength < Strength.FIELD
        and reading.pick.position >= reading.evidence.length_at_fault
        for reading in readings
    )


def _enriched(evidence: Evidence, readings: tuple[Reading, ...]) -> Evidence:
    """What the JSON objects in the texts say about the job, where the events did not."""
    found = [found for reading in readings for _, found in reading.answer.objects]
    previews = [*(one.preview for one in found), *(reading.preview for reading in readings)]
    return replace(
        evidence,
        task_id=evidence.task_id or next((one.task_id for one in found if one.task_id), None),
        status_url=evidence.status_url or next((one.status_url for one in found if one.status_url), None),
        preview_url=evidence.preview_url or next((preview for preview in previews if preview), None),
        progress=evidence.progress or tuple(percent for one in found for percent in one.progress),
    )


def _choice(reading: Reading, base_url: str | None) -> Choice:
    video_url = join_url(base_url, reading.pick.url) if reading.pick else None
    return replace(_text_choice(reading.evidence), video_url=video_url)


def _text_choice(choice: ChoiceEvidence) -> Choice:
    return Choice(
        choice_idx=choice.choice_idx,
        text=choice.content or None,
        tool_calls=choice.tool_calls,
        finish_reason=choice.finish_reason,
    )


def _without_videos(choices: tuple[Choice, ...]) -> tuple[Choice, ...]:
    return tuple(replace(choice, video_url=None) for choice in choices)


def _noted(evidence: Evidence, note: str) -> Evidence:
    return replace(evidence, notes=(*evidence.notes, note))


def _is_json(text: str) -> bool:
    """Whether the text is JSON, thinking and a code fence around it apart."""
    text = _THINKING.sub("", text)
    fenced = _FENCED.match(text)
    return not isinstance(parse_json((fenced[1] if fenced else text).strip()), ValueError)


def _reads_like_refusal(choices: tuple[Choice, ...]) -> bool:
    texts = [choice.text for choice in choices if choice.text and len(choice.text) <= SENTENCE_CHARS]
    rules = [classify_text(text, is_marked=False) for text in texts]
    return any(rule is not None and rule.status == "refused" for rule in rules)


def _is_page(evidence: Evidence) -> bool:
    """Whether HTML came instead of an answer."""
    said = (evidence.terms.content_type or "").lower().startswith("text/html")
    return bool(evidence.junk) and (said or bool(_PAGE.search(evidence.junk)))


def _title(page: str) -> str:
    title = _TITLE.search(page)
    return title[1].strip() if title else ""
