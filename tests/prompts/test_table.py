"""A table is read as it was written, whatever wrote it."""

from __future__ import annotations

import gzip
import hashlib
import json
from datetime import date
from decimal import Decimal
from pathlib import Path

import fsspec
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from reelsweep.prompts.errors import TableError, UsageError
from reelsweep.prompts.table import read_table

ROWS = [("a fox", "007"), ('says "hi", twice\nin two lines', "NA"), ("🦊 \u2028 fin", "")]


def rows(source):
    return list(read_table(source).records)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_every_way_excel_writes_csv_gives_the_same_cells(tmp_path, encoding, delimiter, newline):
    """Encoding, delimiter and line ends do not change a cell; nothing is taken for a number."""
    frame = pd.DataFrame(ROWS, columns=["prompt", "note"])
    text = frame.to_csv(index=False, sep=delimiter, lineterminator=newline)
    path = tmp_path / "prompts.csv"
    path.write_bytes(text.encode(encoding))
    table = read_table(path)
    assert table.columns == ("prompt", "note")
    assert list(table.records) == ROWS
    assert table.decimal_comma == (delimiter == ";")


def test_a_delimiter_inside_the_cells_is_not_taken_for_the_tables(csv_table):
    """The delimiter is the one that gives the header a prompt column."""
    table = csv_table('prompt;"a, b, c, d"\nfox;1\n')
    assert table.columns == ("prompt", "a, b, c, d")


def test_excels_sep_line_names_the_delimiter(csv_table):
    """A first line `sep=;` is Excel's, not the header."""
    table = csv_table("sep=;\r\nprompt;seed\r\nfox, red;1\r\n")
    assert (table.columns, list(table.records)) == (("prompt", "seed"), [("fox, red", "1")])


def test_tsv_is_cut_at_tabs_whatever_stands_in_it(csv_table):
    """In a .tsv file commas are text."""
    table = csv_table("prompt\tnote\na, b\tc,d,e\n", name="prompts.tsv")
    assert list(table.records) == [("a, b", "c,d,e")]


def test_blank_lines_are_no_rows_and_line_separators_are_text(csv_table):
    """Empty lines are passed over; U+2028, U+0085 and form feeds stay inside their cell."""
    table = csv_table("prompt\n\na\u2028b\u0085c\x0cd\n\n\ne\n")
    assert list(table.records) == [("a\u2028b\u0085c\x0cd",), ("e",)]


def test_a_cell_longer_than_the_csv_modules_limit_is_read(csv_table):
    """A prompt of 300,000 characters is a prompt."""
    table = csv_table("prompt\n" + "x" * 300_000 + "\n")
    assert len(next(iter(table.records))[0]) == 300_000


def test_records_can_be_read_as_often_as_wanted(csv_table):
    """The rows are the same on every reading, and counted without one, over several batches."""
    table = csv_table("prompt,seed\n" + "".join(f"p{i},{i}\n" for i in range(10_000)))
    assert len(table.records) == 10_000
    first = list(table.records)
    assert first == list(table.records)
    assert first[9_999] == ("p9999", "9999")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("prompt,seed\na,1\nb,2,3\nc\n", "row 2: got 3 cells, expected 2"),
        ("prompt,seed\na,1\nb,2,3\nc\n", "row 3: got 1 cells, expected 2"),
        ('prompt,seed\na,1\n"b" x,2\n', "row 2: a quote ends inside a cell"),
        ('prompt,seed\na,1\n"b,2\nc,3\n', "row 2: a quoted cell begins here and is never closed"),
        ("prompt,seed,seed\na,1,2\n", "seed: 2 columns have this name"),
        ("prompt,,seed\na,1,2\n", "column 2 has no name in the header"),
        (",prompt\n0,a\n", "index=False"),
        ("", "the table is empty"),
        ("prompt\na\0b\n", "row 1: holds a NUL character"),
    ],
)
def test_a_broken_csv_is_refused_with_the_row(csv_table, text, complaint):
    """What does not fit the header is named by its row, never cut or filled up."""
    with pytest.raises(TableError) as caught:
        csv_table(text)
    assert complaint in str(caught.value)


