"""What several test folders need: drawn pictures, real pictures, a cache of their own."""

import os
import secrets
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings
from tests.support import category, part_picture, run_config

from kizu.core.types import U8
from kizu.lab.train import train_run
from kizu.runs.folder import RunFolder

settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile("repeatable")

SHARED = Path(os.environ.get("KIZU_SHARED", Path(__file__).parents[2] / "shared")) / "data"


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """No test reads or fills the user's cache, nor sees the backbones that the user has added."""
    os.environ["KIZU_PROGRESS_S"] = "0"  # how long something takes here is no matter of the test
    os.environ["KIZU_CACHE"] = str(tmp_path_factory.mktemp("cache"))
    os.environ["KIZU_BACKBONES"] = str(tmp_path_factory.mktemp("backbones"))
    os.environ["KIZU_STATE"] = str(tmp_path_factory.mktemp("state"))


@pytest.fixture(autouse=True)
def _own_state(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test knows what another has evaluated."""
    monkeypatch.setenv("KIZU_STATE", str(tmp_path_factory.getbasetemp() / "states" / secrets.token_hex(8)))


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


@pytest.fixture(scope="session")
def trained_plate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A set, `data/plate`, and a run that was trained on it: what `run` copies."""
    root = tmp_path_factory.mktemp("trained")
    category(root / "data", "plate", 0)
    train_run(run_config(root / "data", "plate"), root / "runs")
    return root


@pytest.fixture
def run(trained_plate: Path, tmp_path: Path) -> RunFolder:
    """A trained run for this test alone, and its set in `tmp_path / "data"`."""
    for name in ("data", "runs"):
        shutil.copytree(trained_plate / name, tmp_path / name)
    (config,) = (tmp_path / "runs").rglob("config.yaml")
    folder = RunFolder(config.parent)
    for path in (config, folder.manifest):  # they say where the set lies
        path.write_text(path.read_text().replace(str(trained_plate), str(tmp_path)))
    return folder
