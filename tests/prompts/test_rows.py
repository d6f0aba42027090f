"""Bad rows are refused, all at once, in words that say what to change."""

from __future__ import annotations

import json

import pytest
from reelsweep.prompts.errors import Problem, TableError

TOOLS = '[{"type": "function", "function": {"name": "shoot"}}]'
NOTHING = "got no prompt, expected one of prompt, prompt_template, messages"


def quoted(cell):
    return '"' + cell.replace('"', '""') + '"'


@pytest.mark.parametrize(
    ("column", "cell", "complaint"),
    [
        ("temperature", "2.5", "got '2.5', expected a number from 0 to 2"),
        ("temperature", "-0.1", "got '-0.1', expected a number from 0 to 2"),
        ("temperature", "warm", "got 'warm', expected a number from 0 to 2"),
        ("temperature", "nan", "got 'nan', expected a number from 0 to 2"),
        ("temperature", "1_0", "got '1_0', expected a number from 0 to 2"),
        ("temperature", "0,7", "got '0,7', expected a number from 0 to 2"),
        ("top_p", "1.01", "got '1.01', expected a number from 0 to 1"),
        ("n", "0", "got '0', expected a whole number from 1"),
        ("n", "1.5", "got '1.5', expected a whole number from 1"),
        ("max_tokens", "0", "got '0', expected a whole number from 1"),
        ("max_tokens", "9" * 20, f"got '{'9' * 20}', expected a whole number from 1"),
        ("presence_penalty", "3", "got '3', expected a number from -2 to 2"),
        ("frequency_penalty", "-3", "got '-3', expected a number from -2 to 2"),
        ("seconds", "0", "got '0', expected a number above 0, at most 3600"),
        ("samples", "0", "got '0', expected a whole number from 1 to 10000"),
        ("output", "gif", "got 'gif', expected video or text"),
        ("stream", "false", "got 'false', expected true: every generation is streamed"),
        ("stop", '["a","b","c","d","e"]', "expected a text, or a JSON list of 1 to 4 texts"),
        ("stop", '["a"', "not JSON"),
        ("logit_bias", '{"50256": 101}', "numbers from -100 to 100"),
        ("logit_bias", '{"fox": 1}', "a JSON object from token ids"),
        ("logit_bias", '{"1": true}', "numbers from -100 to 100"),
        ("response_format", '{"type": "yaml"}', '"text", "json_object" or "json_schema"'),
        ("response_format", "json_object", "not JSON"),
        ("response_format", '{"type": "json_schema"}', 'with "json_schema"'),
        ("tools", "[]", "a JSON list of 1 to 128 tools"),
        (
            "tools",
            '[{"type": "function", "function": {"name": "no spaces"}}]',
            "a JSON list of 1 to 128 tools",
        ),
        ("tools", TOOLS[:-1] + ", " + TOOLS[1:], "tools with different names"),
        ("tools", '[{"a": 1, "a": 2}]', "the name 'a' occurs twice in one object"),
        ("tool_choice", "auto", "needs `tools`, and this row has none"),
        ("tool_choice", "required", "none, auto, or"),
        ("seed", "9-Jan", "Excel"),
        ("prompt_id", "a\nb", "expected one line of printable characters"),
        ("prompt_id", "x" * 201, "at most 200 characters"),
        ("image", "/etc/passwd", "got '/etc/passwd', expected a file below the table's folder"),
        ("image", "../secret.png", "expected a file below the table's folder"),
        ("image", "a/../../b.png", "expected a file below the table's folder"),
        ("image", "C:\\x.png", "expected a file below the table's folder or http(s)"),
        ("image", "\\\\host\\x.png", "expected a file below the table's folder"),
        ("image", "~/x.png", "expected a file below the table's folder"),
        ("image", "file:///etc/passwd", "expected a file below the table's folder or http(s)"),
        ("image", "data:image/png;base64,AA", "expected a file below the table's folder or http(s)"),
        ("image", '["a.png", ""]', "expected a file below the table's folder"),
        ("image", "absent.png", "no image at 'absent.png'. Put it beside the table."),
        ("messages", '[{"role": "user", "content": "x"}]', "got prompt and messages, expected one of them"),
        ("prompt_template", "{{ prompt }}", "got prompt and prompt_template, expected one of them"),
    ],
)
def test_a_bad_cell_names_row_column_and_what_is_allowed(planned, image_loader, column, cell, complaint):
    """Row and column are facts of the error, and the message repeats the cell and the range."""
    with pytest.raises(TableError) as caught:
        planned(f"prompt,{column}\nfine,\nbad,{quoted(cell)}\n", load_image=image_loader)
    (problem,) = caught.value.problems
    assert complaint in problem.message
    assert problem.row == 2
    assert problem.column in (column, None)


def test_the_message_reads_as_the_documentation_says(planned):
    """The form of every complaint: table, row, column, got, expected."""
    with pytest.raises(TableError) as caught:
        planned("prompt,temperature\n" + "a,1\n" * 16 + "b,2.5\n")
    assert str(caught.value).endswith(
        "prompts.csv: row 17, temperature: got '2.5', expected a number from 0 to 2"
    )


