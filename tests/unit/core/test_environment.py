"""What the environment sets is a whole number, or is named; file names of any bytes are kept."""

import json
import os
from pathlib import Path

import pytest

from kizu.core.environment import FILE_NAME_ERRORS, whole_number
from kizu.core.errors import ConfigError
from kizu.core.files import write_json, write_text
from kizu.core.work import FEATURES_VARIABLE, MEMORY_VARIABLE, Work


@pytest.mark.parametrize(
    ("given", "number"), [(None, None), ("", None), (" ", None), ("0", 0), (" 2000 ", 2000)]
)
def test_a_number_is_read_and_nothing_is_nothing(
    given: str | None, number: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KIZU_NUMBER", raising=False)
    if given is not None:
        monkeypatch.setenv("KIZU_NUMBER", given)
    assert whole_number("KIZU_NUMBER") == number


@pytest.mark.parametrize("given", ["lots", "-1", "1.5", "2 GB", "\N{SUPERSCRIPT TWO}"])
@pytest.mark.parametrize("variable", [MEMORY_VARIABLE, FEATURES_VARIABLE])
def test_what_is_no_number_is_refused_with_the_name_of_the_variable(
    given: str, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, given)
    with pytest.raises(ConfigError, match=f"{variable}={given} is not a whole number") as caught:
        Work().memory_budget() if variable == MEMORY_VARIABLE else Work().features_budget()
    assert caught.value.hint


@pytest.mark.parametrize(
    "name", [b"caf\xe9.png", b"a\\\xe9\xff", "café \N{GRINNING FACE}".encode(), b"plain"]
)
def test_file_names_of_any_bytes_read_back_the_same(name: bytes, tmp_path: Path) -> None:
    text = os.fsdecode(name)
    write_json(tmp_path / "a.json", {"name": text})
    assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8")) == {"name": text}
    with (tmp_path / "list").open("w", encoding="utf-8", errors=FILE_NAME_ERRORS) as stream:
        stream.write(text)
    assert (tmp_path / "list").read_bytes() == name
    assert (tmp_path / "list").read_text(encoding="utf-8", errors=FILE_NAME_ERRORS) == text


def test_names_in_utf8_are_written_as_they_are_read(tmp_path: Path) -> None:
    write_text(tmp_path / "a", "café")
    assert (tmp_path / "a").read_bytes() == "café".encode()
