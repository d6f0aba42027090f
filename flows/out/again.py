"""The command that makes a row again, from what the ledger and OUT keep of it: for `show` and the gallery.

Around `prompts.again`, which writes it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping

from reelsweep.prompts.again import again_command
from reelsweep.prompts.fingerprint import is_asked_by
from reelsweep.prompts.messages import followed_fingerprint, image_hashes
from reelsweep.prompts.request import Json
from reelsweep.tasks.ledger.records import PlanRow

NOT_WHOLE = "not wholly known since the ledger was made anew"
COMPLETE = "Run the table once more on this OUT: that completes it, and buys nothing that is there."
Payloads = Callable[[str], str]
"""The canonical request of a fingerprint, as JSON."""
Images = Callable[[str], str | None]
"""The name of a kept image below OUT, by its sha256."""


def command_for(plan: PlanRow, gateway: str, out: str, payloads: Payloads, images: Images) -> str | None:
    """The command that makes exactly this row again, with what it follows and its images.

    None where a ledger that was made anew does not know the whole of it: that would be another question.
    """
    texts = {plan.request_fingerprint: plan.payload, **dict(_followed(plan.payload, payloads))}
    if not all(is_asked_by(name, text, plan.sample_idx) for name, text in texts.items()):
        return None
    payload, *_ = parsed = [_parsed(text) for text in texts.values()]
    earlier = dict(zip(texts, parsed, strict=True))
    hashes = {sha256 for each in (payload, *earlier.values()) for sha256 in image_hashes(_messages(each))}
    found = {sha256: images(sha256) for sha256 in hashes}
    return again_command(
        payload,
        prompt_id=plan.prompt_id,
        output=plan.output,
        gateway=gateway,
        out=out,
        earlier=earlier,
        files={sha256: name.rpartition("/")[2] for sha256, name in found.items() if name is not None},
    )


def _followed(payload: str, payloads: Payloads) -> Iterator[tuple[str, str]]:
    """The requests whose turns it edits, the nearest first, by fingerprint."""
    while (parent := followed_fingerprint(_messages(_parsed(payload)))) is not None:
        payload = payloads(parent)
        yield parent, payload


def _parsed(payload: str) -> dict[str, Json]:
    return json.loads(payload)


def _messages(payload: Mapping[str, Json]) -> list[Json]:
    messages = payload.get("messages")
    return messages if isinstance(messages, list) else []
