"""Accepted or not, row by row, in the order of the manifest."""

from __future__ import annotations

from random import Random
from typing import Any

from reelsweep.tasks.artifacts.checklist import Checks
from reelsweep.tasks.manifest.rows import Row, manifest_rows
from reelsweep.tasks.manifest.verdicts import MAX_ROWS, Verdicts

LOOKS = [f"{Random(n).getrandbits(512):0128x}" for n in range(4)]


def row(place: int, look: int | None, **cells: Any) -> Row:
    """A stored clip."""
    return {
        "prompt_id": f"p{place}",
        "model": "m",
        "params": "{}",
        "choice_idx": 0,
        "sample_idx": 0,
        "request_fingerprint": f"{place:064x}",
        "in_plan": True,
        "status": "success",
        "phash": None if look is None else LOOKS[look],
        **cells,
    }


def judged(rows: list[Row], checks: str = "default") -> list[Row]:
    return list(Verdicts(Checks.parse(checks)).judge(rows))


def test_the_earlier_of_two_that_look_alike_stays() -> None:
    """The later one says which row it repeats, and how near it is."""
    told = judged([row(0, 0), row(1, 1), row(2, 0, seed=5)])
    assert [each["accepted"] for each in told] == [True, True, False]
    assert [each["check_near_duplicate"] for each in told] == [True, True, False]
    assert told[2]["near_duplicate_of"] == f"{0:064x}"
    assert told[2]["reject_reason"] == "near_duplicate: looks like p0, sample 0 (distance 0.000, limit 0.05)"


def test_nothing_is_rejected_for_the_sake_of_a_reject() -> None:
    """A clip that failed another check is compared with none, and none with it."""
    told = judged([row(0, 0, reject_reason="black: 100% of its frames are black"), row(1, 0)])
    assert [each["accepted"] for each in told] == [False, True]
    assert "check_near_duplicate" not in told[0]


def test_only_successes_are_accepted_or_not() -> None:
    """A refusal, a text and a clip whose hash is of another kind are not compared."""
    told = judged([row(0, None, status="refused"), row(1, None), row(2, None, phash="8f0f"), row(3, 0)])
    assert [each.get("accepted") for each in told] == [None, True, True, True]


def test_checks_that_are_switched_off_reject_nothing() -> None:
    """With `none` every success is accepted."""
    assert [each["accepted"] for each in judged([row(0, 0), row(1, 0)], "none")] == [True, True]


def test_clips_are_compared_across_pieces() -> None:
    """Rows are judged some hundred at a time; the first and the last are compared all the same."""
    told = judged([row(0, 0), *(row(n, None) for n in range(1, MAX_ROWS + 5)), row(MAX_ROWS + 5, 0)])
    assert told[-1]["near_duplicate_of"] == f"{0:064x}"


def test_candidates_are_numbered_for_each_prompt_and_set_of_parameters() -> None:
    """Over seeds and samples, choices together; rows that left the plan have no number."""
    asked = [("a", "{}", 0), ("a", "{}", 0), ("a", "{}", 1), ("a", '{"size":1}', 0), ("b", "{}", 0)]
    rows = [row(n, None, prompt_id=name, params=params, choice_idx=choice)
            for n, (name, params, choice) in enumerate(asked)]  # fmt: skip
    told = judged([*rows, row(9, None, in_plan=False)])
    assert [each.get("candidate_idx") for each in told] == [0, 1, 1, 0, 0, None]


def test_a_line_of_the_ledger_is_judged_by_what_it_asked(make: Any) -> None:
    """The request as planned against the facts as decoded; a clip that does not decode says so."""
    line = make.line(plan={"payload": '{"size": "64x64", "messages": []}'})
    good = next(manifest_rows(line))
    assert (good["check_decodes"], good["check_size"]) == (True, False)
    assert good["reject_reason"].startswith("size: ")
    broken = make.attempt(results=(make.result(status="invalid_output"),))
    assert next(manifest_rows(make.line(status="invalid_output", attempt=broken)))["check_decodes"] is False
