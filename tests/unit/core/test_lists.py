import pytest

from kizu.core.errors import ConfigError
from kizu.core.lists import comma_separated


@pytest.mark.parametrize(
    ("text", "names"),
    [("a", ("a",)), ("a,b", ("a", "b")), (" a , b,c ", ("a", "b", "c")), ("sets/a b,c", ("sets/a b", "c"))],
)
def test_blanks_round_a_name_do_not_count(text: str, names: tuple[str, ...]) -> None:
    assert comma_separated(text, where="--methods") == names


@pytest.mark.parametrize("text", ["", " ", "a,,b", "a,", ",a"])
def test_an_empty_name_is_refused_with_the_flag(text: str) -> None:
    with pytest.raises(ConfigError, match=r"--methods .*a name is empty"):
        comma_separated(text, where="--methods")


def test_a_name_given_twice_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"--layers 'a, b,a' names 'a' twice"):
        comma_separated("a, b,a", where="--layers")
