"""A file of settings that cannot be one is refused by name, whatever the YAML library makes of it."""

from pathlib import Path

import pytest

from kizu.core.errors import ConfigError
from kizu.pipeline.config import PipelineConfig, read_yaml

NOT_YAML = {
    "no text": b"\xff\xfe\x00",
    "NULs": b"\0" * 20,
    "too deep": b"[" * 100_000,
    "no such day": b"seed: 2024-13-45",
    "no time": b"seed: !!timestamp x",
    "no truth": b"seed: !!bool maybe",
    "no number": b"seed: !!int x",
    "no bytes": b"seed: !!binary \xc3\xa9",
    "an object": b"!!python/object:os.system x",
    "a list as a key": b"? [a]\n: 1",
}


@pytest.mark.parametrize("content", NOT_YAML.values(), ids=NOT_YAML.keys())
def test_what_is_no_yaml_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "config.yaml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"config\.yaml"):
        PipelineConfig.read(path)
    with pytest.raises(ConfigError, match="gone"):
        read_yaml(tmp_path / "gone.yaml")
