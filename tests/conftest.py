"""What several test folders need: drawn pictures, real pictures, a cache of their own."""

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

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


def part_picture(seed: int, side: int = 64) -> U8:
    """A grey plate with a brighter disc and a little noise: (side, side, 3)."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side] / side
    plate = 90 + 20 * x + 60 * ((y - 0.5) ** 2 + (x - 0.5) ** 2 < 0.1)
    grey = np.clip(plate + rng.normal(0, 4, (side, side)), 0, 255).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=2)


def with_flaw(image: U8, top: int, left: int, size: int = 12) -> U8:
    """A black and white checkered square painted on a copy."""
    flawed = image.copy()
    checks = (np.indices((size, size)).sum(axis=0) % 4 < 2)[..., None] * np.uint8(255)
    flawed[top : top + size, left : left + size] = checks
    return flawed


@pytest.fixture(scope="session")
def good_pictures() -> U8:
    """(24, 64, 64, 3)"""
    return np.stack([part_picture(seed) for seed in range(24)])