def test_every_ragged_row_is_named_at_once(csv_table):
    """All problems come in one error; fifty are printed and the rest is counted."""
    with pytest.raises(TableError) as caught:
        csv_table("prompt,seed\n" + "x\n" * 60)
    assert len(caught.value.problems) == 60
    assert [problem.row for problem in caught.value.problems] == list(range(1, 61))
    assert str(caught.value).endswith("and 10 more")
    assert len(str(caught.value).splitlines()) == 51


def test_looking_for_problems_ends(csv_table):
    """A table cut at the wrong place everywhere is not a list of a hundred thousand complaints."""
    with pytest.raises(TableError) as caught:
        csv_table("prompt,seed\n" + "x\n" * 5_000)
    assert len(caught.value.problems) == 1_000


def test_latin1_is_refused_with_the_line_and_the_remedy(tmp_path):
    """Bytes that are not UTF-8 are not guessed at."""
    path = tmp_path / "prompts.csv"
    path.write_bytes("prompt\nfox\ncafé\n".encode("latin-1"))
    with pytest.raises(TableError, match=r"line 3: byte 0xe9 is not UTF-8; save the table as CSV UTF-8"):
        read_table(path)


def test_gzip_is_seen_by_its_signature(tmp_path):
    """A compressed table is read whatever its name; the sha256 is the stored file's."""
    path = tmp_path / "nightly.csv.gz"
    path.write_bytes(gzip.compress(b"prompt\nfox\n", mtime=0))
    table = read_table(path)
    assert (table.stem, list(table.records)) == ("nightly", [("fox",)])
    assert table.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(TableError, match="not a whole gzip file"):
        read_table(path)


def test_jsonl_keeps_types_and_breaks_lines_only_at_lf(tmp_path):
    """Each line is an object; missing fields are absent; big integers stay exact."""
    path = tmp_path / "prompts.jsonl"
    lines = [{"prompt": "a\u2028b", "seed": 2**63 - 1}, {"prompt": "c", "tools": [{"x": None}]}]
    path.write_text("\ufeff" + "\n\n".join(json.dumps(line, ensure_ascii=False) for line in lines), "utf-8")
    table = read_table(path)
    assert table.columns == ("prompt", "seed", "tools")
    assert list(table.records) == [("a\u2028b", 2**63 - 1, None), ("c", None, [{"x": None}])]


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        (b"[1]", "expected a JSON object"),
        (b'{"prompt": }', "not JSON"),
        (b'{"prompt": "a", "prompt": "b"}', "'prompt' occurs twice"),
        (b'{"prompt": NaN}', "NaN is not JSON"),
        (b'{"prompt": "\\ud800"}', "half of a surrogate pair"),
        (b'{"prompt": "\\u0000"}', "NUL"),
        (b'{"prompt": "\xff"}', "not UTF-8"),
        (b'{"seed": 1e999}', "too large"),
        (b'{"prompt": ' + b"[" * 5000 + b"]" * 5000 + b"}", "nested more than 64"),
    ],
)
def test_a_bad_json_line_is_named(tmp_path, line, complaint):
    """A line that is no object, or could not be sent as it stands, is a problem of its row."""
    path = tmp_path / "prompts.jsonl"
    path.write_bytes(b'{"prompt": "fine"}\n' + line + b"\n")
    with pytest.raises(TableError) as caught:
        read_table(path)
    assert caught.value.problems[0].row == 2
    assert complaint in caught.value.problems[0].message


