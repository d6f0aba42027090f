"""A row's request body: model, messages, parameters, and what a gateway's profile adds.

After `rows`, used by `expand` and `lineage`. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from reelsweep.prompts.errors import SettingsError
from reelsweep.prompts.messages import user_turn, with_images
from reelsweep.prompts.request import URL_QUERY, Json
from reelsweep.prompts.rows import PromptRow

_OURS = ("model", "messages", "stream", URL_QUERY)


@dataclass(frozen=True, slots=True, kw_only=True)
class Additions:
    """What a gateway's profile adds to every request; a row's own field of the same name wins."""

    body: Mapping[str, Json]
    url_query: Mapping[str, str]

    def __post_init__(self) -> None:
        """Raises SettingsError for a field that is not a profile's to say."""
        for name in _OURS:
            if name in self.body:
                raise SettingsError(
                    f"extra_body: {name!r} is not a profile's to set.", "Remove it from the profile."
                )


def build_payload(
    row: PromptRow, seed: int | None, messages: list[Json], additions: Additions
) -> dict[str, Json]:
    """The canonical request of one seed: absent parameters are absent, `stream` is the wire's."""
    payload: dict[str, Json] = {"model": row.model, "messages": messages, **row.fields}
    if seed is not None:
        payload["seed"] = seed
    for name, value in additions.body.items():
        payload.setdefault(name, value)
    if additions.url_query:
        payload[URL_QUERY] = dict(additions.url_query)
    return payload


def opening(row: PromptRow, seed: int | None) -> list[Json]:
    """The messages of a row that follows none. Raises ValueError where its template cannot be filled."""
    if row.messages is not None:
        messages = with_images(row.messages, row.images) if row.images else list(row.messages)
    else:
        messages: list[Json] = [own_turn(row, seed)]
    return messages if row.system is None else [{"role": "system", "content": row.system}, *messages]


def own_turn(row: PromptRow, seed: int | None) -> dict[str, Json]:
    """The row's own user message. Raises ValueError where its template cannot be filled."""
    if row.template is None:
        return user_turn(row.text or "", row.images)
    cells = {**row.variables, "seed": "" if seed is None else str(seed)}
    return user_turn(row.template.render(cells), row.images)
