"""Numbers as text: every column in line, and what is missing is a dash with its reason."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kizu.report.tables import metrics_table, number, text_table

CELLS = st.text(st.characters(categories=["L", "N", "P"]), min_size=1, max_size=8)


def test_the_first_column_is_flush_left_and_the_others_right() -> None:
    assert text_table(["name", "AUROC"], [["tile", "0.98"], ["hazelnut", "1"]]).splitlines() == [
        "name      AUROC",
        "--------  -----",
        "tile       0.98",
        "hazelnut      1",
    ]


@given(st.lists(CELLS, min_size=1, max_size=4).flatmap(
    lambda head: st.tuples(st.just(head), st.lists(st.lists(CELLS, min_size=len(head), max_size=len(head)), max_size=5))
))  # fmt: skip
def test_no_cell_is_lost_and_all_columns_end_alike(table: tuple[list[str], list[list[str]]]) -> None:
    head, rows = table
    lines = text_table(head, rows).splitlines()
    assert len(lines) == 2 + len(rows)
    assert [line.split() for line in lines[:1] + lines[2:]] == [head, *rows]
    assert lines == [line.rstrip() for line in lines]
    if len(head) > 1:
        assert {len(line) for line in lines} == {len(lines[1])}


def test_a_row_of_another_length_is_no_table() -> None:
    with pytest.raises(ValueError, match="zip"):
        text_table(["a", "b"], [["1", "2", "3"]])


def test_a_number_has_four_places_and_a_missing_one_is_a_dash() -> None:
    assert [number(value) for value in (0.97654, 1, 0.0, None)] == ["0.9765", "1.0000", "0.0000", "-"]


def test_each_metric_is_a_line_and_a_missing_one_says_why() -> None:
    table = metrics_table({"image_auroc": 0.9, "aupro": None}, {"aupro": "no masks"})
    assert table.splitlines() == ["image_auroc  0.9000", "aupro        -  (no masks)"]
