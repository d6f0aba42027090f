"""What goes into the sheet, without a browser."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reelsweep.tasks.artifacts.probe import Prober
from reelsweep.tasks.gallery.alike import find_alike
from reelsweep.tasks.gallery.axes import choose_axes
from reelsweep.tasks.gallery.encoded import SAFE, Columns, encode
from reelsweep.tasks.gallery.page import call
from reelsweep.tasks.gallery.posters import draw_posters, missing_posters
from reelsweep.tasks.gallery.record import ATTEMPT, asked_of
from reelsweep.tasks.gallery.source import read_attempts
from reelsweep.tasks.gallery.words import MAX_CHARS, STATUSES, dollars, shown, span
from reelsweep.tasks.gallery.write import write_gallery
from reelsweep.tasks.ledger.records import ManifestStatus
from reelsweep.tasks.storage.out import FolderOut

Build = Callable[..., Path]
SCALARS = (
    st.none()
    | st.text()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.booleans()
)


def document(out: Path, name: str) -> Any:
    """What a script of the gallery hands to the page: its last argument."""
    text = (out / "gallery" / name).read_text(encoding="utf-8")
    arguments = text.partition("(")[2].removesuffix(");\n")
    return json.loads(f"[{arguments}]")[-1]


@given(st.lists(st.text() | st.none()))
def test_an_encoded_column_is_the_column(values: list[str | None]) -> None:
    """Codes and distinct values give every row back, also after a change of each value."""
    column = encode(values)
    assert [column.at(row) for row in range(len(column))] == values
    assert len(set(column.values)) == len(column.values)
    upper = column.map(str.upper)
    assert [upper.at(row) for row in range(len(upper))] == [value and value.upper() for value in values]


@given(st.lists(st.integers(-5, 5) | st.none(), min_size=1))
def test_numbers_stand_in_their_order_on_an_axis(values: list[int | None]) -> None:
    """Sorting a column moves its codes with its values."""
    column = encode(values).sorted()
    assert list(column.values) == sorted({value for value in values if value is not None})
    assert [column.at(row) for row in range(len(column))] == values


def test_long_integers_stay_exact() -> None:
    """A seed that JavaScript would round is text."""
    assert encode([SAFE, SAFE + 1, 2**63 - 1]).as_json() == {"values": [SAFE, str(SAFE + 1), str(2**63 - 1)]}


@settings(max_examples=40)
@given(st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_whatever_is_handed_over_arrives_and_ends_nothing(value: Any) -> None:
    """The script holds the value as JSON, and neither `<` nor a line that only JavaScript ends."""
    said = call("cells", value)
    assert json.loads(said[len("reelsweep.cells(") : -len(");\n")]) == value
    assert not any(mark.encode() in said for mark in ("<", "\u2028", "\u2029"))


def sheet(**columns: Sequence[Any]) -> Columns:
    return {name: encode(values) for name, values in columns.items()}


@pytest.mark.parametrize(
    ("columns", "rows", "across"),
    [
        (sheet(prompt_id="aabb", seed=[0, 1, 0, 1]), "prompt_id", "seed"),
        (sheet(prompt_id="aabb", seed=[3, 4, 5, 6]), "prompt_id", "seed"),
        (
            sheet(prompt_id="aabb", seed=[3, 4, 5, 6], param_seed_idx=[0, 1] * 2),
            "prompt_id",
            "param_seed_idx",
        ),
        (sheet(prompt_id="abcd", seed=[1, 2, 3, 4]), "", ""),
        (sheet(prompt_id="aaaa", seed=[0, 0, 1, 1], param_cfg=[1, 2, 1, 2]), "", "seed"),
        (sheet(prompt_id="aabb", seed=[7] * 4, param_cfg=[1, 2, 1, 2]), "prompt_id", "param_cfg"),
        (sheet(prompt_id="aaabbbccc", seed=range(9)), "prompt_id", ""),
        (sheet(prompt_id="aabb", seed=[7] * 4, status=["success", "failed"] * 2), "prompt_id", ""),
    ],
    ids=[
        "seeds",
        "few own seeds",
        "derived seeds",
        "one each",
        "one prompt",
        "a parameter",
        "own seeds",
        "an outcome",
    ],
)
def test_the_axes_at_first_are_those_that_fill_the_sheet(columns: Columns, rows: str, across: str) -> None:
    """Prompts down where they repeat; across what was asked for and fills half of the places."""
    axes = choose_axes(columns)
    assert (axes.rows, axes.columns) == (rows, across)


def test_an_axis_has_several_values_and_not_thousands() -> None:
    """What is the same everywhere divides nothing; a text of each row's own is no label."""
    axes = choose_axes(sheet(prompt_id="aabb", model="mmmm", meta_note=[f"{i}" for i in range(4)]))
    assert list(axes.names) == ["prompt_id", "meta_note"]
    many = sheet(seed=range(3_000), meta_note=[f"{i}" for i in range(3_000)])
    assert list(choose_axes(many).names) == []


