"""Asking after a job: where, and what the answer means.

For a stream that was cut or only acknowledged; by GET, never by a second POST. The answers are the
OpenAI Videos object (`GET {base}/videos/{id}`: id, status, progress, error), pages with `status`,
`video_url` and `error_message`, and whatever else has fields of these kinds. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from urllib.parse import quote, urlsplit

from reelsweep.tasks.gateway.classify import classify
from reelsweep.tasks.gateway.compose import failed, incomplete, outcome_of, without_result
from reelsweep.tasks.gateway.decode import Decoder
from reelsweep.tasks.gateway.evidence import Evidence, Terms
from reelsweep.tasks.gateway.faults import Fault, fault_of
from reelsweep.tasks.gateway.headers import terms_of
from reelsweep.tasks.gateway.links import join_url, split_url
from reelsweep.tasks.gateway.outcome import Choice, Outcome
from reelsweep.tasks.gateway.structure import Found, find
from reelsweep.tasks.gateway.values import JsonObject, as_text

_ASK_AGAIN = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524})
_TEMPLATE_FIELDS = ("base_url", "origin", "task_id")


def read_status(
    body: bytes,
    *,
    http_status: int = 200,
    base_url: str | None = None,
    task_id: str | None = None,
    status_url: str | None = None,
    headers: Mapping[str, str] | None = None,
    now: datetime | None = None,
) -> Outcome:
    """What a status page says of a job that has been paid for.

    `submitted` while it runs and where the page should be asked again; `succeeded` with an address, by
    default the content's (`{base}/videos/{id}/content`); `failed` or `refused` by its error;
    `incomplete` where this page knows nothing, so that another may be asked.
    """
    terms = replace(terms_of(headers or {}, now), http_status=http_status, base_url=base_url)
    value = _object_in(body)
    found = find(value)
    evidence = _evidence(terms, value, found, task_id or found.task_id, status_url or found.status_url)
    return _by_page(evidence, value, found) if terms.is_ok else _by_status(evidence)


def recovery_urls(
    *,
    task_id: str | None = None,
    status_url: str | None = None,
    base_url: str | None = None,
    template: str | None = None,
) -> tuple[str, ...]:
    """Where to ask, in this order: the address seen, the profile's template, `{base}/videos/{id}`."""
    urls = [join_url(base_url, status_url)] if status_url else []
    if task_id and base_url and _is_plain(task_id):
        if template:
            urls.append(_fill(template, task_id, base_url))
        urls.append(f"{base_url.rstrip('/')}/videos/{_quoted(task_id)}")
    return tuple(dict.fromkeys(url for url in urls if url.startswith(("http://", "https://"))))


def content_url(task_id: str, base_url: str) -> str:
    """Where the OpenAI Videos shape serves the bytes of a finished job."""
    return f"{base_url.rstrip('/')}/videos/{_quoted(task_id)}/content"


def _by_page(evidence: Evidence, value: JsonObject, found: Found) -> Outcome:
    """What the page itself says: a failure, then a job still running, then its video."""
    fault = fault_of(value)
    if fault is not None and found.state == "failed":
        return failed(evidence, (), classify(fault, http_status=200), fault)
    if fault is not None and found.state is None and not found.videos:
        return incomplete(evidence, (), error_type="not_found", fault=fault)
    if found.state == "running":
        return _running(evidence)
    if found.videos:
        choices = tuple(
            Choice(choice_idx=index, video_url=join_url(evidence.terms.base_url, url))
            for index, url in enumerate(found.videos)
        )
        return outcome_of(evidence, choices, status="succeeded", retry=None, billed="yes")
    if found.state == "completed":
        return _completed(evidence)
    return incomplete(evidence, (), fault=Fault(message="the status page says nothing about the job"))


def _object_in(body: bytes) -> JsonObject:
    """The page's object; of several (an event stream), the last."""
    decoder = Decoder()
    values = [event.value for event in (*decoder.feed(body), *decoder.end()) if event.kind == "object"]
    return values[-1] if values else {}


def _evidence(
    terms: Terms, value: JsonObject, found: Found, task_id: str | None, status_url: str | None
) -> Evidence:
    return Evidence(
        terms=terms,
        cut=None,
        is_ended=True,
        is_json=bool(value),
        num_events=1 if value else 0,
        choices=(),
        fault=None,
        task_id=task_id,
        status_url=status_url,
        preview_url=found.preview,
        progress=tuple(found.progress),
        junk="",
        fragments=(),
        served_model=as_text(value.get("model")) or None,
    )


def _running(evidence: Evidence, fault: Fault | None = None) -> Outcome:
    outcome = outcome_of(
        evidence, (), status="submitted", retry="poll_status_url", billed="yes", fault=fault or Fault()
    )
    return replace(outcome, retry_after_s=evidence.terms.retry_after_s)


def _by_status(evidence: Evidence) -> Outcome:
    """An HTTP error about a page says nothing about the job: ask again, or elsewhere."""
    status = evidence.terms.http_status
    fault = Fault(message=f"the status page answered HTTP {status}")
    if status in _ASK_AGAIN:
        return _running(evidence, fault)
    return incomplete(
        evidence, (), error_type="not_found" if status in (404, 410) else "server_error", fault=fault
    )


def _completed(evidence: Evidence) -> Outcome:
    """Finished without an address: the content's, where the job has an id and the gateway a base."""
    base_url, task_id = evidence.terms.base_url, evidence.task_id
    if not base_url or not task_id or not _is_plain(task_id):
        return without_result(evidence, (), "no_video", "the job is finished and the page names no video")
    choice = Choice(choice_idx=0, video_url=content_url(task_id, base_url))
    return outcome_of(evidence, (choice,), status="succeeded", retry=None, billed="yes")


def _fill(template: str, task_id: str, base_url: str) -> str:
    parts = urlsplit(base_url)
    values = dict(
        zip(
            _TEMPLATE_FIELDS,
            (base_url.rstrip("/"), f"{parts.scheme}://{parts.netloc}", _quoted(task_id)),
            strict=True,
        )
    )
    for name, text in values.items():
        template = template.replace(f"{{{name}}}", text)
    return join_url(base_url, template)


def _quoted(task_id: str) -> str:
    return quote(task_id, safe=":")


def _is_plain(task_id: str) -> bool:
    """Whether an id can be one part of a path."""
    return task_id not in (".", "..") and split_url(f"http://host/{task_id}") is not None
