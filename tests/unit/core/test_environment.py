"""What the environment sets is a whole number, or is named."""

import pytest

from kizu.core.environment import whole_number
from kizu.core.errors import ConfigError
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
