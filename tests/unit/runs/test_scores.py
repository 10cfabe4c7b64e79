"""Scores that are kept are those that were computed, to the last bit, of the model that is there, and of its images."""

import json
from pathlib import Path

import numpy as np
import pytest
from tests.support import BASE, category, run_config

from kizu.bundles.store import INDEX, load, read_fit_hash
from kizu.core.errors import DataError
from kizu.core.types import F32
from kizu.data.manifest import Sample, read_manifest
from kizu.decision.calibration import HeldOut
from kizu.inspection.inspector import Inspector
from kizu.lab.train import RunConfig, train_run
from kizu.lab.tune import compute_thresholds
from kizu.runs.folder import RunFolder
from kizu.runs.scores import CALIBRATION, CalibrationScores, read_calibration, write_scores

SAMPLES = [Sample(f"{n}.png", Path(f"{n}.png"), group=f"g{n % 2}") for n in range(5)]
SMALL = np.array([1e-7, 1.0000001e-7, 3.3e-38, 0.1, 1e30], np.float32)


def held(scores: F32, peaks: F32) -> HeldOut:
    return HeldOut(scores, peaks, peaks, peaks[:, None], np.arange(len(scores)) % 2)


def test_small_and_large_scores_come_back_to_the_last_bit() -> None:
    told = CalibrationScores.of("0", SAMPLES, held(SMALL, SMALL[::-1]))
    again = CalibrationScores.model_validate(json.loads(json.dumps(told.model_dump(mode="json"))))
    for mine, theirs in zip(again.arrays(), (SMALL, SMALL[::-1]), strict=True):
        np.testing.assert_array_equal(mine, theirs)
        assert mine.dtype == np.float32
    assert again == told


def test_scores_without_their_image_are_refused() -> None:
    with pytest.raises(ValueError, match="lists of 4, 5 images"):
        CalibrationScores.of("0", SAMPLES[:4], held(SMALL, SMALL))


def test_a_training_keeps_the_scores_of_its_calibration_images(run: RunFolder) -> None:
    kept = read_calibration(run.path, 1)
    assert kept is not None
    assert kept.ids == run.read_meta().calibration
    inspector = Inspector.open(run.path)
    by_id = {sample.id: sample for sample in read_manifest(run.manifest).samples}
    seen = [inspector.inspect(by_id[name].path) for name in kept.ids]
    np.testing.assert_allclose(kept.scores, [one.score for one in seen], rtol=1e-5)
    np.testing.assert_allclose(kept.peaks, [one.map.max() for one in seen], rtol=1e-5)
    assert load(run.bundle).manifest.thresholds.image.count == len(kept.scores)


def test_out_of_folds_each_score_is_of_its_image(tmp_path: Path) -> None:
    category(tmp_path / "data", "plate", 0)
    values = run_config(tmp_path / "data", "plate").model_dump(mode="json")
    config = RunConfig.parse({**values, "calibration": {"folds": 3}}, where="test")
    run = train_run(config, tmp_path / "runs").folder
    kept = read_calibration(run.path, 1)
    assert kept is not None
    assert kept.folds == 3
    assert sorted(kept.ids) == sorted(run.read_meta().calibration)
    assert kept.ids != run.read_meta().calibration  # fold by fold
    np.testing.assert_allclose(kept.scores, run.read_meta().calibration_scores, atol=1e-6)


def test_of_several_categories_each_has_its_own(tmp_path: Path) -> None:
    for name, seed in (("plate", 0), ("disc", 700)):
        category(tmp_path / "data", name, seed)
    run = train_run(run_config(tmp_path / "data", "plate,disc"), tmp_path / "runs").folder
    kept = read_calibration(run.path, 1)
    assert kept is not None
    parts = load(run.bundle).manifest.thresholds_by_category
    for name, thresholds in parts.items():
        part = kept.part(name)
        assert all(one.startswith(f"{name}/") for one in part.ids)
        assert thresholds.image.count == len(part.scores)
        assert max(part.scores) < thresholds.image.value < max(part.scores) * 1.001


def test_scores_of_another_model_are_not_used(run: RunFolder) -> None:
    kept = read_calibration(run.path, 1)
    assert kept is not None
    assert kept.fit_sha256 == read_fit_hash(run.bundle)
    write_scores(run.path, 1, kept.model_copy(update={"fit_sha256": "0" * 64}))
    assert read_calibration(run.path, 1) is None
    (run.path / CALIBRATION).unlink()
    assert read_calibration(run.path, 1) is None
    (run.path / CALIBRATION).write_text("{")
    with pytest.raises(DataError, match=r"calibration\.json"):
        read_calibration(run.path, 1)


def test_the_hash_of_the_fit_is_of_graph_and_arrays_alone(run: RunFolder) -> None:
    index = json.loads((run.bundle / INDEX).read_text())
    before = read_fit_hash(run.bundle)
    assert set(index["files"]) >= {"graph.onnx"}
    compute_thresholds(run, BASE.calibration.model_copy(update={"rule": "maximum"}))
    assert load(run.bundle).manifest.version == 2
    assert read_fit_hash(run.bundle) == before