@pytest.mark.parametrize(
    ("messages", "complaint"),
    [
        ("[]", "a JSON list of messages"),
        ('{"role": "user"}', "a JSON list of messages"),
        ('[{"role": "robot", "content": "x"}]', "message 1: got role 'robot', expected one of system"),
        ('[{"content": "x"}]', "message 1: expected an object with a role"),
        ('[{"role": "user"}]', "message 1: expected content"),
        ('[{"role": "system", "content": "x"}]', "at least one message of role user"),
        ('[{"role": "user", "content": [{"type": "text"}]}]', 'needs a "text"'),
        (
            '[{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "a.png"}}]}]',
            "use the column `image`",
        ),
        (
            '[{"role": "user", "content": [{"type": "image_url", "image_url": {"url":"reelsweep-image:"}}]}]',
            "use the column `image`",
        ),
        (
            '[{"role": "user", "content": "x"}, {"role": "assistant", "content": "reelsweep-turn:00"}]',
            "must not begin with 'reelsweep-turn:'",
        ),
    ],
)
def test_bad_messages_name_the_message(planned, messages, complaint):
    """A conversation is checked before it is paid for, and cannot counterfeit our placeholders."""
    with pytest.raises(TableError) as caught:
        planned(f"messages\n{quoted(messages)}\n")
    assert complaint in str(caught.value)


def test_all_problems_come_at_once_in_the_order_of_the_table(planned):
    """Several bad cells in several rows and a bad column are one error."""
    with pytest.raises(TableError) as caught:
        planned("prompt,temperature,n,duration\n,3,0,1\nfine,1,1,1\n  ,9,1,1\n")
    assert [(problem.row, problem.column) for problem in caught.value.problems] == [
        (None, "duration"),
        (1, "temperature"),
        (1, "n"),
        (1, None),
        (3, "prompt"),
        (3, "temperature"),
    ]
    assert caught.value.problems[3] == Problem(row=1, column=None, message=NOTHING)


def test_a_problem_under_every_axis_is_said_once(planned):
    """A sweep does not multiply complaints."""
    with pytest.raises(TableError) as caught:
        planned("prompt,n\na,0\n", grid=(("temperature", ("0", "1", "2")),))
    assert len(caught.value.problems) == 1


def test_tool_choice_must_name_one_of_the_tools(planned):
    """A function that is not offered cannot be chosen."""
    choice = '{"type": "function", "function": {"name": "%s"}}'
    planned(f"prompt,tools,tool_choice\na,{quoted(TOOLS)},{quoted(choice % 'shoot')}\n")
    with pytest.raises(TableError, match="got function 'cut', expected one of `tools`: shoot"):
        planned(f"prompt,tools,tool_choice\na,{quoted(TOOLS)},{quoted(choice % 'cut')}\n")


def test_json_object_needs_json_in_words(planned):
    """The documentation demands that the messages mention JSON; any of them may."""
    form = quoted('{"type": "json_object"}')
    planned(f"prompt,response_format\nanswer in Json,{form}\n")
    planned(f"prompt,system,response_format\na,use JSON,{form}\n")
    with pytest.raises(TableError, match="row 1, response_format: json_object needs the word JSON"):
        planned(f"prompt,response_format\na,{form}\n")


def test_system_cannot_stand_beside_a_system_message(planned):
    """Two system messages are a contradiction, not a choice of ours."""
    cell = quoted(json.dumps([{"role": "system", "content": "a"}, {"role": "user", "content": "b"}]))
    with pytest.raises(TableError, match="row 1, system: `messages` has a system message already"):
        planned(f"messages,system\n{cell},c\n")


def test_a_decimal_comma_is_a_number_where_semicolons_cut_the_cells(planned):
    """Excel writes `0,7` into `;`-separated files; text and lists keep their commas."""
    (spec,) = planned('prompt;temperature;seed\n"0,7";0,7;1\n').specs()
    assert spec.payload["temperature"] == 0.7
    assert spec.prompt == "0,7"
    assert [spec.seed for spec in planned("prompt;seed\na;1,2\n").specs()] == [1, 2]


def test_rows_without_a_cell_are_passed_over_and_counted(planned):
    """Excel's empty last rows are no prompts; a row keeps its number; the plan says so."""
    plan = planned("prompt,seed\na,1\n,\nb,2\n,\n")
    assert [spec.row_idx for spec in plan.specs()] == [0, 2]
    assert plan.num_rows == 2
    assert plan.warnings == ("2 empty rows passed over.",)


def test_a_table_without_a_prompt_column_says_what_it_has(planned):
    """The columns there are listed, and a near one is asked about."""
    with pytest.raises(TableError, match="did you mean `prompt` by 'Promt'"):
        planned("Promt,seed\na,1\n")
    with pytest.raises(
        TableError, match="no column `prompt`, `prompt_template`, `messages` among: text"
    ) as caught:
        planned("text\na\nb\n")
    assert len(caught.value.problems) == 1
    assert len(planned("seed\n1\n2\n", set_={"prompt": "a"})) == 2
