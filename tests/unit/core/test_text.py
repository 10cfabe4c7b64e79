"""Names among words."""

import pytest

from kizu.core.text import as_cell, one_line


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("a b.png", "a b.png"),
        ("é 傷 \udce9.png", "é 傷 \udce9.png"),
        ("a\nNG  b.png", "a\\nNG  b.png"),
        ("a\r\x1b[2Jb", "a\\r\\x1b[2Jb"),
        ("a\u2028b\u2029c\x85d\x9be", "a\\u2028b\\u2029c\\x85d\\x9be"),
        ("a\u202egnp.exe", "a\\u202egnp.exe"),
        ("a\x7f\x00b", "a\\x7f\\x00b"),
    ],
)
def test_a_name_is_shown_on_one_line_and_commands_nothing(name: str, shown: str) -> None:
    assert one_line(name) == shown
    assert len(one_line(name).splitlines()) == 1


@pytest.mark.parametrize("sign", ["=", "+", "-", "@", "\t", "\r", "\n", "＝"])
def test_no_cell_is_a_formula(sign: str) -> None:
    assert as_cell(f"{sign}cmd|' /C calc'!A0") == f"'{sign}cmd|' /C calc'!A0"
    assert as_cell(f"a{sign}b") == f"a{sign}b"
