"""What `kizu design` writes is what `kizu freeze --design` reads, and nothing else."""

from pathlib import Path

import pytest
from tests.support import BASE

from kizu.core.errors import ConfigError
from kizu.core.files import write_stored
from kizu.protocol.design import Design, read_design
from kizu.protocol.freeze import DevSet, Origin, StandardThreshold


def design_file(folder: Path) -> Path:
    chosen = Design(
        pipelines={"patchcore": BASE},
        thresholds={"patchcore": StandardThreshold(value=2.0, rule="fpr@0.01", count=9)},
        origin=Origin(how="by hand", dev=(DevSet(dataset="a", category="b", manifest_sha256="1"),)),
    )
    write_stored(folder / "design.json", chosen)
    assert read_design(folder / "design.json") == chosen
    return folder / "design.json"


def test_a_design_comes_back_and_a_broken_one_is_named(tmp_path: Path) -> None:
    path = design_file(tmp_path)
    whole = path.read_bytes()
    for content in (
        b"",
        whole[:99],
        whole[:-3],
        b"\0" * 99,
        b"[]",
        b"{}",
        b'{"pipelines": [], "thresholds": 1}',
    ):
        path.write_bytes(content)
        with pytest.raises(ConfigError, match=r"design\.json"):
            read_design(path)
