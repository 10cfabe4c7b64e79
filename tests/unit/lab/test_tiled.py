"""A small flaw in a large picture: found in tiles, at its place, by the run, its file and its evaluation alike."""

from pathlib import Path

import numpy as np
import pytest
from tests.support import part_picture, with_flaw

from kizu.imaging.codec import encode_png
from kizu.inspection.inspector import Inspector
from kizu.lab.evaluate import evaluate_run
from kizu.lab.train import RunConfig, train_run
from kizu.lab.update import update_run
from kizu.release.export import export_run
from kizu.release.verify import verify_run
from kizu.runs.folder import RunFolder

SIDE = 256


def large(seed: int) -> np.ndarray:
    rows = [np.concatenate([part_picture(seed + 10 * i + j) for j in range(4)], axis=1) for i in range(4)]
    return np.concatenate(rows)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    root = tmp_path_factory.mktemp("set")
    for number in range(8):
        encode_png(root / "board/train/good" / f"{number}.png", large(100 * number))
    for number in range(3):
        encode_png(root / "board/test/good" / f"{number}.png", large(5000 + 100 * number))
        flawed = with_flaw(large(9000 + 100 * number), 150, 70 + 40 * number)
        encode_png(root / "board/test/checks" / f"{number}.png", flawed)
        mask = np.zeros((SIDE, SIDE), bool)
        mask[150:162, 70 + 40 * number : 82 + 40 * number] = True
        encode_png(root / "board/ground_truth/checks" / f"{number}_mask.png", mask)
    values = {
        "detector": {"kind": "patchcore", "coreset": 0.05},
        "embedding": {"backbone": "tiny"},
        "placement": {"image_size": 64, "resize": SIDE, "tile_overlap": 0.25},
        "data": {"root": str(root), "category": "board"},
    }
    return train_run(RunConfig.parse(values, where="test"), root / "runs").folder


def test_it_is_measured_and_found_in_tiles(run: RunFolder) -> None:
    evaluation = evaluate_run(run)
    assert evaluation.metrics["image_auroc"] == 1.0
    assert (evaluation.metrics["aupro_030"] or 0) > 0.7
    found = Inspector.open(run.path).inspect(with_flaw(large(7000), 40, 200))
    assert found.label == "NG"
    y, x = np.unravel_index(int(found.map.argmax()), found.map.shape)
    assert 32 <= y < 60
    assert 192 <= x < 220
    assert found.score == pytest.approx(float(found.map.max()), rel=1e-5)


def test_its_file_decides_the_same(run: RunFolder) -> None:
    path = export_run(run).path
    assert all(agreement.failures() == [] for agreement in verify_run(run))
    picture = with_flaw(large(8000), 100, 30)
    one, other = (Inspector.open(source).inspect(picture) for source in (run.path, path))
    assert other.score == pytest.approx(one.score, rel=1e-4)
    assert other.label == one.label == "NG"


def test_it_learns_more(run: RunFolder, tmp_path: Path) -> None:
    encode_png(tmp_path / "new.png", large(12_000))
    assert update_run(run, tmp_path, reason="another lot").added == ("new.png",)
    assert evaluate_run(run).metrics["image_auroc"] == 1.0
