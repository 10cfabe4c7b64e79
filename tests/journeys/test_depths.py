"""The same scenes in 8, 12, 14 and 16 bits and as floats get the same scores, from the run and its exported file."""

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
from tests.support import part_picture, with_flaw
from typer.testing import CliRunner

from kizu.cli.main import app
from kizu.core.types import F64

FAST = ("--backbone", "tiny", "--image-size", "64", "--coreset", "0.2", "--seed", "0")
WITHIN = 0.005
"""Of the threshold."""
DEPTHS = {
    "8": lambda scene: np.rint(scene * 255).astype(np.uint8),
    "12": lambda scene: np.rint(scene * 4095).astype(np.uint16),
    "14": lambda scene: np.rint(scene * 16383).astype(np.uint16),
    "16": lambda scene: np.rint(scene * 65535).astype(np.uint16),
    "float": lambda scene: scene.astype(np.float32),
}


def kizu(*arguments: object) -> str:
    done = CliRunner().invoke(app, list(map(str, arguments)))
    assert done.exit_code == 0, done.stderr
    return done.stdout.strip()


def scene(seed: int, *, flawed: bool = False) -> F64:
    """(64, 64) in 0..1, on the levels of 8 bits: what is finer, 8 bits cannot hold."""
    picture = part_picture(seed)
    grey: F64 = (with_flaw(picture, 20, 30) if flawed else picture)[..., 0] / np.float64(255)
    return grey


def scores(root: Path, depth: str) -> tuple[float, dict[str, list[float]]]:
    """The threshold, and the scores of new pictures by the run and by the file."""
    save = DEPTHS[depth]
    for number in range(16):
        path = root / depth / "plate/train/good" / f"{number}.tif"
        path.parent.mkdir(parents=True, exist_ok=True)
        tifffile.imwrite(path, save(scene(number)), photometric="minisblack")
    new = root / depth / "new"
    new.mkdir()
    for number in range(6):
        image = save(scene(50 + number, flawed=number % 2 == 1))
        tifffile.imwrite(new / f"{number}.tif", image, photometric="minisblack")
    run = kizu(
        "train",
        "--data-root",
        root / depth,
        "--category",
        "plate",
        "--output-dir",
        root / f"runs{depth}",
        *FAST,
    )
    model = kizu("export", "--run-dir", run)
    found: dict[str, list[float]] = {}
    for name, source in {"run": ("--run-dir", run), "file": ("--model", model)}.items():
        out = root / f"out{depth}{name}"
        kizu("inspect", new, *source, "--output-dir", out)
        lines = map(json.loads, (out / "preds.jsonl").read_text().splitlines())
        by_name = {Path(line["image_path"]).name: line for line in lines}
        found[name] = [by_name[f"{number}.tif"]["pred_score"] for number in range(6)]
        threshold = by_name["0.tif"]["image_threshold"]
    return threshold, found


@pytest.fixture(scope="module")
def eight(tmp_path_factory: pytest.TempPathFactory) -> tuple[float, dict[str, list[float]]]:
    return scores(tmp_path_factory.mktemp("eight"), "8")


@pytest.mark.parametrize("depth", ["12", "14", "16", "float"])
def test_depth_does_not_change_scores(
    eight: tuple[float, dict[str, list[float]]], tmp_path: Path, depth: str
) -> None:
    threshold, true = eight
    own_threshold, found = scores(tmp_path, depth)
    assert own_threshold == pytest.approx(threshold, rel=WITHIN)
    for name in ("run", "file"):
        assert found[name] == pytest.approx(true["run"], abs=WITHIN * threshold)
        assert [score > own_threshold for score in found[name]] == [
            score > threshold for score in true["run"]
        ]
