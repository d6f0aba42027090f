"""What a gateway says back of the key is taken out of its answer, in every field."""

from __future__ import annotations

from dataclasses import fields
from urllib.parse import quote

from reelsweep.tasks.gateway.hide import HIDDEN, hide, hide_text
from reelsweep.tasks.gateway.outcome import Choice, Outcome, Usage

KEY = 'sk-Kq7/Vx+9"w'


def test_every_text_of_an_outcome_loses_the_key() -> None:
    """Each field that may hold a text is filled with the key; none holds it afterwards."""
    texts = {each.name: f"<{KEY}>" for each in fields(Outcome) if each.type in ("str | None",)}
    choice = Choice(choice_idx=0, text=KEY, tool_calls=KEY, video_url=f"http://a/?k={quote(KEY, safe='')}")
    said = Outcome(status="failed", choices=(choice,), notes=(KEY,), extra={"x": KEY}, **texts)
    hidden = hide(said, KEY)
    assert KEY not in repr(hidden)
    assert quote(KEY, safe="") not in repr(hidden)
    assert repr(hidden).count(HIDDEN) == len(texts) + 5
    assert {"error_message", "request_id", "task_id", "status_url", "served_model"} <= set(texts)


def test_without_the_key_nothing_changes() -> None:
    """An answer that does not say it, or a request without one, is left as it is."""
    said = Outcome(status="succeeded", usage=Usage(prompt_tokens=3), progress=(1.0, 50.0), error_message="no")
    assert hide(said, KEY) == said
    assert hide(said, None) is said
    assert hide_text(None, KEY) is None


def test_a_key_too_short_to_be_one_takes_no_words_out() -> None:
    """A key of three characters stays: every answer would be full of holes."""
    assert hide_text("a cat", "cat") == "a cat"