def test_twins_are_rows_that_were_asked_for_apart(make: Any) -> None:
    """Rows that share one request share its clip on purpose; near ones differ in their frames."""
    rows = make.rows(6)
    rows[1] |= {name: rows[0][name] for name in ("request_fingerprint", "sha256", "frames_sha256", "phash")}
    rows[3] |= {name: rows[2][name] for name in ("frames_sha256", "phash")}
    rows[5]["phash"] = rows[4]["phash"][:-1] + ("0" if rows[4]["phash"][-1] != "0" else "1")
    names = ("request_fingerprint", "choice_idx", "sha256", "frames_sha256", "phash")
    alike = find_alike({name: encode([row[name] for row in rows]) for name in names}, 0.05)
    assert alike.twins == [[2, 3]]
    ((row, earlier, distance),) = alike.near
    assert (row, earlier) == (5, 4)
    assert 0 < distance <= 0.05


def test_the_page_says_what_seeds_and_strata_are_worth(make: Any, build: Build) -> None:
    """Ignored, unknown and honoured seeds, and configurations that changed, are said above the sheet."""

    def said(**fields: Sequence[str]) -> str:
        rows = [
            make.row(idx, **{name: told[idx % len(told)] for name, told in fields.items()})
            for idx in range(8)
        ]
        return (build(rows) / "index.html").read_text().partition('class="notes"')[2].partition("</ul>")[0]

    assert "Seeds are not honoured by sora-2" in said(seed_honoured=["no"])
    assert "honours seeds is not known: reelsweep seedcheck" in said(seed_honoured=["unknown"])
    assert "Seeds are honoured by sora-2." in said(seed_honoured=["yes"])
    assert "configurations" not in said(seed_honoured=["yes"], stratum=["sora-2@fp_1"])
    assert "2 configurations answered for sora-2 (sora-2@fp_1, sora-2@fp_2)" in said(
        seed_honoured=["yes"], stratum=["sora-2@fp_1", "sora-2@fp_2"]
    )


def test_a_long_prompt_does_not_swell_the_sheet(make: Any, build: Build) -> None:
    """A megabyte of prompt is cut in its cell, and stands once in a file of records, cut later."""
    prompt = "boat " * 200_000
    out = build([make.row(idx, prompt=prompt) for idx in range(8)])
    assert (out / "gallery/cells.js").stat().st_size < 20_000
    assert (out / "gallery/records/0.js").stat().st_size < 150_000
    assert len(shown("x" * MAX_CHARS)) == MAX_CHARS
    assert document(out, "cells.js")["columns"]["prompt"]["values"][0].endswith("…")


def test_a_record_holds_every_column_and_the_attempts(make: Any, build: Build) -> None:
    """Nothing that the manifest knows of a row is missing in its record."""
    rows = [make.row(idx, param_cfg=2.5, meta_mood="calm") for idx in range(300)]
    asked = f"{rows[299]['request_fingerprint']}@{rows[299]['gateway']}"
    out = build(rows, again={asked: "again"})
    record = document(out, "records/1.js")
    told = {name: column["values"] for name, column in record["columns"].items()}
    for name, value in rows[299].items():
        if name not in ("created_at", "started_at"):
            assert value in told[name], name
    shown_names = {name for _, names in record["sections"] for name in names}
    assert {"param_cfg", "meta_mood", "near_duplicate_of", "phash"} <= shown_names
    assert record["again"] == {asked: "again"}
    assert record["attempts"][asked][0]["kind"] == "succeeded"


def test_one_request_to_two_gateways_is_two_records(make: Any, build: Build) -> None:
    """Each shows the POSTs to its own gateway, and the command that asks that one again."""
    gateways = ("https://one.example.com", "https://two.example.com")
    asked = make.row()["request_fingerprint"]
    rows = [make.row(idx, request_fingerprint=asked, gateway=name) for idx, name in enumerate(gateways)]
    names = [f"{asked}@{name}" for name in gateways]
    record = document(build(rows, again=dict(zip(names, gateways, strict=True))), "records/0.js")
    assert record["again"] == dict(zip(names, gateways, strict=True))
    assert [len(record["attempts"][name]) for name in names] == [1, 1]


