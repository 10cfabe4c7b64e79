"""A small study of drawn plates, run once."""

from pathlib import Path

import pytest
from tests.support import category, small_study

from kizu.core.work import Work
from kizu.study.run import Study, measure_study


@pytest.fixture(scope="session")
def plates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two categories in one root."""
    root = tmp_path_factory.mktemp("plates")
    category(root, "plate", 0)
    category(root, "disc", 50)
    return root


@pytest.fixture(scope="session")
def study(plates: Path, tmp_path_factory: pytest.TempPathFactory) -> Study:
    return measure_study(small_study(plates), tmp_path_factory.mktemp("study") / "out", Work(cores=1))
