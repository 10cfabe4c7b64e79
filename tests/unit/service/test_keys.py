"""Who gets in, and how far."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("fastapi", reason="the extra `serve` is not installed")

from starlette.testclient import TestClient
from tests.support import ask

from kizu.core.errors import ConfigError
from kizu.service.keys import Keys, add_key, read_keys, remove_key


def bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "keys.json"


def test_the_file_holds_no_key(file: Path) -> None:
    secret = add_key(file, "line1", "detect")
    assert secret not in file.read_text()
    assert len(secret) > 40
    found = Keys(file).find(secret)
    assert found is not None
    assert (found.name, found.role) == ("line1", "detect")
    assert Keys(file).find(secret[:-1]) is None


def test_two_keys_differ_and_one_name_has_one(file: Path) -> None:
    assert add_key(file, "a", "detect") != add_key(file, "b", "admin")
    with pytest.raises(ConfigError, match="has a key of a"):
        add_key(file, "a", "admin")
    with pytest.raises(ConfigError, match="no name"):
        add_key(file, "a b", "admin")
    remove_key(file, "a")
    with pytest.raises(ConfigError, match="no key of 'a'"):
        remove_key(file, "a")
    assert [key.name for key in read_keys(file).keys] == ["b"]


@pytest.mark.parametrize("content", [None, "{", '{"keys": [{"name": "x"}]}', '{"keys": []}'])
def test_a_file_without_a_key_starts_no_service(file: Path, content: str | None) -> None:
    if content is not None:
        file.write_text(content)
    with pytest.raises(ConfigError, match=r"keys\.json"):
        Keys(file)


def test_roles_reach_as_far_as_they_say(file: Path, start: Callable[..., TestClient]) -> None:
    detect, admin = add_key(file, "line1", "detect"), add_key(file, "boss", "admin")
    client = start(keys_file=str(file), host="0.0.0.0")
    for path in ("/", "/docs", "/openapi.json", "/health", "/pages/look.js"):
        assert client.get(path).status_code == 200
    for path in ("/classes", "/models", "/metrics"):
        assert client.get(path).status_code == 401
        assert client.get(path, headers=bearer("wrong")).status_code == 401
        assert client.get(path, headers=bearer(detect)).status_code == 200
        assert client.get(path, headers={"x-api-key": detect}).status_code == 200
    refused = client.post("/detect", content=b"x" * 100_000)
    assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")
    assert client.post("/detect", content=b"x", headers=bearer(detect)).status_code == 415
    assert client.post("/models/refresh").status_code == 401
    assert client.post("/models/refresh", headers=bearer(detect)).status_code == 403
    assert client.post("/models/refresh", headers=bearer(admin)).status_code == 200


def test_a_key_that_was_taken_back_opens_nothing_any_more(
    file: Path, start: Callable[..., TestClient]
) -> None:
    mine, other = add_key(file, "mine", "detect"), add_key(file, "other", "detect")
    client = start(keys_file=str(file))
    assert client.get("/models", headers=bearer(mine)).status_code == 200
    remove_key(file, "mine")
    os.utime(file, ns=(1, 1))  # a clock that ticks slowly
    assert client.get("/models", headers=bearer(mine)).status_code == 401
    assert client.get("/models", headers=bearer(other)).status_code == 200
    file.write_text("{")
    broken = client.get("/models", headers=bearer(other))
    assert broken.status_code == 503
    assert str(file) not in broken.text


def test_metrics_are_open_where_that_is_said(file: Path, start: Callable[..., TestClient]) -> None:
    add_key(file, "line1", "detect")
    assert start(keys_file=str(file), open_metrics=True).get("/metrics").status_code == 200


def test_the_command_line_makes_lists_and_removes_them(file: Path) -> None:
    secret = ask("serve-key", "add", "line1", "--keys-file", file, "--role", "admin").stdout.strip()
    assert Keys(file).find(secret) is not None
    assert ask("serve-key", "list", "--keys-file", file).stdout.split()[:2] == ["line1", "admin"]
    ask("serve-key", "remove", "line1", "--keys-file", file)
    assert "no key of 'x'" in ask("serve-key", "remove", "x", "--keys-file", file, ok=2).stderr
    assert ask("serve-key", "list", "--keys-file", file).stdout.strip() == ""