def test_parquet_keeps_types_exactly(tmp_path):
    """64-bit integers, nulls, lists, objects, dates and float32 come out as they were meant."""
    path = tmp_path / "prompts.parquet"
    table = pa.table(
        {
            "prompt": pa.array(["a", None]),
            "seed": pa.array([2**63 - 1, None], pa.int64()),
            "whole": pa.array([7.0, float("nan")]),
            "third": pa.array([0.7, None], pa.float32()),
            "tools": pa.array([[{"type": "function"}], None]),
            "bias": pa.array([[("1", 2.0)], None], pa.map_(pa.string(), pa.float64())),
            "day": pa.array([date(2026, 1, 9), None]),
            "price": pa.array([Decimal("1.50"), None]),
            "word": pa.array(["x", None]).dictionary_encode(),
            "raw": pa.array([b"bytes", None]),
        }
    )
    pq.write_table(table, path)
    read = read_table(path)
    assert list(read.records) == [
        ("a", 2**63 - 1, 7.0, 0.7, [{"type": "function"}], {"1": 2.0}, "2026-01-09", 1.5, "x", "bytes"),
        (None,) * 10,
    ]


def test_the_index_pandas_writes_into_parquet_is_no_column(tmp_path):
    """A frame's stored index is left out."""
    path = tmp_path / "prompts.parquet"
    pd.DataFrame({"prompt": ["a"]}, index=[5]).rename_axis("key").to_parquet(path)
    pd.DataFrame({"prompt": ["a"]}, index=pd.Index([5])).to_parquet(path)
    assert read_table(path).columns == ("prompt",)


def test_a_nul_in_parquet_or_a_frame_is_refused(tmp_path):
    """What no database would keep is refused before it is paid for."""
    frame = pd.DataFrame({"prompt": ["a", "b\0"]})
    path = tmp_path / "prompts.parquet"
    frame.to_parquet(path)
    for source in (path, frame, frame.astype(object)):
        with pytest.raises(TableError, match="row 2, prompt: holds a NUL"):
            read_table(source)


def test_something_else_named_parquet_is_refused(tmp_path):
    """A name does not make a Parquet file."""
    path = tmp_path / "prompts.parquet"
    path.write_bytes(b"prompt\nfox\n")
    with pytest.raises(TableError, match="not a whole Parquet file"):
        read_table(path)


def test_a_frame_keeps_what_its_cells_mean():
    """Nullable, float, object, category and date columns of pandas become plain cells; missing is absent."""
    frame = pd.DataFrame(
        {
            "prompt": ["a", None],
            "seed": pd.array([2**63 - 1, None], dtype="Int64"),
            "gap": [7.0, np.nan],
            "mixed": [np.int64(3), "1-2"],
            "tools": [[{"a": None}], pd.NA],
            "array": [np.array([1, 2]), pd.NaT],
            "kind": pd.Categorical(["x", None]),
            "small": np.array([0.7, 1], dtype="float32"),
        }
    )
    assert rows(frame) == [
        ("a", 2**63 - 1, 7.0, 3, [{"a": None}], [1, 2], "x", 0.7),
        (None, None, None, "1-2", None, None, None, 1.0),
    ]


def test_a_frame_is_known_by_its_content():
    """The sha256 of a frame changes with a cell and not with its index."""
    frame = pd.DataFrame({"prompt": ["a", "b"], "seed": [1, 2]})
    other = frame.assign(seed=[1, 3])
    assert read_table(frame).sha256 == read_table(frame.set_axis([5, 6])).sha256 != read_table(other).sha256
    assert read_table(frame).folder is None


def test_any_fsspec_address_can_be_read():
    """A table may lie anywhere fsspec reaches; its name has no credentials and no query."""
    with fsspec.open("memory://tables/nightly.csv", "wb") as stream:
        stream.write(b"prompt\nfox\n")
    table = read_table(
        "memory://user:secret@tables/nightly.csv?sig=hidden".replace("user:secret@", "").split("?")[0]
    )
    assert (table.stem, table.folder, list(table.records)) == ("nightly", None, [("fox",)])


