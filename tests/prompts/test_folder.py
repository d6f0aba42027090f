"""A folder or a pattern of tables is one table."""

from __future__ import annotations

import gzip
from pathlib import Path

import pandas as pd
import pytest
from reelsweep.prompts.errors import TableError, UsageError
from reelsweep.prompts.plan import PlanSettings, make_plan
from reelsweep.prompts.table import read_table


def plan_of(source: Path | str, load_image=None):
    return make_plan(read_table(source), PlanSettings(), load_image=load_image)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of its own inside the test's."""
    (tmp_path / "nights").mkdir()
    return tmp_path / "nights"


def test_tables_stand_in_the_order_of_their_names(folder):
    """Whatever wrote them; a row says in meta_table which file it is from; other files are no tables."""
    (folder / "b.jsonl").write_text('{"prompt": "second", "seed": 7}\n')
    (folder / "a.csv").write_text("prompt,note\nfirst,x\n")
    (folder / "c.tsv.gz").write_bytes(gzip.compress(b"prompt\tseed\nthird\t1\n"))
    pd.DataFrame({"prompt": ["fourth"]}).to_parquet(folder / "d.parquet")
    for name in (".hidden.csv", "e.csv.part", "README.md"):
        (folder / name).write_text("prompt\nno\n")
    table = read_table(folder)
    assert (table.stem, table.folder) == ("nights", folder)
    assert table.columns == ("prompt", "note", "seed", "meta_table")
    specs = list(plan_of(folder).specs())
    assert [(spec.prompt, spec.seed, spec.meta["table"]) for spec in specs] == [
        ("first", None, "a.csv"),
        ("second", 7, "b.jsonl"),
        ("third", 1, "c.tsv.gz"),
        ("fourth", None, "d.parquet"),
    ]


def test_a_pattern_may_cross_folders_and_images_lie_beside_their_table(folder, image_loader):
    """The same reference in two folders is two images; addresses stay what they are."""
    asked = []
    for name in ("one", "two"):
        (folder / name).mkdir()
        (folder / name / "prompts.csv").write_text(
            'prompt,image\nfox,cat.png\nowl,"[""a.png"", ""https://example.com/b.png""]"\n'
        )

    def load(reference):
        asked.append(reference)
        return image_loader(reference)

    plan = plan_of(f"{folder}/**/*.csv", load)
    assert plan.table.folder == folder
    assert plan.table.stem == "nights"
    assert [spec.meta["table"] for spec in plan.specs()][::2] == ["one/prompts.csv", "two/prompts.csv"]
    assert sorted(set(asked)) == [
        "https://example.com/b.png",
        "one/a.png",
        "one/cat.png",
        "two/a.png",
        "two/cat.png",
    ]
    assert len(set(plan.fingerprints())) == 4


@pytest.mark.parametrize("reference", ["/etc/secret.png", "../../secret.png", "C:\\secret.png"])
def test_a_reference_that_leaves_the_folder_stays_one(folder, image_loader, reference):
    """Where a file lies decides nothing about what may be read: the same complaint as in a single table."""
    for name in ("one", "two"):
        (folder / name).mkdir()
        (folder / name / "prompts.csv").write_text(f"prompt,image\nfox,{reference}\n")
    with pytest.raises(TableError) as alone:
        plan_of(folder / "one" / "prompts.csv", image_loader)
    with pytest.raises(TableError) as among:
        plan_of(f"{folder}/*/*.csv", image_loader)
    assert len(among.value.problems) == 2 * len(alone.value.problems) == 2


def test_problems_name_the_file_and_its_row(folder):
    """All problems of all files at once, each as the person who opens the file would find it."""
    (folder / "a.csv").write_text("prompt,temperature\nfox,1\nowl,2.5\n")
    (folder / "b.csv").write_text("prompt,temperature\nelk,9\n")
    with pytest.raises(TableError) as caught:
        plan_of(folder)
    first, second = str(caught.value).splitlines()
    assert first.startswith(f"{folder}/a.csv: row 2, temperature: got '2.5'")
    assert second.startswith(f"{folder}/b.csv: row 1, temperature: got '9'")


