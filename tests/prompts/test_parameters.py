"""Every request parameter travels from a table to the wire exactly, types included."""

from __future__ import annotations

import csv
import io
import json

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from reelsweep.prompts.columns import COLUMNS
from reelsweep.prompts.errors import SettingsError, TableError
from reelsweep.prompts.plan import PlanSettings, make_plan
from reelsweep.prompts.request import wire_body
from reelsweep.prompts.table import read_table

TOOL = {"type": "function", "function": {"name": "shoot", "parameters": {"type": "object", "minimum": 1.0}}}
CHOICE = {"type": "function", "function": {"name": "shoot"}}
SCHEMA = {"type": "json_schema", "json_schema": {"name": "shot", "schema": {"z": 1, "a": 2}}}
CONVERSATION = [
    {"role": "user", "content": "a fox"},
    {"role": "assistant", "content": "ok"},
    {"role": "user", "content": "bigger"},
]

# column, the cell as text, the cell as a typed value, the wire's value
PARAMETERS = [
    ("model", "veo-9", "veo-9", "veo-9"),
    ("messages", json.dumps(CONVERSATION), CONVERSATION, CONVERSATION),
    ("temperature", "0", 0, 0),
    ("temperature", "0.7", 0.7, 0.7),
    ("temperature", "2", 2.0, 2),
    ("top_p", "0.25", 0.25, 0.25),
    ("n", "3", 3, 3),
    ("stop", "END", "END", "END"),
    ("stop", '["a", "b\\n"]', ["a", "b\n"], ["a", "b\n"]),
    ("max_tokens", "4096", 4096, 4096),
    ("presence_penalty", "-2", -2, -2),
    ("frequency_penalty", "1.5", 1.5, 1.5),
    ("logit_bias", '{"50256": -100}', {"50256": -100}, {"50256": -100}),
    ("user", "007", "007", "007"),
    ("response_format", json.dumps(SCHEMA), SCHEMA, SCHEMA),
    ("seed", "0", 0, 0),
    ("seed", str(2**63 - 1), 2**63 - 1, 2**63 - 1),
    ("tools", json.dumps([TOOL]), [TOOL], [TOOL]),
    ("size", "1280x720", "1280x720", "1280x720"),
    ("seconds", "4", 4.0, 4),
    ("stream", "true", True, True),
]
BARE = {"model": "sora-2", "messages": [{"role": "user", "content": "a fox"}], "stream": True}


def bodies(source, **settings):
    plan = make_plan(read_table(source), PlanSettings(**settings))
    return [json.loads(wire_body(spec.payload)) for spec in plan.specs()]


def same(one, other):
    """Equal as JSON: types and the order inside a value included, the order of the body's fields not."""
    return json.dumps(dict(sorted(one.items()))) == json.dumps(dict(sorted(other.items())))


def write(kind, path, row):
    if kind == "csv":
        text = io.StringIO()
        csv.writer(text).writerows([list(row), list(row.values())])
        path.write_text(text.getvalue(), "utf-8")
    elif kind == "jsonl":
        path.write_text(json.dumps(row), "utf-8")
    else:
        pq.write_table(pa.Table.from_pylist([row]), path)
    return path


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet", "frame"])
@pytest.mark.parametrize(("column", "text", "value", "sent"), PARAMETERS)
def test_each_parameter_alone_is_sent_exactly(tmp_path, kind, column, text, value, sent):
    """A row with one parameter sends that one, model, messages and stream, and nothing else."""
    row = {} if column == "messages" else {"prompt": "a fox"}
    row[column] = text if kind == "csv" else value
    source = pd.DataFrame([row]) if kind == "frame" else write(kind, tmp_path / f"t.{kind}", row)
    (body,) = bodies(source)
    assert same(body, {**BARE, column: sent})


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet", "frame"])
def test_all_parameters_of_the_documentation_go_together(tmp_path, kind):
    """One row with all sixteen sends exactly these."""
    cells = {
        "model": ("sora-2-pro", "sora-2-pro"),
        "messages": (json.dumps(CONVERSATION), CONVERSATION),
        "temperature": ("0", 0),
        "top_p": ("1", 1),
        "n": ("2", 2),
        "stream": ("TRUE", True),
        "stop": ('["END"]', ["END"]),
        "max_tokens": ("100", 100),
        "presence_penalty": ("0.5", 0.5),
        "frequency_penalty": ("-0.5", -0.5),
        "logit_bias": ('{"1": 5}', {"1": 5}),
        "user": ("u-1", "u-1"),
        "response_format": ('{"type": "text"}', {"type": "text"}),
        "seed": (str(2**63 - 1), 2**63 - 1),
        "tools": (json.dumps([TOOL]), [TOOL]),
        "tool_choice": (json.dumps(CHOICE), CHOICE),
    }
    row = {name: cell[0] if kind == "csv" else cell[1] for name, cell in cells.items()}
    source = pd.DataFrame([row]) if kind == "frame" else write(kind, tmp_path / f"t.{kind}", row)
    (body,) = bodies(source)
    assert len(cells) == 16
    assert same(body, {name: cell[1] for name, cell in cells.items()})


