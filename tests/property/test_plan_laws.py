"""Laws of the plan: deterministic, lazy, in a fixed order, and each row only itself."""

from __future__ import annotations

import json
from dataclasses import replace

import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st
from reelsweep.prompts.fingerprint import EXCLUDED, request_fingerprint
from reelsweep.prompts.plan import PlanSettings, make_plan
from reelsweep.prompts.request import wire_body
from reelsweep.prompts.table import read_table

WORDS = st.sampled_from(["a fox", "an owl", "🦊", "NA", "007", "{{ x }}", 'say "hi"', "two\nlines", " x "])
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "prompt": WORDS,
            "seed": st.sampled_from(["", "0", "7", "1,2,3", "0-4", "-1", str(2**63 - 1)]),
            "samples": st.sampled_from(["", "1", "3"]),
            "temperature": st.sampled_from(["", "0", "0.7", "1", "1.0", "1e0"]),
            "n": st.sampled_from(["", "1", "2"]),
            "user": st.sampled_from(["", "u1", "u2"]),
            "note": WORDS | st.just(""),
        }
    ),
    max_size=6,
)
GRIDS = st.sampled_from(
    [(), (("top_p", ("0", "0.5")),), (("top_p", ("1",)), ("max_tokens", ("10", "20", "30")))]
)


def plan_of(rows, **options):
    columns = ["prompt", "seed", "samples", "temperature", "n", "user", "note"]
    return make_plan(read_table(pd.DataFrame(rows, columns=columns, dtype=object)), PlanSettings(**options))


def names(plan):
    return [spec.request_fingerprint for spec in plan.specs()]


@given(ROWS, GRIDS)
def test_a_plan_is_the_same_each_time_it_is_made_and_read(rows, grid):
    """Specs can be read again and again, and a plan made anew is the same plan."""
    plan, again = plan_of(rows, grid=grid), plan_of(rows, grid=grid)
    assert list(plan.specs()) == list(plan.specs()) == list(again.specs())
    assert plan.plan_hash == again.plan_hash
    assert [spec.ordinal for spec in plan.specs()] == list(range(len(plan)))


@given(ROWS, GRIDS, st.data())
def test_any_places_of_a_plan_can_be_made_alone(rows, grid, data):
    """Some of the specs, without the others, are the very same; fingerprints need no specs at all."""
    plan = plan_of(rows, grid=grid)
    specs = list(plan.specs())
    at = sorted(data.draw(st.sets(st.sampled_from(range(len(specs)))))) if specs else []
    assert list(plan.specs_at(at)) == [specs[ordinal] for ordinal in at]
    assert list(plan.fingerprints()) == [spec.request_fingerprint for spec in specs]


@given(ROWS, GRIDS)
def test_a_plan_is_as_long_as_the_product_says(rows, grid):
    """Each row gives axes x seeds x samples, in the order of the table."""
    lengths = {"": 1, "1,2,3": 3, "0-4": 5}
    combinations = 1
    for _, values in grid:
        combinations *= len(values)
    expected = [
        index
        for index, row in enumerate(rows)
        for _ in range(combinations * lengths.get(row["seed"], 1) * int(row["samples"] or 1))
    ]
    plan = plan_of(rows, grid=grid)
    assert [spec.row_idx for spec in plan.specs()] == expected
    assert len(plan) == len(expected)


@given(ROWS)
def test_every_spec_has_the_fingerprint_of_its_payload(rows):
    """The name kept from the first reading is the name of what is sent on the second."""
    plan = plan_of(rows)
    for spec in plan.specs():
        assert spec.request_fingerprint == request_fingerprint(spec.payload, spec.sample_idx)
    assert plan.num_shared == len(plan) - len(set(names(plan)))


@given(ROWS, st.randoms(use_true_random=False))
def test_reordering_a_table_buys_nothing_again(rows, random):
    """The fingerprints of a shuffled table are the same ones."""
    shuffled = rows.copy()
    random.shuffle(shuffled)
    assert sorted(names(plan_of(shuffled))) == sorted(names(plan_of(rows)))


@given(ROWS.filter(bool), st.data())
def test_editing_one_row_changes_only_its_own_fingerprints(rows, data):
    """Every other row keeps what it has paid for."""
    edited = data.draw(st.integers(0, len(rows) - 1))
    changed = [
        {**row, "prompt": "something else"} if index == edited else row for index, row in enumerate(rows)
    ]
    before, after = list(plan_of(rows).specs()), list(plan_of(changed).specs())
    for one, other in zip(before, after, strict=True):
        same = one.request_fingerprint == other.request_fingerprint
        assert same == (one.row_idx != edited)


@given(ROWS, WORDS)
def test_what_is_only_carried_changes_no_fingerprint(rows, note):
    """Notes and the end user may be edited after the purchase."""
    changed = [{**row, "note": note, "user": "someone"} for row in rows]
    assert names(plan_of(changed)) == names(plan_of(rows))


@given(ROWS)
def test_one_fingerprint_means_one_body(rows):
    """Cells that spell one value differently send the same bytes, apart from what is excluded."""
    bodies = {}
    for spec in plan_of(rows).specs():
        payload = {name: value for name, value in spec.payload.items() if name not in EXCLUDED}
        body = wire_body(payload)
        assert bodies.setdefault(spec.request_fingerprint, body) == body


@given(ROWS.filter(bool))
@settings(max_examples=25)
def test_a_table_means_the_same_in_every_format(tmp_path_factory, rows):
    """CSV, semicolons, JSON lines and Parquet of the same cells are the same plan."""
    folder = tmp_path_factory.mktemp("formats")
    frame = pd.DataFrame(rows, dtype=object)
    frame.to_csv(folder / "t.csv", index=False)
    frame.to_csv(folder / "semicolon.csv", index=False, sep=";", encoding="utf-16")
    (folder / "t.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    frame.to_parquet(folder / "t.parquet", index=False)
    expected = list(plan_of(rows).specs())
    for path in sorted(folder.iterdir()):
        assert list(make_plan(read_table(path), PlanSettings()).specs()) == expected


class CountedRecords:
    """Records that know how many of them have been read."""

    def __init__(self, records):
        self.records, self.read = records, 0

    def __len__(self):
        return len(self.records)

    def __iter__(self):
        for record in self.records:
            self.read += 1
            yield record


def test_specs_are_made_one_at_a_time():
    """The first spec costs one row, however long the plan is."""
    table = read_table(pd.DataFrame({"prompt": [f"p{index}" for index in range(5_000)]}))
    records = CountedRecords(table.records)
    plan = make_plan(replace(table, records=records), PlanSettings(seeds="0-9"))
    assert len(plan) == 50_000
    records.read = 0
    specs = plan.specs()
    assert next(specs).prompt == "p0"
    assert records.read == 1


def test_a_plan_keeps_36_bytes_a_generation():
    """Memory does not grow with the prompts' length times the sweep's size."""
    prompt = "x" * 10_000
    plan = make_plan(read_table(pd.DataFrame({"prompt": [prompt]})), PlanSettings(seeds="0-9999"))
    assert len(plan._digests) + len(plan._rows) * plan._rows.itemsize == 36 * 10_000
