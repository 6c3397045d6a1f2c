# SPDX-License-Identifier: Apache-2.0
import pytest

from eeg_hf.tables import NOTHING, escape_cell, markdown_table


def test_text_is_left_numbers_right_and_empty_columns_go():
    rows = [
        {"Method": "a", "AUROC": "0.5", "Time": NOTHING},
        {"Method": "b", "AUROC": NOTHING, "Time": NOTHING},
    ]
    assert markdown_table(rows, texts=["Method"]).splitlines() == [
        "| Method | AUROC |",
        "| :-- | --: |",
        "| a | 0.5 |",
        f"| b | {NOTHING} |",
    ]


@pytest.mark.parametrize("text", ["a|b", "a\nb", "a\r\n| forged | row |", "a\u2028b"])
def test_no_text_ends_its_cell_or_row(text):
    table = markdown_table([{"Method": escape_cell(text), "AUROC": "1"}])
    assert len(table.splitlines()) == 3
    assert table.splitlines()[2].replace("\\|", "").count("|") == 3
