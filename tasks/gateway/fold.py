"""Events to evidence, and at the end of the body to an Outcome: the reader of every gateway.

After `client`, before the ledger. Built from structure (where texts, addresses, ids and percentages
can stand), not from a list of gateways. While the body runs, only what can be known is known: `task_id`,
`status_url`, `preview_url`, `progress`; the verdict waits for the end. Pure, and nothing here raises,
whatever the bytes are. Memory is bounded however long a line or a stream is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime

from reelsweep.prompts.request import Output
from reelsweep.tasks.gateway.decode import Decoder, Event
from reelsweep.tasks.gateway.evidence import ChoiceEvidence, Evidence
from reelsweep.tasks.gateway.faults import Fault, fault_of
from reelsweep.tasks.gateway.headers import terms_of
from reelsweep.tasks.gateway.judge import judge
from reelsweep.tasks.gateway.outcome import Outcome, Usage
from reelsweep.tasks.gateway.pick import urls_in
from reelsweep.tasks.gateway.piece import ChoiceFold
from reelsweep.tasks.gateway.salvage import text_of_fragment
from reelsweep.tasks.gateway.scan import Scanner
from reelsweep.tasks.gateway.structure import Found, find, hides_text
from reelsweep.tasks.gateway.texts import Allowance
from reelsweep.tasks.gateway.values import JsonObject, as_int, as_object, as_objects

MAX_CHOICES = 128
MAX_PROGRESS = 65536

_ENVELOPE = frozenset(
    {
        "id",
        "object",
        "created",
        "model",
        "choices",
        "usage",
        "system_fingerprint",
        "service_tier",
        "error",
        "provider",
        "obfuscation",
        "prompt_filter_results",
    }
)


class Reader:
    """Feed the body's bytes as they come, then ask for its Outcome.

    `task_id`, `status_url` and `preview_url` are set the moment they can be known; `progress` and
    `num_events` grow. `num_events` counts the JSON events understood, errors apart: a failure before the
    first one is not billed.
    """

    def __init__(
        self,
        *,
        http_status: int = 200,
        content_type: str | None = None,
        base_url: str | None = None,
        headers: Mapping[str, str] | None = None,
        output: Output = "video",
        expects_json: bool = False,
        stream_errors_free: bool = False,
        asked_text: str = "",
        now: datetime | None = None,
    ) -> None:
        """`asked_text` is the request's text, whose addresses are never a result; `now` dates Retry-After."""
        self.task_id: str | None = None
        self.status_url: str | None = None
        self.preview_url: str | None = None
        self.progress: list[float] = []
        self.num_events = 0
        self._terms = replace(
            terms_of(headers or {}, now),
            http_status=http_status,
            content_type=content_type,
            base_url=base_url,
            output=output,
            expects_json=expects_json,
            stream_errors_free=stream_errors_free,
            asked_urls=urls_in(asked_text),
        )
        self._decoder = Decoder()
        self._allowance = Allowance()
        self._choices: dict[int, ChoiceFold] = {}
        self._fault: Fault | None = None
        self._is_json = False
        self._is_whole = False
        self._ids: dict[str, str] = {}
        self._usage = Usage()
        self._notes: dict[str, None] = {}

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes, however they are cut."""
        for event in self._decoder.feed(chunk):
            self._fold(event)

    def end(self, cut: str | None = None) -> Outcome:
        """The Outcome of all that was fed; `cut` is reset, idle, timeout or client, None for a clean end."""
        for event in self._decoder.end():
            self._fold(event)
        return judge(self._evidence(cut))

    def _fold(self, event: Event) -> None:
        if event.kind != "object":
            self._break(is_done=event.kind == "done")
            return
        value = event.value
        self._is_json = True
        fault = fault_of(value, event_name=event.name)
        understood = self._fold_choices(value, event)
        understood = self._fold_extras(value, event, is_fault=fault is not None) or understood
        if fault is not None:
            self._fault = fault
            for choice in self._choices.values():
                choice.length_at_fault = choice.content.marked_length
        elif understood:
            self.num_events += 1
        elif hides_text(value):
            self._break(is_done=False)
        self._fold_envelope(value)

    def _break(self, *, is_done: bool) -> None:
        for choice in self._choices.values():
            choice.add_break(is_done=is_done)

    def _fold_choices(self, value: JsonObject, event: Event) -> bool:
        choices = value.get("choices")
        if not isinstance(choices, list):
            return False
        percents: list[float] = []
        for piece in as_objects(choices):
            choice = self._choice(as_int(piece.get("index")) or 0)
            if choice is None:
                self._notes[f"choices beyond {MAX_CHOICES} were left out"] = None
                continue
            found = choice.add(piece, percents)
            self._learn(found, choice)
            self._is_whole = self._is_whole or (event.bare and "message" in piece)
        self._note_progress(percents)
        return not (event.name == "error" or ("error" in value and not choices))

    def _fold_extras(self, value: JsonObject, event: Event, *, is_fault: bool) -> bool:
        """Fields beside the envelope (a job's state, ids, results), or the whole event without choices."""
        has_choices = isinstance(value.get("choices"), list)
        if has_choices and value.keys() <= _ENVELOPE:
            return False
        extras: JsonObject = {k: v for k, v in value.items() if k not in _ENVELOPE} if has_choices else value
        found = find(extras)
        if not found.is_something:
            return not has_choices and not is_fault and bool(as_object(value.get("usage")))
        self._learn(found, None)
        self._note_progress(found.progress)
        if event.bare and not has_choices and (found.state or found.task_id):
            self._is_whole = True
        return not is_fault

    def _learn(self, found: Found | None, choice: ChoiceFold | None) -> None:
        """Take what a JSON object said; a video that comes after an error overtakes it."""
        if found is None:
            return
        self.task_id = self.task_id or found.task_id
        self.status_url = self.status_url or found.status_url
        self.preview_url = self.preview_url or found.preview
        if not found.videos:
            return
        self._fault = None
        for index, url in enumerate(found.videos if choice is None else found.videos[:1]):
            target = choice or self._choice(index)
            if target is not None:
                target.videos.insert(0, url)
                del target.videos[8:]

    def _choice(self, index: int) -> ChoiceFold | None:
        choice = self._choices.get(index)
        if choice is None and len(self._choices) < MAX_CHOICES:
            choice = self._choices[index] = ChoiceFold(
                index, self._allowance, is_watched=self._terms.output == "video"
            )
        return choice

    def _note_progress(self, percents: list[float]) -> None:
        """Percentages of one event, repeats apart; then whatever the texts made known."""
        if percents and len(self.progress) < MAX_PROGRESS:
            self.progress += percents
        if self.task_id is None or self.status_url is None:
            for scanner in self._scanners():
                self.task_id = self.task_id or scanner.task_id
                self.status_url = self.status_url or scanner.status_url

    def _scanners(self) -> Iterator[Scanner]:
        for choice in self._choices.values():
            yield from (choice.content_scanner, choice.reasoning_scanner)

    def _fold_envelope(self, value: JsonObject) -> None:
        for name in ("id", "model", "system_fingerprint"):
            text = value.get(name)
            if isinstance(text, str) and text.strip() and (name != "id" or name not in self._ids):
                self._ids[name] = text.strip()[:200]
        usage = as_object(value.get("usage"))
        if usage:
            prompt, completion = as_int(usage.get("prompt_tokens")), as_int(usage.get("completion_tokens"))
            self._usage = Usage(
                prompt_tokens=self._usage.prompt_tokens if prompt is None else prompt,
                completion_tokens=self._usage.completion_tokens if completion is None else completion,
            )

    def _evidence(self, cut: str | None) -> Evidence:
        fragments = [text for text in map(text_of_fragment, self._decoder.fragments) if text]
        for text in fragments:
            self._learn_from_fragment(text)
        if fragments:
            self._choice(0)
        choices = tuple(choice.evidence() for _, choice in sorted(self._choices.items()))
        is_ended = self._decoder.done or self._is_whole or any(choice.finish_reason for choice in choices)
        return Evidence(
            terms=self._terms,
            cut=cut,
            is_ended=is_ended,
            is_json=self._is_json,
            num_events=self.num_events,
            choices=choices,
            fault=self._fault or _fault_of_finish(choices),
            task_id=self.task_id,
            status_url=self.status_url,
            preview_url=self.preview_url,
            progress=tuple(self.progress),
            junk=self._decoder.junk,
            fragments=tuple(fragments),
            is_readable=not (self._decoder.num_malformed or self._decoder.num_cut_lines),
            completion_id=self._ids.get("id"),
            served_model=self._ids.get("model"),
            system_fingerprint=self._ids.get("system_fingerprint"),
            usage=self._usage,
            notes=tuple(self._all_notes()),
        )

    def _learn_from_fragment(self, fragment: str) -> None:
        """An id or address that stands whole in an event which does not."""
        scanner = Scanner()
        scanner.feed(fragment)
        self.task_id = self.task_id or scanner.task_id
        self.status_url = self.status_url or scanner.status_url

    def _all_notes(self) -> Iterator[str]:
        yield from self._notes
        decoder = self._decoder
        if decoder.num_malformed:
            yield f"{decoder.num_malformed} malformed JSON events were skipped"
        if decoder.num_cut_lines:
            yield f"{decoder.num_cut_lines} overlong lines were cut"
        if any(choice.num_dropped for choice in self._choices.values()):
            yield "the texts are longer than what is kept: their middle was left out"


def _fault_of_finish(choices: tuple[ChoiceEvidence, ...]) -> Fault | None:
    """An end that calls itself an error and says no more."""
    reasons = {(choice.finish_reason or "").lower() for choice in choices}
    return Fault(message="finish_reason is error") if reasons & {"error", "failed"} else None


def read_body(
    body: bytes,
    *,
    http_status: int = 200,
    content_type: str | None = None,
    base_url: str | None = None,
    headers: Mapping[str, str] | None = None,
    output: Output = "video",
    expects_json: bool = False,
    stream_errors_free: bool = False,
    asked_text: str = "",
    now: datetime | None = None,
    cut: str | None = None,
) -> Outcome:
    """The Outcome of a recorded body."""
    reader = Reader(
        http_status=http_status,
        content_type=content_type,
        base_url=base_url,
        headers=headers,
        output=output,
        expects_json=expects_json,
        stream_errors_free=stream_errors_free,
        asked_text=asked_text,
        now=now,
    )
    reader.feed(body)
    return reader.end(cut)