def test_no_parameter_means_three_fields(tmp_path):
    """A row with empty cells sends model, messages and stream; absent is never null."""
    names = [
        column.name for column in COLUMNS if column.name not in ("prompt", "prompt_template", "messages")
    ]
    path = tmp_path / "t.csv"
    path.write_text(",".join(["prompt", *names]) + "\na fox" + "," * len(names) + "\n", "utf-8")
    assert all(map(same, bodies(path), [BARE]))
    frame = pd.DataFrame({"prompt": ["a fox"], **{name: [None] for name in names}})
    assert all(map(same, bodies(frame), [BARE]))


def test_a_prompt_is_sent_byte_for_byte(tmp_path):
    """Braces, white space, quotes, emoji and line separators of a prompt are the user's."""
    prompt = ' {{ not a template }} {% x %}\r\n\t"q" \u2028🦊 '
    (body,) = bodies(pd.DataFrame({"prompt": [prompt]}))
    assert body["messages"] == [{"role": "user", "content": prompt}]


@pytest.mark.parametrize(
    ("cell", "sent"),
    [
        ("true", True),
        ("10", 10),
        ("1.50", 1.5),
        ('"10"', "10"),
        ("null", None),
        ("anime", "anime"),
        ("007", "007"),
        ("NaN", "NaN"),
        ('{"a": [1]}', {"a": [1]}),
        ("9223372036854775808", 2**63),
    ],
)
def test_a_body_column_is_json_where_its_text_is_json(tmp_path, cell, sent):
    """`body.NAME` sends field NAME with the value its text spells, and other text as text."""
    path = write("csv", tmp_path / "t.csv", {"prompt": "a fox", "body.hd": cell})
    assert same(bodies(path)[0], {**BARE, "hd": sent})


def test_a_broken_json_value_is_not_sent_as_text(planned):
    """What begins and ends like JSON and is none is a slip."""
    with pytest.raises(TableError, match=r"row 1, body\.x: .*expected JSON"):
        planned('prompt,body.x\na,"{""a"": }"\n')


def test_system_and_image_stand_where_the_documentation_puts_them(planned, image_loader):
    """A system message comes first; images follow the text in the user message."""
    plan = planned('prompt,system,image\na fox,be brief,"[""a.png"", ""b.png""]"\n', load_image=image_loader)
    (spec,) = plan.specs()
    a, b = spec.images
    assert spec.payload["messages"] == [
        {"role": "system", "content": "be brief"},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "a fox"},
                {"type": "image_url", "image_url": {"url": f"reelsweep-image:{a}"}},
                {"type": "image_url", "image_url": {"url": f"reelsweep-image:{b}"}},
            ],
        },
    ]
    body = json.loads(
        wire_body(spec.payload, images={a: "data:image/png;base64,AA", b: "data:image/png;base64,BB"})
    )
    urls = [part["image_url"]["url"] for part in body["messages"][1]["content"][1:]]
    assert urls == ["data:image/png;base64,AA", "data:image/png;base64,BB"]


def test_images_join_the_last_user_message_of_a_conversation(planned, image_loader):
    """With `messages` the images go where the last instruction is."""
    cell = json.dumps(CONVERSATION).replace('"', '""')
    (spec,) = planned(f'messages,image\n"{cell}",a.png\n', load_image=image_loader).specs()
    messages = spec.payload["messages"]
    assert messages[0] == CONVERSATION[0]
    assert [part["type"] for part in messages[2]["content"]] == ["text", "image_url"]
    assert spec.prompt == "bigger"


def test_what_a_profile_adds_is_sent_unless_the_row_says_otherwise(planned):
    """Extra body fields are in the body, the URL's query is not; a row's own field wins."""
    plan = planned(
        "prompt,body.hd\na,\nb,false\n",
        extra_body={"hd": True, "watermark": 0},
        url_query={"watermark": "true"},
    )
    first, second = plan.specs()
    assert json.loads(wire_body(first.payload))["hd"] is True
    assert json.loads(wire_body(second.payload))["hd"] is False
    assert "reelsweep-url-query" not in json.loads(wire_body(first.payload))
    assert first.payload["reelsweep-url-query"] == {"watermark": "true"}


def test_a_profile_cannot_say_what_only_the_table_may(planned):
    """Model, messages and stream are not a profile's to set."""
    for name in ("model", "messages", "stream"):
        with pytest.raises(SettingsError, match="not a profile's to set"):
            planned("prompt\na\n", extra_body={name: "x"})
