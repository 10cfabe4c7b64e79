"""One schema, three sources, and no open door by accident."""

import os
from pathlib import Path

import pytest

from kizu.core.errors import ConfigError
from kizu.service.settings import ServeSettings, is_loopback, read_settings
from kizu.tasks.serve import given_flags
from kizu.tasks.serve_options import ServeOptions


def test_a_flag_wins_over_a_variable_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / "serve.yaml"
    file.write_text("port: 1\nqueue_length: 1\nmax_body_mb: 1\ndecision: {min_defect_area: 5, open_px: 3}\n")
    variables = {
        "KIZU_SERVE_CONFIG": str(file),
        "KIZU_SERVE_PORT": "2",
        "KIZU_SERVE_QUEUE_LENGTH": "2",
        "HOME": "x",
    }
    found = read_settings({"port": 3, "decision": {"min_defect_area": 7}}, variables)
    assert (found.port, found.queue_length, found.max_body_mb) == (3, 2, 1)
    assert (found.decision.min_defect_area, found.decision.open_px) == (7, 3)


def test_a_variable_says_lists_and_tables_too() -> None:
    found = read_settings(
        {},
        {
            "KIZU_SERVE_RUNS": os.pathsep.join(("a", "b")),
            "KIZU_SERVE_PRODUCTS": "{plate: {roi: x.json}}",
            "KIZU_SERVE_NO_AUTH": "true",
            "KIZU_SERVE_KEYS_FILE": "",
        },
    )
    assert found.runs == (Path("a"), Path("b"))
    assert found.decision_of("plate").roi == Path("x.json")
    assert found.decision_of("other").roi is None
    assert found.no_auth


@pytest.mark.parametrize(
    ("variables", "told"),
    [
        ({"KIZU_SERVE_PRT": "1"}, "KIZU_SERVE_PORT"),
        ({"KIZU_SERVE_PORT": "70000"}, "port"),
        ({"KIZU_SERVE_PORT": "{"}, "KIZU_SERVE_PORT"),
        ({"KIZU_SERVE_DECISION": "{open_px: 2}"}, "odd"),
        ({"KIZU_SERVE_CONFIG": "/nowhere.yaml"}, "/nowhere.yaml"),
    ],
)
def test_what_is_no_setting_is_told_by_name(variables: dict[str, str], told: str) -> None:
    with pytest.raises(ConfigError) as refused:
        read_settings({}, variables)
    assert told in str(refused.value)


@pytest.mark.parametrize(
    ("text", "told"), [("prot: 1\n", "did you mean 'port'"), ("- 1\n", "no settings"), ("{", "read")]
)
def test_a_file_that_is_none_is_named(tmp_path: Path, text: str, told: str) -> None:
    file = tmp_path / "serve.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError) as refused:
        read_settings({"config": file}, {})
    assert str(file) in str(refused.value)
    assert told in str(refused.value)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.4", "factory.example"])
def test_where_others_reach_it_keys_are_needed_or_a_word(host: str) -> None:
    with pytest.raises(ConfigError) as refused:
        read_settings({"host": host}, {})
    assert "serve-key" in str(refused.value.hint)
    assert read_settings({"host": host, "no_auth": True}, {}).no_auth
    assert read_settings({"host": host, "keys_file": "k.json"}, {}).keys_file == Path("k.json")
    with pytest.raises(ConfigError, match="contradict"):
        read_settings({"host": host, "no_auth": True, "keys_file": "k.json"}, {})


def test_loopback_is_open() -> None:
    assert all(map(is_loopback, ("127.0.0.1", "127.8.8.8", "::1", "localhost")))
    assert ServeSettings().keys_file is None


def test_only_flags_that_were_given_count() -> None:
    assert given_flags(ServeOptions()) == {}
    assert given_flags(ServeOptions(port=0, queue_length=0, roi=Path("r"), no_auth=True)) == {
        "port": 0,
        "queue_length": 0,
        "no_auth": True,
        "decision": {"roi": Path("r")},
    }
