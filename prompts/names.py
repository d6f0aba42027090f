"""Columns that were meant for the gateway and would not get there: typing slips and other tools' words.

Used by `plan` on carried columns. Pure. A parameter that is silently not sent costs the whole run.
"""

from __future__ import annotations

from collections.abc import Mapping

from reelsweep.prompts.columns import BY_NAME

REQUEST_WORDS: Mapping[str, str | None] = {
    "aspect_ratio": "size",
    "best_of": "n",
    "cfg": None,
    "cfg_scale": None,
    "dimensions": "size",
    "duration": "seconds",
    "duration_s": "seconds",
    "fps": None,
    "frame_rate": None,
    "frames": "seconds",
    "functions": "tools",
    "function_call": "tool_choice",
    "guidance": None,
    "guidance_scale": None,
    "height": "size",
    "image_url": "image",
    "images": "image",
    "input_image": "image",
    "input_reference": "image",
    "length": "seconds",
    "logprobs": None,
    "max_completion_tokens": "max_tokens",
    "negative_prompt": None,
    "num_frames": "seconds",
    "num_inference_steps": None,
    "num_samples": "samples",
    "num_videos": "samples",
    "orientation": "size",
    "parallel_tool_calls": None,
    "quality": None,
    "ratio": "size",
    "reasoning_effort": None,
    "resolution": "size",
    "steps": None,
    "stop_sequences": "stop",
    "system_prompt": "system",
    "temp": "temperature",
    "top_k": None,
    "top_logprobs": None,
    "watermark": None,
    "width": "size",
}
"""Words for request parameters elsewhere, and the column that means the same here, if one does."""


def meant_column(name: str) -> tuple[bool, str | None]:
    """Whether a carried column looks as if it should be sent, and which column was probably meant."""
    plain = _letters(name)
    for word, column in REQUEST_WORDS.items():
        if plain == _letters(word):
            return True, column
    distances = {known: _slips(plain, _letters(known)) for known in BY_NAME}
    near = [known for known, slips in distances.items() if slips <= _allowed_slips(_letters(known))]
    return (True, min(near, key=distances.__getitem__)) if near else (False, None)


def refusal(name: str, meant: str | None) -> str:
    """The message about such a column, with the two ways on."""
    question = f" Did you mean `{meant}`?" if meant else ""
    return f"'{name}' is not sent.{question} To send it: `body.{name}`; to carry it: `meta_{name}`."


def _letters(name: str) -> str:
    return "".join(char for char in name.casefold() if char.isalnum())


def _allowed_slips(known: str) -> int:
    """None for `n`, one up to five letters, two from six on."""
    return 0 if len(known) < 3 else 1 if len(known) < 6 else 2


def _slips(one: str, other: str) -> int:
    """Damerau-Levenshtein distance (optimal string alignment): letters added, lost, changed or swapped."""
    before: list[int] = []
    row = list(range(len(other) + 1))
    for i, a in enumerate(one, 1):
        last, row = row, [i]
        for j, b in enumerate(other, 1):
            cost = min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (a != b))
            if i > 1 and j > 1 and a == other[j - 2] and one[i - 2] == b:
                cost = min(cost, before[j - 2] + 1)
            row.append(cost)
        before = last
    return row[-1]
