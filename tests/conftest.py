"""What several test folders need: drawn pictures, real pictures, a cache of their own."""

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings
from tests.support import part_picture

from kizu.core.types import U8

settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile("repeatable")

SHARED = Path(os.environ.get("KIZU_SHARED", Path(__file__).parents[2] / "shared")) / "data"


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """No test reads or fills the user's cache."""
    os.environ["KIZU_CACHE"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real images in MVTec AD layout."""
    if not SHARED.is_dir():
        pytest.skip(f"no real images at {SHARED}")
    return SHARED


@pytest.fixture(scope="session")
def good_pictures() -> U8:
    """(24, 64, 64, 3)"""
    return np.stack([part_picture(seed) for seed in range(24)])
