"""Bills as files."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reelsweep.flows.recovery.bill import choose_columns, parse_bill
from reelsweep.flows.recovery.billfile import read_bill


def test_json_lines_say_what_csv_says(tmp_path: Path) -> None:
    """Numbers to the digit, absent and null as empty, booleans as words."""
    as_json, as_csv = tmp_path / "bill.jsonl", tmp_path / "bill.csv"
    as_json.write_text(
        '{"id": "a", "cost": 0.1000001, "billed": true}\n\n{"id": 7, "billed": false, "cost": 12}\n'
        '{"id": null, "cost": 1e-3}\n'
    )
    as_csv.write_text("id,cost,billed\na,0.1000001,true\n7,12,false\n,1e-3,\n")
    assert read_bill(as_json) == read_bill(as_csv)


@given(musd=st.integers(0, 10**14))
def test_an_amount_in_json_is_read_to_the_micro_dollar(
    musd: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """However many digits it has."""
    path = tmp_path_factory.getbasetemp() / "amount.jsonl"
    path.write_text(f'{{"id": "a", "cost_usd": {musd // 10**6}.{musd % 10**6:06d}}}')
    file = read_bill(path)
    (read,) = parse_bill("bill", file.records, choose_columns("bill", file.columns, {}))
    assert read.cost_musd == musd
