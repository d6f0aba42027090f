"""What an OUT says of itself."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import pytest
from reelsweep.prompts.errors import OutError, TroubleError
from reelsweep.tasks.manifest.outfile import FORMAT_VERSION, NAME, OutFacts, read_out, write_out

FACTS = OutFacts(out_id="o1", ledger_id="l1", table="boats.csv", gateway_kind="sandbox")


def test_what_is_written_is_read(tmp_path: Path) -> None:
    """An OUT knows its id, its ledger and how its last run ended."""
    for facts in (FACTS, FACTS.model_copy(update={"ended": True})):
        write_out(tmp_path, facts)
        assert read_out(tmp_path) == facts
    assert [path.name for path in tmp_path.iterdir()] == [NAME]


def test_a_folder_without_the_file_is_no_out(tmp_path: Path) -> None:
    """A new folder is not an error."""
    assert read_out(tmp_path) is None
    assert read_out(tmp_path / "missing") is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "damaged: the file"),
        ("{", "damaged: the file"),
        ('{"format_version": 1}', "out_id: Field required"),
        (json.dumps({**FACTS.model_dump(), "colour": 1}), "colour: Extra inputs"),
        (json.dumps({**FACTS.model_dump(), "gateway_kind": "both"}), "gateway_kind: "),
        (json.dumps({"format_version": FORMAT_VERSION + 1, "new": 1}), f"reads up to {FORMAT_VERSION}"),
    ],
)
def test_a_damaged_or_newer_file_is_refused(tmp_path: Path, text: str, message: str) -> None:
    """Whatever cannot be understood stops the command with a remedy; it is never taken for a new OUT."""
    (tmp_path / NAME).write_text(text)
    with pytest.raises(OutError, match=message) as caught:
        read_out(tmp_path)
    assert caught.value.remedy
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def test_a_folder_that_cannot_be_made_is_trouble(tmp_path: Path) -> None:
    """Writing where one cannot is one clear error."""
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(TroubleError, match="cannot write"):
        write_out(tmp_path / "file" / "out", FACTS)


def test_the_manifest_says_whose_it_is() -> None:
    """What is copied into the manifest names the OUT and its ledger, in words only."""
    assert FACTS.as_facts() == {
        "format_version": "1",
        "out_id": "o1",
        "ledger_id": "l1",
        "table": "boats.csv",
        "gateway_kind": "sandbox",
        "checks": "default",
    }