class Elements(HTMLParser):
    """Every element with its attributes."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def test_the_page_asks_for_nothing_outside_its_folder(make: Any, build: Build) -> None:
    """Every address is a relative one, nothing is inline, and the policy forbids what is from elsewhere."""
    html = (build(make.rows(3)) / "index.html").read_text()
    elements = Elements(html).found
    addresses = [
        attributes[name] or "" for _, attributes in elements for name in ("src", "href") if name in attributes
    ]
    assert len(addresses) > 6
    assert all(not address.startswith(("http", "/")) for address in addresses)
    assert all(attributes.get("src") for tag, attributes in elements if tag == "script")
    assert not [tag for tag, attributes in elements if "style" in attributes or tag == "style"]
    (policy,) = (attributes["content"] for tag, attributes in elements if "http-equiv" in attributes)
    assert policy is not None
    assert policy.startswith("default-src 'none'; ")
    assert "http" not in policy
    assert "unsafe" not in policy
    assert len(html) < 10_000


def test_the_same_tables_give_the_same_files(make: Any, build: Build) -> None:
    """Writing again changes nothing, and says so."""
    out = build(make.rows(5))
    assert write_gallery(FolderOut(out), name="runs/out") == []
    assert write_gallery(FolderOut(out), name="runs/out", running=True) == ["gallery/cells.js", "index.html"]


def test_every_status_has_a_word_a_sign_and_a_colour(make: Any, build: Build) -> None:
    """No status is missing in the legend or in the style."""
    assert set(STATUSES) == set(get_args(ManifestStatus))
    css = (build(make.rows(1)) / "gallery/gallery.css").read_text()
    for status, words in STATUSES.items():
        assert words.word
        assert words.sign
        assert f".s-{status}" in css


def test_an_empty_plan_has_a_page(build: Build) -> None:
    """Nothing planned yet is a page that says so."""
    out = build([])
    assert document(out, "cells.js") == {"num_rows": 0, "running": False}


@pytest.mark.parametrize(
    ("table", "title"),
    [("prompts/boats.csv", "boats"), ("example:", "example"), ("s3://b/new.parquet", "new"), ("", "results")],
)
def test_the_title_is_the_tables_name(build: Build, table: str, title: str) -> None:
    """The page is named after the table, wherever it lies."""
    out = build([], facts={"table": table})
    assert f"<title>{title} · Reelsweep</title>" in (out / "index.html").read_text()


def test_figures_read_as_people_write_them() -> None:
    """Money and times have the digits that say something."""
    assert [dollars(usd) for usd in (0, 0.8, 0.0004, 1234.5)] == ["$0.00", "$0.80", "$0.0004", "$1,234.50"]
    assert [span(s) for s in (2.0, 4.56, 125, 3780)] == ["2 s", "4.56 s", "2 min 5 s", "1 h 3 min"]


def test_posters_are_drawn_once_and_a_broken_clip_has_none(make: Any, build: Build) -> None:
    """Each clip gets one picture below its hash; what is no clip is left out and stops nothing."""
    rows = make.rows(3)
    out = build(rows, posters=False)
    (out / rows[1]["file_name"]).unlink()
    (out / rows[1]["file_name"]).write_bytes(b"no clip")
    clips, drawn = missing_posters(out), list[int]()
    assert len(clips) == 3
    with Prober(1) as prober:
        draw_posters(out, clips, prober, on_drawn=lambda: drawn.append(1))
    assert len(drawn) == 3
    assert [path.name for path in missing_posters(out)] == [Path(rows[1]["file_name"]).name]
    write_gallery(FolderOut(out))
    posters = document(out, "cells.js")["posters"]
    assert [bool(poster) for poster in posters] == [True, False, True]
    assert all((out / poster).is_file() for poster in posters if poster)


def test_only_attempts_of_the_page_are_read(make: Any, build: Build) -> None:
    """A page shows some thousand rows: a hundred thousand attempts of others take no memory."""
    here, other = make.row(0), make.row(1)
    out = build([here, other])
    found = read_attempts(out / "attempts.parquet", [here["request_fingerprint"]])
    assert list(found) == [asked_of(here["request_fingerprint"], here["gateway"])]
    assert all(attempt.keys() <= set(ATTEMPT) for attempts in found.values() for attempt in attempts)