def test_credentials_in_an_address_are_never_repeated():
    """An error names the address without user, password or signature."""
    with pytest.raises(UsageError) as caught:
        read_table("nosuchscheme://user:secret@host/table.csv?sig=hidden")
    assert "nosuchscheme://host/table.csv" in str(caught.value)
    assert "secret" not in repr(caught.value) and "hidden" not in repr(caught.value)


def test_a_local_file_knows_the_folder_of_its_images(tmp_path, csv_table):
    """Images are looked for beside the table, also when it is named by a file URL."""
    table = csv_table("prompt\nfox\n")
    assert table.folder == tmp_path
    assert read_table(f"file://{tmp_path}/prompts.csv").folder == tmp_path


@pytest.mark.parametrize(
    ("name", "complaint"),
    [("absent.csv", "no table at"), (".", "no table in"), ("memory://absent.csv", "no table at")],
)
def test_a_missing_table_says_so_with_a_remedy(tmp_path, name, complaint):
    """Nothing there is a usage error, not a traceback."""
    with pytest.raises(UsageError) as caught:
        read_table(name if "://" in name else tmp_path / name)
    assert complaint in caught.value.message
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("a.xlsx", b"PK\x03\x04...", "CSV UTF-8"),
        ("a.json", b'[{"prompt": "a"}]', "JSON lines"),
        ("a", b"[1]", "JSON"),
    ],
)
def test_a_file_of_another_kind_says_what_to_save_it_as(tmp_path, name, content, complaint):
    """Excel workbooks and JSON documents are told apart from broken CSV."""
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(TableError, match=complaint):
        read_table(path)


@pytest.mark.parametrize(
    ("content", "count"), [(b'{"prompt": "a"}\n{"prompt": "b"}\n', 2), (b"prompt\na\n", 1)]
)
def test_a_table_without_a_suffix_is_known_by_its_first_character(tmp_path, content, count):
    """Without a name to go by, `{` means JSON lines and anything else CSV."""
    path = tmp_path / "prompts"
    path.write_bytes(content)
    assert len(read_table(path).records) == count


def test_the_shipped_example_is_a_table_of_at_least_twelve_prompts():
    """`example:` is there after every installation; other examples are listed."""
    table = read_table("example:")
    assert (table.name, table.stem) == ("example:", "example")
    assert len(table.records) >= 12
    with pytest.raises(UsageError, match="Shipped are: example"):
        read_table("example:absent")


def test_a_stem_is_never_empty(tmp_path):
    """OUT's name comes from the stem, so there always is one."""
    path = Path(tmp_path) / ".csv"
    path.write_bytes(b"prompt\na\n")
    assert read_table(path).stem == ".csv"


def test_a_parquet_table_is_read_once_from_a_bucket(bucket, tmp_path):
    """One request brings the bytes, whose sha256 is the table's."""
    pq.write_table(pa.table({"prompt": ["a fox"], "seed": [7]}), tmp_path / "nightly.parquet")
    content = (tmp_path / "nightly.parquet").read_bytes()
    table = read_table(bucket.put("tables/nightly.parquet", content))
    assert (table.stem, table.sha256) == ("nightly", hashlib.sha256(content).hexdigest())
    assert list(table.records) == [("a fox", 7)]
    assert [call.method for call in bucket.server.calls].count("GET") == 1


def test_why_a_table_in_a_bucket_cannot_be_read_is_said_without_a_key(bucket, monkeypatch):
    """No access and no credentials are two things, each with its remedy."""
    bucket.server.answer = lambda _call: 403
    with pytest.raises(UsageError, match="access is denied"):
        read_table(f"{bucket.url}/nightly.csv")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(UsageError, match="no credentials") as refused:
        read_table(f"{bucket.url}/nightly.csv")
    assert "AWS_ACCESS_KEY_ID" in refused.value.remedy
