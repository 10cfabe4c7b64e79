"""What a fit is expected to take: the network's working room, and what the method holds of all tiles of all images."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.support import BASE, category

from kizu.core.work import Work
from kizu.pipeline.fitting import WORKING_BYTES, WORKING_BYTES_PER_PIXEL, UnfittedPipeline

ROOMY = Work(memory_bytes=1 << 40)
PATCHES = 8 * 8


def prepared(placement: dict[str, Any], work: Work = ROOMY) -> UnfittedPipeline:
    return UnfittedPipeline.prepare(BASE.changed({"placement": placement}, where="test"), work)


def test_it_is_working_room_and_what_the_method_holds() -> None:
    pipeline = prepared({"image_size": 64})
    held = pipeline.detector.memory_bytes(30, PATCHES, pipeline.embedder.dim, 1 << 40)
    assert pipeline.estimate_bytes(30) == WORKING_BYTES + 64 * 64 * WORKING_BYTES_PER_PIXEL + held
    grown = pipeline.estimate_bytes(3000) - pipeline.estimate_bytes(30)
    assert grown > 2970 * PATCHES * pipeline.embedder.dim * 4  # all features, and more


def test_an_image_in_tiles_holds_what_all_its_tiles_hold() -> None:
    whole = prepared({"image_size": 64})
    tiled = prepared({"image_size": 64, "resize": 128, "tile_overlap": 0.0})  # 4 tiles
    working = (128 * 128 - 64 * 64) * WORKING_BYTES_PER_PIXEL
    assert tiled.estimate_bytes(50) == whole.estimate_bytes(4 * 50) + working


def test_features_beyond_the_budget_are_not_expected_in_memory() -> None:
    roomy, tight = (prepared({"image_size": 64}, work) for work in (ROOMY, Work(memory_bytes=1 << 20)))
    features = 5000 * PATCHES * roomy.embedder.dim * 4
    assert roomy.estimate_bytes(5000) - tight.estimate_bytes(5000) == features - (1 << 20)


@pytest.mark.skipif(sys.platform == "win32", reason="the system does not say what a process has held")
def test_a_process_that_fits_stays_below_what_it_expected(tmp_path: Path) -> None:
    category(tmp_path / "sets", "plate", 0)
    command = [
        "train", "--data-root", tmp_path / "sets", "--category", "plate", "--output-dir", tmp_path / "runs",
        "--run-id", "r", "--backbone", "tiny", "--image-size", 64, "--coreset", 0.2,
    ]  # fmt: skip
    subprocess.run([sys.executable, "-m", "kizu", *map(str, command)], check=True, capture_output=True)
    told = json.loads((tmp_path / "runs/patchcore/plate/r/meta.json").read_text())["memory_mb"]
    assert told["peak"] <= told["estimated"] < 3 * told["peak"]
