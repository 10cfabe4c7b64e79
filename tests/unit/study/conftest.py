"""A small study of drawn plates, run once."""

from pathlib import Path

import pytest
from tests.support import BANK, category

from kizu.core.work import Work
from kizu.study.config import StudyConfig
from kizu.study.run import Study, run_study

METHODS = {
    "patchcore": {"kind": "patchcore", **BANK},
    "padim": {"kind": "padim", "keep_moments": True, "features": 12},
    "mahalanobis": {"kind": "mahalanobis"},
}


def small(root: Path, **changed: object) -> StudyConfig:
    """Two categories, two seeds, one severity, on the smallest network."""
    values = {
        "data": [{"name": name, "root": str(root), "category": name} for name in ("plate", "disc")],
        "methods": METHODS,
        "seeds": [1, 2],
        "severities": [3],
        "update_counts": [3],
        "embedding": {"backbone": "tiny"},
        "image_size": 64,
        "features_mb": 0,
    }
    return StudyConfig.parse(values | changed, where="test")


@pytest.fixture(scope="session")
def plates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two categories in one root."""
    root = tmp_path_factory.mktemp("plates")
    category(root, "plate", 0)
    category(root, "disc", 50)
    return root


@pytest.fixture(scope="session")
def study(plates: Path, tmp_path_factory: pytest.TempPathFactory) -> Study:
    return run_study(small(plates), tmp_path_factory.mktemp("study") / "out", Work(cores=1))