def test_problems_that_name_two_rows_name_both_files(folder):
    """`rows a.csv:1 and b.csv:1`: a number alone would be looked up in the wrong file."""
    (folder / "a.csv").write_text("prompt,output\nfox,video\n")
    (folder / "b.csv").write_text("prompt,output\nfox,text\n")
    with pytest.raises(TableError, match=r"rows \S+a\.csv:1 and \S+b\.csv:1 ask"):
        plan_of(folder)


def test_unreadable_files_are_all_named(folder):
    """One damaged file does not hide the next."""
    (folder / "a.csv").write_text('prompt\n"never closed\n')
    (folder / "b.parquet").write_bytes(b"PAR1 cut PAR1")
    with pytest.raises(TableError) as caught:
        read_table(folder)
    assert {Path(problem.table).name for problem in caught.value.problems} == {"a.csv", "b.parquet"}


def test_one_prompt_id_is_one_prompt(folder):
    """In two files it may ask for more seeds of the same prompt; for another prompt it is an error."""
    (folder / "a.csv").write_text("prompt_id,prompt,seed\nfox,a fox,1\n")
    (folder / "b.csv").write_text("prompt_id,prompt,seed\nelk,an elk,1\nfox,a fox,2\n")
    assert len(plan_of(folder)) == 3
    (folder / "c.csv").write_text("prompt_id,prompt,seed\nfox,a vixen,3\n,a wren,x\n")
    with pytest.raises(TableError) as caught:
        plan_of(folder)
    first, second = str(caught.value).splitlines()
    assert first.startswith(
        f"{folder}/c.csv: row 1, prompt_id: 'fox' is another prompt in {folder}/a.csv, row 1"
    )
    assert second.startswith(f"{folder}/c.csv: row 2, seed: got 'x'")


def test_decimal_commas_are_read_in_their_own_file_only(folder):
    """A `;` file of Excel's beside a `,` file: `0,7` is a number in the first, an error in the second."""
    (folder / "a.csv").write_text("prompt;temperature\nfox;0,7\n")
    (folder / "b.csv").write_text('prompt,temperature\nelk,"0,9"\n')
    with pytest.raises(TableError) as caught:
        plan_of(folder)
    (problem,) = caught.value.problems
    assert problem.table == str(folder / "b.csv")
    (folder / "b.csv").write_text("prompt,temperature\nelk,0.9\n")
    assert [spec.params["temperature"] for spec in plan_of(folder).specs()] == [0.7, 0.9]


def test_the_tables_own_word_for_a_source_stays(folder):
    """A column `meta_table` or `table` of the tables is theirs."""
    (folder / "a.csv").write_text("prompt,meta_table\nfox,mine\n")
    assert [spec.meta["table"] for spec in plan_of(folder).specs()] == ["mine"]


@pytest.mark.parametrize("pattern", ["", "/*.csv"])
def test_where_no_table_is_an_error_says_what_counts_as_one(folder, pattern):
    """An empty folder buys nothing and says so; a pattern that matches nothing does too."""
    with pytest.raises(UsageError) as caught:
        read_table(f"{folder}{pattern}")
    assert "no table in" in caught.value.message
    assert ".csv" in caught.value.remedy


def test_a_file_whose_name_looks_like_a_pattern_is_a_file(folder):
    """`prompts[1].csv`, as browsers name a second download, is read as it is called."""
    (folder / "prompts[1].csv").write_text("prompt\nfox\n")
    assert read_table(folder / "prompts[1].csv").stem == "prompts[1]"


def test_adding_a_file_changes_no_fingerprint(folder):
    """Rows are known by what they ask for, not by their place among the files."""
    (folder / "b.csv").write_text("prompt\nfox\n")
    before = list(plan_of(folder).fingerprints())
    (folder / "a.csv").write_text("prompt,seed\nelk,1\n")
    assert list(plan_of(folder).fingerprints())[1:] == before
