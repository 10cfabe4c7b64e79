"""A data set as it is configured."""

from pathlib import Path

import pytest
from tests.support import category

from kizu.core.errors import ConfigError
from kizu.data.scan import DataConfig, scan_data


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("set")
    for name in ("plate", "disc"):
        category(root, name, 0)
    return root


def test_one_category_is_scanned_as_it_lies(root: Path) -> None:
    manifest = scan_data(DataConfig(root=root, category="plate"))
    assert (manifest.category, manifest.parts, len(manifest)) == ("plate", (), 20)


@pytest.mark.parametrize("names", ["plate,disc", " plate , disc "])
def test_several_become_one_manifest_with_parts(root: Path, names: str) -> None:
    manifest = scan_data(DataConfig(root=root, category=names))
    assert manifest.parts == ("plate", "disc")
    assert len(manifest) == 40


def test_an_empty_category_is_none(root: Path) -> None:
    assert scan_data(DataConfig(root=root / "plate", category="")).category == "plate"


def test_an_empty_name_among_several_is_refused(root: Path) -> None:
    with pytest.raises(ConfigError, match="category 'plate,': a name is empty"):
        scan_data(DataConfig(root=root, category="plate,"))


def test_groups_come_from_the_pattern_and_options_reach_the_layout(root: Path) -> None:
    grouped = scan_data(DataConfig(root=root, category="plate", group=r"good/(\d)"))
    assert {sample.group for sample in grouped.train_good()} == set("0123456789")
    with pytest.raises(ConfigError, match="this layout has no options, got side"):
        scan_data(DataConfig(root=root, category="plate", options={"side": 1}))


def test_an_unknown_layout_says_what_was_meant(root: Path) -> None:
    with pytest.raises(ConfigError, match="did you mean 'folder'"):
        scan_data(DataConfig(layout="foldr", root=root))
